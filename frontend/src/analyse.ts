// The right column, while settings are made: what the file lacks, phases, region, ring, preview, run.

import { type Frame, get, type Phase, post, postFrame, type RecipeValues, sendCif } from "./api";
import { button, copy, fill, h, inWordsOfPage, labelled, Latest, number, say, select, settled } from "./dom";
import { openFile, start } from "./files";
import { setMarks } from "./stage";
import { on, roi, setRecipe, state } from "./state";

let library: Phase[] = [];
const sent = new Map<string, Phase>();
const facts = h("div", { className: "facts" });
const chosen = h("div", { className: "chips" });
const matches = h("ul", { className: "matches", aria: { label: "Phases found" } });
const search = h("input", { type: "search", placeholder: "Search: LiF, R-3m, nmc …", aria: { label: "Search phases" } });
const settings = h("div", {});
const found = h("div", { className: "found" });
const name = h("input", { type: "text", value: "run", aria: { label: "Name of the run" }, spellcheck: false });
const task = new Latest();

const COLOURS = ["#e69f00", "#0072b2", "#009e73", "#cc79a7", "#f0e442", "#56b4e9", "#d55e00"];
export const colourOf = (index: number): string => COLOURS[index] ?? `hsl(${(index * 137) % 360} 60% 60%)`;

export function analysePanel(): HTMLElement {
  on("file", showFile);
  on("recipe", showRecipe);
  for (const moved of ["file", "probe", "square", "frame"] as const) on(moved, () => fill(found));
  search.oninput = showMatches;
  search.onkeydown = (event) => { if (event.key === "Enter") matches.querySelector<HTMLButtonElement>("button")?.click(); };
  void get<Phase[]>("phases").then((all) => { library = all; showMatches(); showRecipe(); }).catch((error: Error) => say(error.message));
  const rest = h("div", {},
    h("h2", {}, "Phases that may be there"), chosen, search, matches, cifDrop(),
    h("h2", {}, "Settings"), settings,
    h("h2", {}, "Try it here"), h("div", { className: "row" }, previewButton()), found,
    h("h2", {}, "Repeat it elsewhere"),
    h("div", { className: "wrap" }, button("Copy as command", () => void repeat("command")), button("Copy as Python", () => void repeat("python")), button("Save recipe", () => void save()), loadRecipe()),
    h("div", { className: "row start" }, h("span", {}, "run as"), name, button("Run", () => void run(), "primary")));
  on("file", () => { rest.hidden = !state.file; });
  rest.hidden = true;
  showFile();
  return h("div", { className: "panel" }, facts, rest);
}

function showFile(): void {
  const file = state.file;
  if (!file) {
    fill(facts, h("p", { className: "quiet" }, "Choose a file on the left: a 4D-STEM scan, a micrograph or a series."));
    return;
  }
  name.value = file.name.replace(/\.[^.]+$/, "").replace(/[^A-Za-z0-9._+-]/g, "-").replace(/^[^A-Za-z0-9]+/, "") || "run";
  const step = file.kind === "scan" ? `${number(file.step_inv_a?.[0], 4)} 1/Å per px` : `${number(file.step_a?.[0], 4)} Å per px`;
  const lines: [string, string][] = [
    ["file", file.name], ["kind", `${file.kind}, ${file.format}`], ["shape", `${file.shape.join(" × ")}, ${file.dtype}`],
    ["scale", file.missing.some(([, option]) => option === "--step-inv-a" || option === "--pixel-size-a") ? "not known" : `${step} (${file.step_source})`], ["energy", file.energy_kev ? `${file.energy_kev} keV` : "not known"],
  ];
  if (file.centre_px) lines.push(["centre", `${file.centre_px.map((c) => c.toFixed(1)).join(", ")} px (${file.centre_source})`]);
  fill(facts, h("dl", {}, ...lines.flatMap(([key, value]) => [h("dt", {}, key), h("dd", { title: value }, value)])), ...file.notes.map((note) => h("p", { className: "quiet" }, note)), missing());
}

const FIELDS: Record<string, [string, string, (text: string) => unknown]> = {
  "--energy-kev": ["energy_kev", "keV", Number], "--step-inv-a": ["step_inv_a", "1/Å per px", Number], "--scan-step-nm": ["scan_step_nm", "nm", Number],
  "--pixel-size-a": ["pixel_size_a", "Å per px", Number], "--frame-time-s": ["frame_time_s", "s", Number],
  "--scan-shape": ["scan_shape", "NY,NX", (text) => text.split(",").map(Number)],
};

