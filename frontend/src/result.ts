// The right column, when a run is shown: the answer, its doubts, the evidence at a position, and how to get it all.

import { type Evidence, type Frame, frame as fetchFrame, get, query, type Run } from "./api";
import { candidateList, colourOf, componentTable } from "./analyse";
import { button, copy, fill, h, labelled, number, percent, say, select, slider } from "./dom";
import { evolutionChart, onsetList } from "./evolution";
import { allJobs } from "./files";
import { type MapLook, paintDifference, paintMap, shares } from "./overlay";
import { scene } from "./scene";
import { imageView, patternView, setMarks, setOverlay, showBase, showFile } from "./stage";
import { on, state, tell } from "./state";
import type { Layer } from "./view";

const panel = h("div", { className: "panel", hidden: true });
const answer = h("div", { className: "answer" });
const evidence = h("div", { className: "evidence", aria: { live: "polite" } });
const comparison = h("div", {});
const components = h("div", {});
let map: Frame | null = null;
let look: MapLook = { colours: [], threshold: 0.5, opacity: 0.75, phases: [] };
let other: { run: Run; map: Frame } | null = null;
let shown: "this" | "other" | "difference" = "this";
const canvas = document.createElement("canvas");

export function resultPanel(): HTMLElement {
  on("run", () => void show());
  on("jobs", partial);
  on("placed", () => void showEvidence());
  on("square", showPresence);
  on("frame", () => void showFrame());
  return panel;
}

async function show(): Promise<void> {
  const run = state.run;
  other = null;
  shown = "this";
  map = null;
  fill(evidence);
  setOverlay();
  panel.hidden = !run;
  if (!run) { fill(panel, h("p", { className: "quiet" }, "No run is shown. Start one, or choose one on the left.")); return; }
  look = { colours: run.colours, threshold: run.min_probability, opacity: 0.75, phases: run.phases.map(() => true) };
  try {
    map = await fetchFrame("run/map", { path: run.path, frame: mapFrame(run) });
    if (!state.file && run.pictures.length) await showPicture(run, run.pictures[0]!);
  } catch (error) {
    say((error as Error).message);
  }
  if (state.file?.kind === "scan") tell("probe");
  else setMarks(null);
  build(run);
  draw();
  await showEvidence();
}

const mapFrame = (run: Run): number | null => (run.n_frames === null ? null : Math.min(state.frame, run.n_frames - 1));

/** Follow the frame that is shown of a series. */
async function showFrame(): Promise<void> {
  const run = state.run;
  if (!run || run.n_frames === null) return;
  const found = await fetchFrame("run/map", { path: run.path, frame: mapFrame(run) });
  if (state.run !== run) return;
  map = found;
  draw();
  showPresence();
}

/** The rows of components.csv of the frame that is shown; a micrograph has frame 0 alone. */
const componentsNow = (run: Run) => (run.n_frames === null ? run.components : run.components.filter((row) => Number(row.frame) - run.first_frame === mapFrame(run)));

function layer(run: Run, frame: Frame): Layer {
  const [, rows, columns] = frame.shape as [number, number, number];
  const [y, x] = state.file ? [run.roi?.[0][0] ?? 0, run.roi?.[1][0] ?? 0] : [0, 0];
  return { canvas, y, x, height: rows * run.step_px, width: columns * run.step_px, opacity: 1 };
}

function draw(): void {
  const run = state.run;
  if (!run || !map) return;
  if (shown === "difference" && other) {
    const agree = paintDifference(map, other.map, [look.threshold, look.threshold], [run.phases, other.run.phases], canvas);
    comparison.lastElementChild!.textContent = `They agree at ${percent(agree)} of the positions; red is where they do not.`;
    setOverlay(layer(run, map));
  } else if (shown === "other" && other) {
    paintMap(other.map, { ...look, colours: other.run.colours, phases: other.run.phases.map(() => true) }, canvas);
    setOverlay(layer(other.run, other.map));
  } else {
    paintMap(map, look, canvas);
    setOverlay(layer(run, map));
  }
  imageView.canvas.dataset.map = run.name;
  fill(components, componentTable(componentsNow(run)));
  showAnswer(run);
}

