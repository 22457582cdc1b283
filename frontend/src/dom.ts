// Building the page. Text is always text: nothing here, or anywhere else, makes HTML of a string.

type Child = Node | string | null | false;
type Props<T> = Partial<Omit<T, "style" | "children">> & { role?: string; aria?: Record<string, string>; data?: Record<string, string> };

export function h<K extends keyof HTMLElementTagNameMap>(tag: K, props: Props<HTMLElementTagNameMap[K]> = {}, ...children: Child[]): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  const { aria, data, role, ...rest } = props;
  Object.assign(element, rest);
  if (role) element.setAttribute("role", role);
  for (const [key, value] of Object.entries(aria ?? {})) element.setAttribute(`aria-${key}`, value);
  for (const [key, value] of Object.entries(data ?? {})) element.dataset[key] = value;
  element.append(...children.filter((child): child is Node | string => child !== null && child !== false));
  return element;
}

export function fill(element: Element, ...children: Child[]): void {
  element.replaceChildren(...children.filter((child): child is Node | string => child !== null && child !== false));
}

export function button(text: string, onclick: () => void, className = ""): HTMLButtonElement {
  return h("button", { type: "button", className, onclick }, text);
}

/** A choice among a few, shown side by side. */
export function segmented(label: string, options: [string, string][], chosen: string, choose: (value: string) => void): HTMLElement & { set(value: string): void } {
  const buttons = options.map(([value, text]) => {
    const one = button(text, () => { set(value); choose(value); });
    one.dataset.value = value;
    return one;
  });
  const set = (value: string) => buttons.forEach((one) => one.setAttribute("aria-pressed", String(one.dataset.value === value)));
  set(chosen);
  return Object.assign(h("div", { className: "segmented", role: "group", aria: { label } }, ...buttons), { set });
}

export function select(label: string, options: [string, string][], chosen: string, choose: (value: string) => void): HTMLSelectElement {
  const out = h("select", { aria: { label } }, ...options.map(([value, text]) => h("option", { value }, text)));
  out.value = chosen;
  out.onchange = () => choose(out.value);
  return out;
}

export function slider(label: string, min: number, max: number, step: number, value: number, change: (value: number) => void): HTMLInputElement {
  const out = h("input", { type: "range", min: String(min), max: String(max), step: String(step), title: label, aria: { label } });
  out.value = String(value);
  out.oninput = () => change(Number(out.value));
  return out;
}

export function labelled(text: string, ...controls: Child[]): HTMLLabelElement {
  return h("label", { className: "row" }, h("span", {}, text), ...controls);
}

let notice: HTMLElement | null = null;

/** Where sentences for the user appear: errors stay until they are dismissed, or what they are about is settled. */
export function noticeBoard(): HTMLElement {
  notice = h("div", { className: "notices", role: "status", aria: { live: "polite" } });
  return notice;
}

/** What a sentence calls an option of the command line is named as its field is here, where there is one. */
export function inWordsOfPage(sentence: string, page: ParentNode = document): string {
  return sentence.replace(/(Pass )?(--[a-z][a-z-]*)/g, (words: string, pass: string | undefined, option: string) => {
    const field = page.querySelector(`[aria-label="${option}"]`)?.closest("label")?.firstChild?.textContent;
    return field ? `${pass ? "Fill in " : ""}“${field}”` : words;
  });
}

export function say(said: string, kind: "error" | "done" = "error", about = ""): void {
  const sentence = inWordsOfPage(said);
  const same = [...(notice?.children ?? [])].find((line) => line.firstChild?.textContent === sentence);
  same?.remove();
  const line = h("div", { className: `notice ${kind}`, data: { about } }, h("span", {}, sentence));
  line.append(h("button", { type: "button", onclick: () => line.remove(), aria: { label: "Dismiss" } }, "×"));
  notice?.append(line);
  while ((notice?.children.length ?? 0) > 3) notice?.firstChild?.remove();
  if (kind === "done") setTimeout(() => line.remove(), 4000);
}

/** Take away what was said about something that is well now. */
export function settled(about: string): void {
  for (const line of notice?.querySelectorAll<HTMLElement>(".notice") ?? []) if (line.dataset.about === about) line.remove();
}

export async function copy(text: string, what: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    say(`${what} copied.`, "done");
  } catch {
    const box = h("textarea", { value: text, readOnly: true, rows: 6 });
    const dialog = h("dialog", { className: "copy" }, h("p", {}, `The browser does not let this page copy. Copy it here:`), box, button("Close", () => dialog.remove()));
    document.body.append(dialog);
    dialog.showModal();
    box.select();
  }
}

/** Runs one task at a time and, when it ends, the newest that was asked for meanwhile; those between are dropped. */
export class Latest {
  private busy = false;
  private next: (() => Promise<void>) | null = null;

  run(task: () => Promise<void>): void {
    this.next = task;
    if (!this.busy) void this.drain();
  }

  private async drain(): Promise<void> {
    this.busy = true;
    while (this.next) {
      const task = this.next;
      this.next = null;
      try {
        await task();
      } catch (error) {
        say(error instanceof Error ? error.message : String(error));
      }
    }
    this.busy = false;
  }
}

export const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;

export function number(value: number | null | undefined, digits = 3): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size !== 0 && (size < 0.001 || size >= 1e6)) return value.toExponential(2);
  return String(Number(value.toPrecision(digits)));
}
