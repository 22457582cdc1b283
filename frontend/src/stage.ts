// The middle of the page: the image of the sample, and beside it the pattern or the FFT of the place that is pointed at.

import { type Frame, frame as fetchFrame, ServerError } from "./api";
import { button, h, Latest, number, say, segmented, slider } from "./dom";
import { openFile } from "./files";
import { clamp, keyImage, keyPattern, nearRing, pressImage, pressPattern } from "./gestures";
import { centreOf, drawImage, drawPattern, type PatternMarks, scene, type Tool } from "./scene";
import { on, state, tell } from "./state";
import { type Layer, type Pointer, View } from "./view";

const imageTask = new Latest();
const patternTask = new Latest();
const detailTask = new Latest();

export const imageView: View = new View({
  label: "Image of the sample. Arrow keys move the probe, plus and minus zoom, 0 fits.",
  press: (at) => pressImage(at, imageView),
  hover: (at) => { imageView.status.textContent = at ? where(at) : hint(); },
  draw: drawImage,
  key: keyImage,
  moved: () => sharpen(),
});

export const patternView: View = new View({
  label: "Pattern or FFT. Drag a ring to change the virtual image; arrow keys do so too, up and down the outer radius, left and right the inner one.",
  press: (at) => pressPattern(at, patternView),
  hover: hoverPattern,
  draw: drawPattern,
  key: keyPattern,
  map: "magma",
});

let fftLater = 0;
const tools = segmented("Tool", [["probe", "Probe"], ["average", "Average"], ["region", "Region"], ["pan", "Pan"]], scene.tool, (value) => { scene.tool = value as Tool; imageView.status.textContent = hint(); });
const frames = h("div", { className: "frames", hidden: true });
const ring = h("span", { className: "quiet" });
const presets = h("span", { className: "presets" },
  button("bright field", () => setAnnulus(0, 0.1)), button("annular", () => setAnnulus(0.25, 0.75)), button("all", () => setAnnulus(0, 1)));
imageView.tools.append(tools, frames);
patternView.tools.append(presets, ring);
patternView.status.setAttribute("aria-live", "polite");

export function stage(): HTMLElement {
  on("file", shown);
  on("probe", () => { scene.marks = null; showPattern(); imageView.redraw("marks"); });
  on("square", () => { showFft(); imageView.redraw("marks"); });
  on("frame", () => {
    if (!state.file?.image_shape) return;
    writeFrame();
    showMicrograph();
    clearTimeout(fftLater);
    fftLater = setTimeout(showFft, 80); // the image first: both at once would slow it
  });
  on("annulus", () => { showVirtual(); patternView.redraw("marks"); });
  on("recipe", () => imageView.redraw("marks"));
  return h("main", { className: "stage" }, imageView.element, patternView.element);
}

export function setMarks(found: PatternMarks | null, picture: Frame | null = null): void {
  scene.marks = found;
  if (picture) { scene.frame = picture; patternView.show(picture); }
  patternView.redraw("marks");
  describePattern();
}

export function setOverlay(...layers: Layer[]): void {
  imageView.layers = layers;
  imageView.redraw();
}

/** Show a picture of a run in place of the file's own. */
export function showBase(picture: Frame, size: [number, number], step: number | null): void {
  imageView.scale = step === null ? null : { step, unit: "Å" };
  imageView.show(picture, size);
}

/** Show the file's own picture again. */
export function showFile(): void {
  if (state.file?.kind === "scan") { imageView.scale = scanScale(); showVirtual(); }
  else if (state.file) showMicrograph();
}

function shown(): void {
  const file = state.file;
  Object.assign(scene, { marks: null, frame: null, spots: [] });
  frames.hidden = true;
  patternView.clear();
  imageView.clear();
  setOverlay();
  if (!file) return;
  const isScan = file.kind === "scan";
  presets.hidden = !isScan;
  tools.querySelector<HTMLButtonElement>('[data-value="average"]')!.hidden = !isScan;
  tools.querySelector<HTMLButtonElement>('[data-value="probe"]')!.textContent = isScan ? "Probe" : "FFT square";
  patternView.setGamma(isScan ? 0.5 : 1);
  if (isScan) shownScan();
  else shownMicrograph();
  imageView.status.textContent = hint();
}

const scanScale = () => (state.file!.scan_step_a ? { step: state.file!.scan_step_a[1], unit: "Å" } : null);