function showAnswer(run: Run): void {
  if (!map) return;
  const found = look.threshold === run.min_probability && run.n_frames === null
    ? { phases: run.phases.map((p) => run.fractions[p] ?? 0), none: run.fractions.none ?? 0, mixed: run.fractions.mixed ?? 0 }
    : shares(map, look.threshold);
  const line = (name: string, share: number, colour: string, toggle: HTMLElement | null) => {
    const bar = h("i", {});
    bar.style.width = `${100 * share}%`;
    bar.style.background = colour;
    return h("div", { className: "barline", data: { phase: name } }, toggle ?? h("span", {}), h("span", { className: "name" }, name), h("span", { className: "track" }, bar), h("span", { className: "value" }, percent(share)));
  };
  fill(answer, ...run.phases.map((name, i) => {
    const box = h("input", { type: "checkbox", checked: look.phases[i], aria: { label: `Show ${name}` } });
    box.onchange = () => { look.phases[i] = box.checked; draw(); };
    return line(name, found.phases[i]!, run.colours[i]!, box);
  }), line("none", found.none, "#5b6270", null), line("several", found.mixed, "#c4c4c4", null));
}

function build(run: Run): void {
  const threshold = h("output", {}, look.threshold.toFixed(2));
  const controls = h("div", {},
    labelled("present from", slider("Present from", 0.05, 1, 0.05, look.threshold, (v) => { look.threshold = v; threshold.textContent = v.toFixed(2); draw(); }), threshold),
    labelled("opacity", slider("Opacity of the map", 0, 1, 0.05, look.opacity, (v) => { look.opacity = v; draw(); })));
  if (run.n_frames !== null && !state.file) controls.append(labelled("frame", slider("Frame", 0, run.n_frames - 1, 1, 0, (v) => { state.frame = v; tell("frame"); })));
  const pictures: [string, string][] = [["", "the file"], ...run.pictures.map((name): [string, string] => [name, name.replaceAll("_", " ")])];
  if (run.pictures.length) controls.append(labelled("below the map", select("Picture below the map", state.file ? pictures : pictures.slice(1), state.file ? "" : run.pictures[0]!, (name) => void showPicture(run, name))));
  fill(panel,
    h("h2", { title: run.path }, run.name), answer,
    h("p", { className: "quiet" }, `${run.n_frames === null ? "" : "In the frame that is shown. "}${run.n_positions} positions, ${run.n_spots} spots. Pale colour: less sure. Hatched: may be, below the threshold.`), controls,
    ...run.warnings.map((text) => h("p", { className: "warning" }, text)),
    h("h2", {}, run.kind === "scan" ? "At the probe" : "In the middle of the square"), evidence,
    ...(run.zones.length ? [h("h2", {}, "Zone axes"), zoneTable(run)] : []),
    ...(run.evolution.length ? [h("h2", {}, "Evolution"), evolutionChart(run.evolution, run.phases, run.colours, run.first_frame), onsetList(run.onsets)] : []),
    ...(run.components.length ? [h("h2", {}, "Components"), components] : []),
    h("h2", {}, "Calibration"), calibration(run),
    h("h2", {}, "Compare"), compare(run),
    h("h2", {}, "Take it along"), downloads(run));
}

async function showPicture(run: Run, name: string): Promise<void> {
  if (!name) { showFile(); return; }
  try {
    const picture = await fetchFrame("run/picture", { path: run.path, name });
    if (!picture) return;
    const size = (picture.shape as [number, number]).map((n) => n * run.step_px) as [number, number];
    showBase(picture, size, run.scale ? run.scale.step_a[1] / run.step_px : null);
  } catch (error) {
    say((error as Error).message);
  }
}