/** Fields for what the file lacks, or what was given already. */
function missing(): HTMLElement | null {
  const file = state.file!;
  const given = state.recipe?.read ?? {};
  const wanted = Object.entries(FIELDS).filter(([option, [key]]) => file.missing.some(([, lacking]) => lacking === option) || key in given);
  if (!wanted.length) return null;
  const inputs = wanted.map(([option, [key, unit, parse]]) => {
    const input = h("input", { type: "text", inputMode: "decimal", placeholder: unit, aria: { label: option } });
    if (key in given) input.value = String(given[key]);
    return { key, parse, input, row: labelled(file.missing.find(([, o]) => o === option)?.[0] ?? key, input) };
  });
  const apply = () => {
    const read: Record<string, unknown> = { ...given };
    for (const { key, parse, input } of inputs) if (input.value.trim()) read[key] = parse(input.value.trim()); else delete read[key];
    void openFile(file.path, read);
  };
  const form = h("form", { className: "missing", onsubmit: (event: Event) => { event.preventDefault(); apply(); } },
    ...inputs.map(({ row }) => row), h("button", { type: "submit" }, "Apply"));
  form.prepend(file.problem ? h("p", { className: "warning" }, inWordsOfPage(file.problem, form)) : h("p", { className: "quiet" }, "The file does not state:"));
  return form;
}

function showMatches(): void {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  const text = (phase: Phase) => `${phase.title} ${phase.formula} ${phase.space_group} ${phase.space_group.replaceAll(" ", "")}`.toLowerCase();
  const hits = words.length ? library.filter((phase) => words.every((word) => text(phase).includes(word))) : [];
  fill(matches, ...hits.slice(0, 8).map((phase) => h("li", {}, h("button", { type: "button", onclick: () => { add(phase.name); search.value = ""; showMatches(); search.focus(); }, data: { phase: phase.name } },
    h("b", {}, phase.title), ` ${phase.formula}`, h("span", { className: "quiet" }, ` ${phase.space_group.replaceAll(" ", "")}, ${phase.cell.slice(0, 3).map((c) => c.toFixed(2)).join(" ")} Å`)))));
  if (words.length && !hits.length) matches.append(h("li", { className: "quiet" }, "Nothing of that name. Drop a CIF file below."));
  if (hits.length > 8) matches.append(h("li", { className: "quiet" }, `and ${hits.length - 8} more`));
}

function add(phase: string): void {
  const now = state.recipe?.phases ?? [];
  if (!state.recipe) state.recipe = { input: "", phases: [] };
  if (!now.includes(phase)) setRecipe("", "phases", [...now, phase]);
}

function cifDrop(): HTMLElement {
  const input = h("input", { type: "file", accept: ".cif", multiple: true, hidden: true });
  const take = async (files: FileList | null) => {
    for (const file of files ?? []) {
      try {
        const phase = await sendCif(file);
        sent.set(phase.name, phase);
        add(phase.name);
      } catch (error) {
        say((error as Error).message);
      }
    }
  };
  input.onchange = () => { void take(input.files); input.value = ""; };
  const drop = h("div", { className: "drop" }, button("Choose or drop a CIF file", () => input.click()), input);
  drop.ondragover = (event) => { event.preventDefault(); drop.classList.add("over"); };
  drop.ondragleave = () => drop.classList.remove("over");
  drop.ondrop = (event) => { event.preventDefault(); drop.classList.remove("over"); void take(event.dataTransfer?.files ?? null); };
  return drop;
}

export const titleOf = (phase: string): string => sent.get(phase)?.title ?? phase.split("/").at(-1)!.replace(/\.cif$/, "");

