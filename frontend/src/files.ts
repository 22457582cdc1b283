// The left column: folders and files, and the runs.

import { type Entry, type Facts, type Folder, get, type Job, post, type Run } from "./api";
import { button, fill, h, number, say, settled } from "./dom";
import { on, state, tell } from "./state";

const list = h("ul", { className: "entries", aria: { label: "Files" } });
const path = h("div", { className: "path" });
const runs = h("ul", { className: "entries" });
const queue = h("div", { className: "queue" });

export function filesColumn(): HTMLElement {
  on("file", mark);
  on("run", mark);
  on("jobs", () => void showRuns());
  void get<Folder>("folder").then((roots) => browse(roots.entries[0]?.path ?? "")).catch((error: Error) => say(error.message));
  void showRuns();
  return h("nav", { className: "files", aria: { label: "Files and runs" } }, h("h2", {}, "Files"), path, list, h("h2", {}, "Runs"), queue, runs);
}

export async function browse(where: string): Promise<void> {
  try {
    const folder = await get<Folder>("folder", { path: where });
    fill(path, folder.path ? `\u200e${folder.path}` : "Folders that this page may see");
    path.title = folder.path;
    const up = folder.parent === null ? null : row({ name: "..", path: folder.parent, kind: "folder", size: 0, changed_s: 0 });
    fill(list, up, ...folder.entries.map(row));
    if (!folder.entries.length) list.append(h("li", { className: "quiet" }, "Nothing here."));
    mark();
  } catch (error) {
    say((error as Error).message);
  }
}

function row(entry: Entry): HTMLLIElement {
  const size = entry.kind === "file" && entry.size > 4096 ? bytes(entry.size) : "";
  const act = () => {
    if (entry.kind === "folder") void browse(entry.path);
    else if (entry.kind === "run") void openRun(entry.path);
    else void openFile(entry.path);
  };
  const one = h("button", { type: "button", className: `entry ${entry.kind}`, onclick: act, title: entry.name, data: { path: entry.path } }, h("span", { className: "name" }, entry.name), h("span", { className: "quiet" }, size));
  return h("li", {}, one);
}

const bytes = (n: number): string => (n > 1e9 ? `${number(n / 1e9)} GB` : n > 1e6 ? `${number(n / 1e6)} MB` : `${number(n / 1e3)} kB`);

function mark(): void {
  for (const one of document.querySelectorAll<HTMLElement>(".entry")) one.setAttribute("aria-current", String(one.dataset.path === state.file?.path || one.dataset.path === state.run?.path));
}

/** Open a file, with what the user knows better than it. */
export async function openFile(where: string, read: Record<string, unknown> = {}, keepRun = false): Promise<boolean> {
  document.body.classList.add("busy");
  try {
    const facts = await post<Facts>("open", { path: where, read });
    const same = state.recipe?.input === facts.path;
    state.file = facts;
    state.recipe = { ...(same ? state.recipe! : { phases: state.recipe?.phases ?? [] }), input: facts.path, read: { ...read } };
    if (!same && !keepRun) state.run = null;
    tell("file");
    if (!keepRun) tell("run");
    tell("recipe");
    settled("file");
    return true;
  } catch (error) {
    say((error as Error).message, "error", "file");
    if (!state.file) { state.recipe = { phases: state.recipe?.phases ?? [], input: where, read: { ...read } }; tell("recipe"); }
    return false;
  } finally {
    document.body.classList.remove("busy");
  }
}

/** Show a run, with the file that it was made of where that can be seen. */
export async function openRun(where: string): Promise<void> {
  document.body.classList.add("busy");
  try {
    const run = await get<Run>("run", { path: where });
    if (run.recipe) {
      const recipe = structuredClone(run.recipe);
      const known = state.file?.path === recipe.input && JSON.stringify(state.recipe?.read ?? {}) === JSON.stringify(recipe.read ?? {});
      if (!known) await openFile(recipe.input, recipe.read ?? {}, true);
      state.recipe = recipe;
    } else {
      state.file = null;
      tell("file");
      say(`Only the maps of this run are shown: ${run.recipe_problem ?? ""}`);
    }
    state.run = run;
    tell("recipe");
    tell("run");
  } catch (error) {
    say((error as Error).message);
  } finally {
    document.body.classList.remove("busy");
  }
}

let jobs: Job[] = [];
export const allJobs = (): Job[] => jobs;

async function showRuns(): Promise<void> {
  try {
    const found = await get<{ name: string; path: string }[]>("runs");
    fill(runs, ...found.map(({ name, path: at }) => row({ name, path: at, kind: "run", size: 0, changed_s: 0 })));
    if (!found.length && !jobs.length) runs.append(h("li", { className: "quiet" }, "None yet."));
    mark();
  } catch (error) {
    say((error as Error).message);
  }
}

let timer = 0;

/** Follow the queue as long as something waits or runs. */
export async function follow(): Promise<void> {
  clearTimeout(timer);
  try {
    const before = new Map(jobs.map((job) => [job.id, job.state]));
    jobs = await get<Job[]>("jobs");
    for (const job of jobs) {
      if (!before.has(job.id) || before.get(job.id) === job.state) continue;
      if (job.state === "done") { settled(`job ${job.name}`); say(`${job.name} is done.`, "done"); void openRun(job.out); }
      if (job.state === "failed") say(`${job.name}: ${job.error ?? "failed"}`, "error", `job ${job.name}`);
    }
    const newest = jobs.filter((job, i) => jobs.findIndex((other) => other.name === job.name) === i);
    fill(queue, ...newest.filter((job) => job.state !== "done").slice(0, 8).map(jobRow));
    tell("jobs");
    if (jobs.some((job) => job.state === "waiting" || job.state === "running")) timer = setTimeout(() => void follow(), 500);
  } catch (error) {
    say((error as Error).message);
    timer = setTimeout(() => void follow(), 3000);
  }
}

function jobRow(job: Job): HTMLElement {
  const last = job.steps.at(-1);
  const text = job.state === "running" ? (last ? `${last.step} ${Math.floor((100 * last.done) / (last.total || 1))} %` : "starting") : job.state;
  const bar = h("progress", { max: last?.total ?? 1, aria: { label: `Progress of ${job.name}` } });
  if (last) bar.value = last.done;
  const active = job.state === "waiting" || job.state === "running";
  const act = active
    ? button("Cancel", () => void post<Job>(`jobs/${job.id}/cancel`, {}).then(() => follow()).catch((error: Error) => say(error.message)))
    : button("Resume", () => void post<Job>(`jobs/${job.id}/resume`, {}).then(() => follow()).catch((error: Error) => say(error.message)));
  return h("div", { className: `job ${job.state}`, title: job.error ?? "" }, h("span", { className: "name" }, job.name), act, h("span", { className: "quiet" }, `${text}${job.seconds ? `, ${Math.round(job.seconds)} s` : ""}`), active ? bar : null);
}

/** Start a run of the recipe in the making. */
export async function start(name: string, recipe: unknown): Promise<void> {
  try {
    await post<Job>("jobs", { name, recipe });
    settled(`job ${name}`);
    await follow();
  } catch (error) {
    say((error as Error).message, "error", "file");
  }
}