/** Show what a scan's run found at the probe: presence, and on the pattern its spots, hexagons or reflections. */
async function showEvidence(): Promise<void> {
  const run = state.run;
  if (!run || !state.file) return;
  if (run.kind !== "scan") { showPresence(); return; }
  const [y, x] = state.probe;
  const [top, left] = [run.roi?.[0][0] ?? 0, run.roi?.[1][0] ?? 0];
  const [ny, nx] = run.shape;
  if (y < top || x < left || y >= top + ny || x >= left + nx) { fill(evidence, h("p", { className: "quiet" }, "Outside the region of this run.")); return; }
  try {
    const found = await get<Evidence>("run/evidence", { path: run.path, y: y - top, x: x - left });
    if (state.run !== run || state.probe[0] !== y || state.probe[1] !== x) return;
    setMarks({
      circles: found.spots.map(([ky, kx]) => ({ px: [ky, kx], colour: "#ffffff" })), outlines: found.outlines,
      note: `Pattern at (${y}, ${x}): ${found.spots.length} spots${found.valid ? "" : "; not valid"}`,
    });
    const zone = (c: Evidence["candidates"][number]) => (c.zone ? `[${c.zone.join(" ")}] ${number(c.rotation_deg, 3)}°${c.off_zone_deg ? `, ${number(c.off_zone_deg, 2)}° off` : ""}` : "");
    fill(evidence, candidateList(found.candidates.map((c) => ({ ...c, zone: c.presence > 0.1 ? zone(c) : "" }))));
  } catch (error) {
    fill(evidence, h("p", { className: "warning" }, (error as Error).message));
  }
}

/** Whether a phase is called present somewhere in the square; every fourth pixel of the map is looked at. */
function isInSquare(run: Run, phase: number): boolean {
  const { y0, x0, side } = state.square;
  const [, rows, columns] = map!.shape as [number, number, number];
  const inMap = (at: number, axis: 0 | 1) => Math.floor((at - (run.roi?.[axis][0] ?? 0)) / run.step_px);
  const least = 255 * look.threshold;
  for (let y = Math.max(0, inMap(y0, 0)); y < Math.min(rows, inMap(y0 + side, 0)); y += 4)
    for (let x = Math.max(0, inMap(x0, 1)); x < Math.min(columns, inMap(x0 + side, 1)); x += 4)
      if (map!.data[(phase * rows + y) * columns + x]! >= least) return true;
  return false;
}

/** Show the presence of each phase in the middle of the square of a micrograph, and ring the spots of those in it. */
function showPresence(): void {
  const run = state.run;
  if (!run || !map || run.kind === "scan" || !state.file) return;
  const here = new Set(run.phases.filter((_, p) => isInSquare(run, p)));
  scene.spots = run.spots.filter(({ phase }) => phase.split("|").some((name) => here.has(name)))
    .map(({ k_inv_a, phase, hkl }) => ({ k: k_inv_a, colour: run.colours[run.phases.indexOf(phase)] ?? "#bbbbbb", text: hkl ? `${phase} ${hkl}` : phase }));
  patternView.redraw("marks");
  const { y0, x0, side } = state.square;
  const [layers, rows, columns] = map.shape as [number, number, number];
  const [y, x] = [y0, x0].map((start, i) => Math.floor((start + side / 2 - (run.roi?.[i]![0] ?? 0)) / run.step_px)) as [number, number];
  if (y < 0 || x < 0 || y >= rows || x >= columns) { fill(evidence, h("p", { className: "quiet" }, "Outside the region of this run.")); return; }
  const value = (layer: number) => map!.data[(layer * rows + y) * columns + x]! / 255;
  if (!value(layers - 1)) { fill(evidence, h("p", { className: "quiet" }, "Nothing can be said here.")); return; }
  fill(evidence, candidateList(run.phases.map((phase, p) => ({ phase, presence: value(p), colour: run.colours[p]! }))));
}

function zoneTable(run: Run): HTMLElement {
  return h("table", {}, h("tbody", {}, ...run.zones.slice(0, 12).map((row) => h("tr", {}, h("td", {}, row.phase), h("td", {}, `[${row.zone.join(" ")}]`), h("td", {}, `${row.n} positions`)))));
}