function showRecipe(): void {
  const recipe = state.recipe;
  fill(chosen, ...(recipe?.phases ?? []).map((phase, i) => {
    const chip = h("span", { className: "chip" }, h("i", {}), titleOf(phase), h("button", { type: "button", onclick: () => setRecipe("", "phases", state.recipe!.phases.filter((p) => p !== phase)), aria: { label: `Remove ${titleOf(phase)}` } }, "×"));
    (chip.firstChild as HTMLElement).style.background = colourOf(i);
    return chip;
  }));
  if (!recipe?.phases.length) chosen.append(h("span", { className: "quiet" }, "None chosen. friedel answers for the phases that you name."));
  if (!recipe || !state.file) { fill(settings); return; }
  const box = roi();
  const region = h("div", { className: "row" }, h("span", {}, "region"), h("output", { className: "region" }, box ? `${box[0].join(":")},${box[1].join(":")}` : "everything"),
    box ? button("clear", () => setRecipe("region", "roi", undefined)) : null);
  const threshold = h("input", { type: "number", min: "0.05", max: "1", step: "0.05", value: String(recipe.min_probability ?? 0.5) });
  threshold.onchange = () => setRecipe("", "min_probability", Number(threshold.value));
  const rows: Node[] = [region, labelled("present from", threshold)];
  if (state.file.kind === "scan") {
    const annulus = recipe.scan?.annulus_inv_a as [number, number] | undefined;
    rows.push(
      labelled("template", select("Template", [["auto", "automatic"], ["counts", "counts"], ["hexagon", "hexagons"], ["lattice", "lattices"]], String(recipe.scan?.template ?? "auto"), (v) => setRecipe("scan", "template", v === "auto" ? undefined : v))),
      labelled("denoise", select("Denoise", [["auto", "automatic"], ["none", "no"]], String(recipe.scan?.denoise ?? "auto"), (v) => setRecipe("scan", "denoise", v === "auto" ? undefined : v))),
      h("div", { className: "row" }, h("span", {}, "spots in"), h("output", {}, annulus ? `${annulus.map((r) => r.toFixed(3)).join("–")} 1/Å` : "ring of the phases"),
        annulus ? button("automatic", () => setRecipe("scan", "annulus_inv_a", undefined)) : button("take the ring shown", () => setRecipe("scan", "annulus_inv_a", state.annulus.map((r) => Number((r * state.file!.step_inv_a![0]).toPrecision(4)))))));
  } else {
    rows.push(labelled("detector", select("Detector", [["auto", "automatic"], ["cfar", "CFAR"], ["net", "network"]], String(recipe.micrograph?.detector ?? "auto"), (v) => setRecipe("micrograph", "detector", v === "auto" ? undefined : v))));
  }
  fill(settings, ...rows);
}

/** The recipe without empty sections; null, with a sentence, where it is not complete. */
function complete(): RecipeValues | null {
  const recipe = state.recipe;
  settled("file");
  if (!state.file || !recipe) { say("Choose a file first.", "error", "file"); return null; }
  if (!recipe.phases.length) { say("Name at least one phase: search the library, or drop a CIF file.", "error", "file"); return null; }
  return Object.fromEntries(Object.entries(recipe).filter(([, value]) => !(value && typeof value === "object" && !Array.isArray(value) && !Object.keys(value).length))) as RecipeValues;
}

function previewButton(): HTMLButtonElement {
  const out = button("Preview this place", () => {
    const recipe = complete();
    if (!recipe) return;
    out.disabled = true;
    task.run(async () => {
      try {
        await preview(recipe);
      } finally {
        out.disabled = false;
      }
    });
  });
  return out;
}

async function preview(recipe: RecipeValues): Promise<void> {
  const file = state.file!;
  const place = (): string => JSON.stringify([state.file?.id, state.probe, state.square, state.frame]);
  const asked = place();
  fill(found, h("p", { className: "quiet" }, "Looking …"));
  try {
    const [y, x] = state.probe;
    const where = file.kind === "scan" ? { y, x } : { ...state.square, frame: state.frame };
    const frame = await postFrame(`open/${file.id}/preview`, { recipe, ...where });
    if (!frame || place() !== asked) return; // the answer is for a place that is no longer shown
    if (file.kind === "scan") showPattern(frame, y, x);
    else showSquare(frame, recipe);
  } catch (error) {
    if (place() === asked) fill(found, h("p", { className: "warning" }, inWordsOfPage((error as Error).message)));
  }
}

function showPattern(frame: Frame, y: number, x: number): void {
  const { candidates, spots, outlines, is_denoised, n_analysed, warnings } = frame.facts;
  setMarks({
    circles: (spots as number[][]).map(([ky, kx]) => ({ px: [ky!, kx!], colour: "#ffffff" })),
    outlines, note: `Preview at (${y}, ${x})${is_denoised ? ", denoised" : ""}: ${spots.length} spots`,
  }, frame);
  fill(found, candidateList(candidates), h("p", { className: "quiet" }, `From these ${n_analysed} positions alone: a run also learns from the whole scan.`), ...(warnings as string[]).map((line) => h("p", { className: "warning" }, line)));
}