function shownScan(): void {
  const file = state.file!;
  const [ny, nx] = file.scan_shape!;
  state.probe = [Math.floor(ny / 2), Math.floor(nx / 2)];
  state.average = null;
  imageView.scale = scanScale();
  patternView.scale = file.problem ? null : { step: file.step_inv_a![1], unit: "1/Å" };
  const inner = Math.min(...file.pattern_shape!) / 2;
  state.annulus = [0.25 * inner, 0.75 * inner];
  tell("annulus");
  tell("probe");
}

function shownMicrograph(): void {
  const file = state.file!;
  const [height, width] = file.image_shape!;
  const side = 2 ** clamp(Math.floor(Math.log2(Math.min(height, width) / 2)), 5, 9);
  state.square = { y0: Math.floor((height - side) / 2), x0: Math.floor((width - side) / 2), side };
  state.frame = 0;
  imageView.scale = file.problem ? null : { step: file.step_a![1], unit: "Å" };
  ring.textContent = "";
  showFrames(file.n_frames ?? 1, file.time_s ?? null);
  showMicrograph();
  showFft();
}

let writeFrame = () => {};

function showFrames(count: number, time_s: number[] | null): void {
  frames.hidden = count < 2;
  const label = h("span", {}, "");
  const chosen = slider("Frame", 0, count - 1, 1, 0, (value) => { state.frame = value; tell("frame"); });
  writeFrame = () => {
    const time = time_s?.[state.frame];
    chosen.value = String(state.frame);
    label.textContent = `frame ${state.frame} of 0–${count - 1}${time === undefined ? "" : `, ${number(time, 4)} s`}`;
  };
  frames.replaceChildren(chosen, label);
  writeFrame();
}

/** Ask again after the server closed the file to make room. */
async function again(task: () => Promise<void>): Promise<void> {
  try {
    await task();
  } catch (error) {
    if (!(error instanceof ServerError && error.status === 410 && state.file)) throw error;
    await openFile(state.file.path, state.recipe?.read ?? {});
  }
}

function showVirtual(): void {
  const file = state.file;
  if (file?.kind !== "scan") return;
  const [inner, outer] = state.annulus;
  imageTask.run(() => again(async () => {
    const found = await fetchFrame(`open/${file.id}/virtual`, { inner_px: inner.toFixed(2), outer_px: outer.toFixed(2) });
    if (!found || state.file !== file) return;
    imageView.show(found);
    imageView.canvas.dataset.ring = `${inner.toFixed(2)},${outer.toFixed(2)}`;
    if (found.facts.problem) say(found.facts.problem, "error", "file");
    else if (found.facts.rows_done < file.scan_shape![0]) setTimeout(showVirtual, 150);
  }));
  const step = file.step_inv_a![0];
  ring.textContent = file.problem ? `${inner.toFixed(1)}–${outer.toFixed(1)} px` : `${(inner * step).toFixed(3)}–${(outer * step).toFixed(3)} 1/Å`;
}

function setAnnulus(inner: number, outer: number): void {
  const file = state.file;
  if (file?.kind !== "scan") return;
  const reach = outer === 1 ? file.reach_px! : Math.min(...file.pattern_shape!) / 2;
  state.annulus = [inner * reach, outer * reach];
  tell("annulus");
}

function showPattern(): void {
  const file = state.file;
  if (file?.kind !== "scan") return;
  const { probe: [y, x], average } = state;
  const place = average ? { y: average[0][0], y1: average[0][1], x: average[1][0], x1: average[1][1] } : { y, x };
  patternTask.run(() => again(async () => {
    const found = await fetchFrame(`open/${file.id}/pattern`, place);
    if (!found || state.file !== file) return;
    scene.frame = found;
    patternView.show(found);
    patternView.canvas.dataset.probe = `${y},${x}`;
    describePattern();
  }));
}

/** Pixels of the file to one of the overview that is shown; what is seen closer is fetched as it is asked for. */
let overview = 1;