function calibration(run: Run): HTMLElement {
  const names: Record<string, string> = { step_inv_a: "step, 1/Å", centre_px: "beam at, px", gain_per_electron: "counts per electron", scale: "scale, fitted ×", anisotropy: "ellipticity", drift_a_per_frame: "drift, Å a frame", scan_step_a: "scan step, Å", pixel_size_a: "pixel, Å" };
  const value = (v: number | number[]) => (Array.isArray(v) ? v.map((n) => number(n, 5)).join(", ") : number(v, 5));
  return h("table", {}, h("tbody", {}, ...Object.entries(run.calibration).map(([key, entry]) => h("tr", {}, h("td", { title: key }, names[key] ?? key), h("td", {}, value(entry.value)), h("td", { className: "quiet" }, `${entry.source}${entry.relative_sigma === null ? "" : `, ± ${percent(entry.relative_sigma)}`}`)))));
}

function compare(run: Run): HTMLElement {
  const names: [string, string][] = [["", "choose a run"], ...[...document.querySelectorAll<HTMLElement>(".entry.run")].filter((e) => e.dataset.path !== run.path).map((e): [string, string] => [e.dataset.path!, e.title])];
  const pick = select("Run to compare with", names, "", (path) => void load(path));
  const load = async (path: string) => {
    other = null;
    shown = "this";
    fill(comparison);
    if (!path) { draw(); return; }
    try {
      const second = await get<Run>("run", { path });
      const frame = await fetchFrame("run/map", { path, frame: mapFrame(second) });
      if (!frame || !map || frame.shape.slice(1).join() !== map.shape.slice(1).join()) throw new Error("The maps differ in shape. Compare runs of the same file and region.");
      other = { run: second, map: frame };
      shown = "difference";
      fill(comparison, select("What is shown", [["difference", "difference"], ["this", run.name], ["other", second.name]], "difference", (what) => { shown = what as typeof shown; draw(); }), h("p", {}));
      draw();
    } catch (error) {
      say((error as Error).message);
    }
  };
  return h("div", {}, pick, comparison);
}

function downloads(run: Run): HTMLElement {
  const link = (text: string, href: string, newTab = false) => {
    const out = h("a", { href, className: "button" }, text);
    if (newTab) { out.target = "_blank"; out.rel = "noopener"; } else out.download = "";
    return out;
  };
  return h("div", { className: "wrap" },
    run.files.includes("report.html") ? link("Open the report", `api/run/file/report.html?${query({ path: run.path, show: true })}`, true) : null,
    link("Everything (ZIP)", `api/run/zip?${query({ path: run.path })}`),
    ...run.files.filter((name) => name !== "report.html").map((name) => link(name, `api/run/file/${name}?${query({ path: run.path })}`)),
    run.command ? button("Copy as command", () => void copy(run.command!, "Command")) : null,
    run.python ? button("Copy as Python", () => void copy(run.python!, "Python")) : null);
}

let followed = 0;
let asking = false;

/** Show the map of the run that is under way, as far as it is known. */
function partial(): void {
  const job = allJobs().find((one) => one.state === "running" && one.input === state.file?.path);
  if (!job || asking || state.file?.kind !== "scan" || Date.now() - followed < 1500) return;
  asking = true;
  followed = Date.now();
  void fetchFrame(`jobs/${job.id}/partial`).then((found) => {
    if (!found || state.run) return;
    const n = found.facts.phases as number;
    const [, rows, columns] = found.shape as [number, number, number];
    const size = rows * columns;
    const data = n ? found.data.subarray(size) : new Uint8Array([...found.data.subarray(0, size), ...found.data.subarray(size)]);
    const colours = n ? job.phases.map((_, i) => colourOf(i)) : ["#ffd34d"];
    paintMap({ ...found, data: data as Uint8Array, shape: [colours.length + 1, rows, columns] }, { colours, threshold: 0.5, opacity: 0.75, phases: colours.map(() => true) }, canvas);
    const [[y], [x]] = found.facts.roi as [[number, number], [number, number]];
    setOverlay({ canvas, y, x, height: rows, width: columns, opacity: 1 });
    imageView.canvas.dataset.partial = String(found.facts.known);
  }).catch(() => { /* the run ended meanwhile */ }).finally(() => { asking = false; });
}