export function candidateList(rows: { phase: string; presence: number; zone?: string; colour?: string }[]): HTMLElement {
  return h("div", { className: "bars" }, ...rows.map(({ phase, presence, zone, colour }, i) => {
    const fillBar = h("i", {});
    fillBar.style.width = `${100 * presence}%`;
    fillBar.style.background = colour ?? colourOf(i);
    return h("div", { className: "barline" }, h("span", { className: "name" }, phase), h("span", { className: "track" }, fillBar), h("span", { className: "value" }, presence.toFixed(2)), h("span", { className: "quiet zone" }, zone ?? ""));
  }));
}

function showSquare(frame: Frame, recipe: RecipeValues): void {
  const { spots, components, warnings } = frame.facts;
  const names = recipe.phases.map(titleOf);
  const colour = (phase: string) => (names.includes(phase) ? colourOf(names.indexOf(phase)) : "#bbbbbb");
  setMarks({
    circles: (spots as { px: [number, number][]; phase: string; hkl: string; d_a: number }[]).flatMap(({ px, phase, hkl }) => px.map((at, i) => ({ px: at, colour: colour(phase), text: i ? undefined : `${phase} ${hkl}` }))),
    outlines: [], note: `Preview of the square: ${spots.length} spots`,
  }, frame);
  fill(found, componentTable(components), ...(warnings as string[]).map((line) => h("p", { className: "warning" }, line)));
}

const HEADINGS: [string, string][] = [["phase", ""], ["hkl", ""], ["d, Å", "measured spacing"], ["±", "its one-sigma error"], ["d₀, Å", "tabulated spacing"], ["p", "probability that the name is right"], ["n", "spots"]];

export function componentTable(rows: Record<string, unknown>[]): HTMLElement {
  if (!rows.length) return h("p", { className: "quiet" }, "No spot stands out of the noise.");
  const cell = (value: unknown, digits = 4) => (typeof value === "string" && Number.isNaN(Number(value)) ? value : number(value === "" ? null : Number(value), digits));
  return h("div", { className: "scroll" }, h("table", {}, h("thead", {}, h("tr", {}, ...HEADINGS.map(([text, title]) => h("th", { title }, text)))),
    h("tbody", {}, ...rows.map((r) => h("tr", {}, h("td", {}, String(r.phase)), h("td", {}, String(r.hkl)), h("td", {}, cell(r.d_measured_a)), h("td", {}, cell(r.d_sigma_a, 2)), h("td", {}, cell(r.d_reference_a)), h("td", {}, cell(r.probability, 2)), h("td", {}, cell(r.n_spots)))))));
}

async function run(): Promise<void> {
  const recipe = complete();
  if (recipe) await start(name.value.trim(), recipe);
}

async function repeat(what: "command" | "python"): Promise<void> {
  const recipe = complete();
  if (!recipe) return;
  try {
    const text = await post<Record<"command" | "python", string>>("repeat", { recipe, name: name.value.trim() });
    await copy(text[what], what === "command" ? "Command" : "Python");
  } catch (error) {
    say((error as Error).message, "error", "file");
  }
}

async function save(): Promise<void> {
  const recipe = complete();
  if (!recipe) return;
  try {
    const { toml } = await post<{ toml: string }>("recipe/check", { recipe });
    const link = h("a", { href: URL.createObjectURL(new Blob([toml], { type: "application/toml" })), download: `${name.value.trim() || "recipe"}.toml` });
    link.click();
    URL.revokeObjectURL(link.href);
  } catch (error) {
    say((error as Error).message, "error", "file");
  }
}

function loadRecipe(): HTMLElement {
  const input = h("input", { type: "file", accept: ".toml", hidden: true });
  input.onchange = () => {
    const file = input.files?.[0];
    input.value = "";
    if (file) void file.text().then(async (toml) => {
      const { recipe } = await post<{ recipe: RecipeValues }>("recipe/load", { toml });
      if (await openFile(recipe.input, recipe.read ?? {})) { state.recipe = recipe; showRecipe(); }
    }).catch((error: Error) => say(error.message));
  };
  return h("span", {}, button("Load recipe", () => input.click()), input);
}