function showMicrograph(): void {
  const file = state.file!;
  const [height, width] = file.image_shape!;
  const { clientWidth, clientHeight } = imageView.canvas;
  const fits = Math.min(clientWidth / width, clientHeight / height) * devicePixelRatio;
  const factor = Math.max(1, Math.floor(1 / fits), Math.ceil(Math.max(height, width) / 2000));
  const { frame } = state;
  imageTask.run(() => again(async () => {
    const found = await fetchFrame(`open/${file.id}/picture`, { factor, frame, y1: height, x1: width });
    if (!found || state.file !== file) return;
    overview = factor;
    imageView.show(found, [height, width]);
    imageView.canvas.dataset.frame = String(frame);
    sharpen();
  }));
}

/** Fetch the part that is seen at the resolution of the screen, where the overview is coarser. */
function sharpen(): void {
  const file = state.file;
  if (!file?.image_shape) return;
  const [y0, x0, y1, x1] = imageView.seen();
  const factor = Math.max(1, Math.floor(1 / (imageView.zoom * devicePixelRatio)), Math.ceil(Math.sqrt(((y1 - y0) * (x1 - x0)) / 4e6)));
  if (factor >= overview || y1 - y0 < factor || x1 - x0 < factor) return;
  const { frame } = state;
  detailTask.run(() => again(async () => {
    await new Promise((resolve) => setTimeout(resolve, 60));
    const now = imageView.seen();
    if (now.join() !== [y0, x0, y1, x1].join()) return;
    const found = await fetchFrame(`open/${file.id}/picture`, { y0, x0, y1, x1, factor, frame });
    if (found && state.file === file && state.frame === frame) imageView.sharpen(found, y0, x0, found.shape[0]! * factor, found.shape[1]! * factor);
  }));
}

function showFft(): void {
  const file = state.file;
  if (!file?.image_shape) return;
  const { square: { y0, x0, side }, frame } = state;
  scene.marks = null;
  patternTask.run(() => again(async () => {
    const found = await fetchFrame(`open/${file.id}/fft`, { y0, x0, side, frame });
    if (!found || state.file !== file) return;
    scene.frame = found;
    patternView.scale = file.problem ? null : { step: found.facts.step_inv_a[1], unit: "1/Å" };
    patternView.show(found);
    patternView.canvas.dataset.probe = `${y0},${x0}`;
    describePattern();
  }));
}

function describePattern(): void {
  const file = state.file;
  if (!file) return;
  const note = scene.marks?.note;
  if (file.kind !== "scan") {
    const { y0, x0, side } = state.square;
    patternView.status.textContent = note ?? `FFT of ${side} px at (${y0}, ${x0}), log₁₀ power${scene.spots.length ? "; ringed: phases in it" : ""}`;
    return;
  }
  const n = (scene.frame?.facts.averaged as number | undefined) ?? 1;
  const [y, x] = state.probe;
  patternView.status.textContent = note ?? (state.average ? `Mean of ${n} patterns` : `Pattern at (${y}, ${x})`);
}

function hint(): string {
  const hints: Record<Tool, string> = {
    probe: state.file?.kind === "scan" ? "Drag, or use the arrow keys: the pattern follows." : "Drag the square; its corner resizes it.",
    average: "Drag a rectangle: its mean pattern is shown.",
    region: "Drag a rectangle: only it is analysed.",
    pan: "Drag moves the image; the wheel zooms; a double click fits.",
  };
  return state.file ? hints[scene.tool] : "";
}

function where({ y, x }: Pointer): string {
  const [iy, ix] = [Math.round(y), Math.round(x)];
  const file = state.file;
  if (!file || iy < 0 || ix < 0 || iy >= imageView.size[0] || ix >= imageView.size[1]) return hint();
  const step = imageView.scale?.step;
  return `(${iy}, ${ix})${step ? `  ${number((iy * step) / 10, 4)}, ${number((ix * step) / 10, 4)} nm` : ""}`;
}

function hoverPattern(at: Pointer | null): void {
  const file = state.file;
  if (!at || !file) { describePattern(); return; }
  patternView.canvas.style.cursor = nearRing(at, patternView) === null ? "" : "ew-resize";
  const [cy, cx] = centreOf();
  const step = file.kind === "scan" ? file.step_inv_a : (scene.frame?.facts.step_inv_a as [number, number] | undefined);
  if (file.problem || !step) return;
  const k = Math.hypot((at.y - cy) * step[0], (at.x - cx) * step[1]);
  patternView.status.textContent = `|k| ${k.toFixed(4)} 1/Å   d ${k > 0.001 ? (1 / k).toFixed(3) : "–"} Å`;
}
