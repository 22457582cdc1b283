// The middle of the page: the image of the sample, and beside it the pattern or the FFT of the place that is pointed at.

import { type Frame, frame as fetchFrame, ServerError } from "./api";
import { button, Latest, number, say, segmented, slider, h } from "./dom";
import { openFile } from "./files";
import { on, type Rectangle, roi, setRecipe, state, tell } from "./state";
import { type Drag, type Layer, type Pointer, stroke, View } from "./view";

type Tool = "probe" | "average" | "region" | "pan";
let tool: Tool = "probe";

/** What others draw over the pattern, in its pixels (ky, kx). */
export interface PatternMarks {
  circles: { px: [number, number]; colour: string; text?: string }[];
  outlines: { px: [number, number][]; colour: string; label: string }[];
  note: string;
}

let marks: PatternMarks | null = null;
let shownFrame: Frame | null = null;
export const overlay: Layer[] = [];
export const clicked: ((y: number, x: number) => void)[] = [];

const clamp = (value: number, low: number, high: number): number => Math.min(high, Math.max(low, value));
const virtualTask = new Latest();
const patternTask = new Latest();
const detailTask = new Latest();

export const imageView: View = new View({
  label: "Image of the sample. Arrow keys move the probe, plus and minus zoom.",
  press: pressImage,
  hover: (at) => { imageView.status.textContent = at ? where(at) : hint(); },
  draw: drawImage,
  key: keyImage,
  moved: () => sharpen(),
});

export const patternView: View = new View({
  label: "Pattern or FFT. Drag a ring to change the virtual image.",
  press: pressPattern,
  hover: hoverPattern,
  draw: drawPattern,
  map: "magma",
  gamma: 0.5,
});

const tools = segmented("Tool", [["probe", "Probe"], ["average", "Average"], ["region", "Region"], ["pan", "Pan"]], tool, (value) => { tool = value as Tool; imageView.status.textContent = hint(); });
const frames = h("div", { className: "frames", hidden: true });
const ring = h("span", { className: "quiet" });
const presets = h("span", { className: "presets" },
  button("bright field", () => setAnnulus(0, 0.1)), button("annular", () => setAnnulus(0.25, 0.75)), button("all", () => setAnnulus(0, 1)));
imageView.tools.append(tools, frames);
patternView.tools.append(presets, ring);

export function stage(): HTMLElement {
  on("file", shown);
  on("probe", () => { marks = null; showPattern(); imageView.redraw(); });
  on("annulus", () => { showVirtual(); patternView.redraw(); imageView.redraw(); });
  on("recipe", () => imageView.redraw());
  return h("main", { className: "stage" }, imageView.element, patternView.element);
}

export function setMarks(found: PatternMarks | null, picture: Frame | null = null): void {
  marks = found;
  if (picture) { shownFrame = picture; patternView.show(picture); }
  patternView.redraw();
  describePattern();
}

export function setOverlay(...layers: Layer[]): void {
  overlay.splice(0, overlay.length, ...layers);
  imageView.layers = overlay;
  imageView.redraw();
}

/** Show a picture of a run in place of the file's own. */
export function showBase(picture: Frame, size: [number, number], step: number | null): void {
  imageView.scale = step === null ? null : { step, unit: "Å" };
  imageView.show(picture, size);
}

function shown(): void {
  const file = state.file;
  marks = null;
  shownFrame = null;
  frames.hidden = true;
  patternView.clear();
  imageView.clear();
  setOverlay();
  if (!file) return;
  presets.hidden = file.kind !== "scan";
  tools.querySelector<HTMLButtonElement>('[data-value="average"]')!.hidden = file.kind !== "scan";
  tools.querySelector<HTMLButtonElement>('[data-value="probe"]')!.textContent = file.kind === "scan" ? "Probe" : "FFT square";
  if (file.kind === "scan") shownScan();
  else shownMicrograph();
  imageView.status.textContent = hint();
}

function shownScan(): void {
  const file = state.file!;
  const [ny, nx] = file.scan_shape!;
  state.probe = [Math.floor(ny / 2), Math.floor(nx / 2)];
  state.average = null;
  imageView.scale = file.scan_step_a ? { step: file.scan_step_a[1], unit: "Å" } : null;
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
  const count = file.n_frames ?? 1;
  frames.hidden = count < 2;
  if (count > 1) {
    const label = h("span", {}, "");
    const write = () => {
      const time = file.time_s?.[state.frame];
      label.textContent = `frame ${state.frame} of ${count}${time === undefined ? "" : `, ${number(time, 4)} s`}`;
    };
    frames.replaceChildren(slider("Frame", 0, count - 1, 1, 0, (value) => { state.frame = value; write(); showMicrograph(); showFft(); }), label);
    write();
  }
  showMicrograph();
  showFft();
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
  virtualTask.run(() => again(async () => {
    const found = await fetchFrame(`open/${file.id}/virtual`, { inner_px: inner.toFixed(2), outer_px: outer.toFixed(2) });
    if (!found || state.file !== file) return;
    imageView.show(found);
    if (found.facts.problem) say(found.facts.problem);
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
    shownFrame = found;
    patternView.show(found);
    patternView.canvas.dataset.probe = `${y},${x}`;
    describePattern();
  }));
}

function showMicrograph(): void {
  const file = state.file!;
  const [height, width] = file.image_shape!;
  const factor = Math.max(1, Math.ceil(Math.max(height, width) / 1400));
  const { frame } = state;
  virtualTask.run(() => again(async () => {
    const found = await fetchFrame(`open/${file.id}/picture`, { factor, frame, y1: height, x1: width });
    if (!found || state.file !== file) return;
    imageView.show(found, [height, width]);
    sharpen();
  }));
}

/** Fetch the part that is seen at the resolution of the screen, where the overview is coarser. */
function sharpen(): void {
  const file = state.file;
  if (!file?.image_shape) return;
  const [height, width] = file.image_shape;
  const overview = Math.max(1, Math.ceil(Math.max(height, width) / 1400));
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
  const file = state.file!;
  const { square: { y0, x0, side }, frame } = state;
  marks = null;
  patternTask.run(() => again(async () => {
    const found = await fetchFrame(`open/${file.id}/fft`, { y0, x0, side, frame });
    if (!found || state.file !== file) return;
    shownFrame = found;
    patternView.scale = file.problem ? null : { step: found.facts.step_inv_a[1], unit: "1/Å" };
    patternView.show(found);
    patternView.canvas.dataset.probe = `${y0},${x0}`;
    describePattern();
  }));
}

function describePattern(): void {
  const file = state.file;
  if (!file) return;
  if (file.kind !== "scan") {
    const { y0, x0, side } = state.square;
    patternView.status.textContent = marks?.note ?? `FFT of ${side} px at (${y0}, ${x0}), logarithm of the power`;
    return;
  }
  const n = (shownFrame?.facts.averaged as number | undefined) ?? 1;
  const [y, x] = state.probe;
  patternView.status.textContent = marks?.note ?? (state.average ? `Mean of ${n} patterns` : `Pattern at (${y}, ${x})`);
}

function hint(): string {
  const hints: Record<Tool, string> = {
    probe: state.file?.kind === "scan" ? "Drag, or use the arrow keys: the pattern follows." : "Drag the square; its corner resizes it.",
    average: "Drag a rectangle: its mean pattern is shown.",
    region: "Drag a rectangle: only it is analysed.",
    pan: "Drag moves the image; the wheel zooms; a double click fits.",
  };
  return state.file ? hints[tool] : "";
}

function where({ y, x }: Pointer): string {
  const [iy, ix] = [Math.round(y), Math.round(x)];
  const file = state.file;
  if (!file || iy < 0 || ix < 0 || iy >= imageView.size[0] || ix >= imageView.size[1]) return hint();
  const step = imageView.scale?.step;
  return `(${iy}, ${ix})${step ? `  ${number((iy * step) / 10, 4)}, ${number((ix * step) / 10, 4)} nm` : ""}`;
}

function pressImage(at: Pointer): Drag | null {
  if (tool === "pan" || !state.file) return null;
  if (tool === "region" || (tool === "average" && state.file.kind === "scan")) return dragRectangle(at, tool);
  return state.file.kind === "scan" ? dragProbe(at) : dragSquare(at);
}

function dragProbe(first: Pointer): Drag {
  const move = ({ y, x }: Pointer) => {
    const [ny, nx] = state.file!.scan_shape!;
    const next: [number, number] = [clamp(Math.round(y), 0, ny - 1), clamp(Math.round(x), 0, nx - 1)];
    if (!state.average && next[0] === state.probe[0] && next[1] === state.probe[1] && shownFrame) return;
    state.probe = next;
    state.average = null;
    tell("probe");
  };
  move(first);
  return { move, end: () => clicked.forEach((listener) => listener(...state.probe)) };
}

function dragRectangle(first: Pointer, what: "region" | "average"): Drag {
  const [height, width] = imageView.size;
  const end = (at: Pointer): Rectangle => {
    const span = (a: number, b: number, n: number): [number, number] => [clamp(Math.round(Math.min(a, b)), 0, n - 1), clamp(Math.round(Math.max(a, b)) + 1, 1, n)];
    return [span(first.y, at.y, height), span(first.x, at.x, width)];
  };
  const apply = (at: Pointer) => {
    const box = end(at);
    if (what === "region") setRecipe("region", "roi", box);
    else { state.average = box; tell("probe"); }
  };
  return { move: apply, end: (at) => { if (Math.abs(at.y - first.y) + Math.abs(at.x - first.x) < 1 && what === "region") setRecipe("region", "roi", undefined); } };
}

function dragSquare(first: Pointer): Drag {
  const [height, width] = state.file!.image_shape!;
  const { y0, x0, side } = state.square;
  const most = Math.min(height, width, 2048);
  const grip = 12 / imageView.zoom;
  const resizes = Math.abs(first.y - (y0 + side)) < grip && Math.abs(first.x - (x0 + side)) < grip;
  const inside = first.y >= y0 && first.x >= x0 && first.y <= y0 + side && first.x <= x0 + side;
  const [dy, dx] = inside ? [first.y - y0, first.x - x0] : [side / 2, side / 2];
  const move = ({ y, x }: Pointer) => {
    if (resizes) state.square = { y0, x0, side: clamp(Math.round(Math.max(y - y0, x - x0) / 2) * 2, 32, Math.min(most, height - y0, width - x0)) };
    else state.square = { y0: clamp(Math.round(y - dy), 0, height - side), x0: clamp(Math.round(x - dx), 0, width - side), side };
    imageView.redraw();
    showFft();
  };
  move(first);
  return { move };
}

function keyImage(event: KeyboardEvent): boolean {
  const steps: Record<string, [number, number]> = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  const step = steps[event.key];
  const file = state.file;
  if (!step || !file) return false;
  const by = event.shiftKey ? 10 : 1;
  if (file.kind === "scan") {
    const [ny, nx] = file.scan_shape!;
    state.probe = [clamp(state.probe[0] + by * step[0], 0, ny - 1), clamp(state.probe[1] + by * step[1], 0, nx - 1)];
    state.average = null;
    tell("probe");
    clicked.forEach((listener) => listener(...state.probe));
  } else {
    const [height, width] = file.image_shape!;
    const { y0, x0, side } = state.square;
    state.square = { side, y0: clamp(y0 + 8 * by * step[0], 0, height - side), x0: clamp(x0 + 8 * by * step[1], 0, width - side) };
    imageView.redraw();
    showFft();
  }
  return true;
}

function drawImage(context: CanvasRenderingContext2D, view: View): void {
  const box = (y0: number, x0: number, y1: number, x1: number, colour: string, dash: number[] = []) => {
    const [top, left] = view.place(y0 - 0.5, x0 - 0.5);
    const [bottom, right] = view.place(y1 - 0.5, x1 - 0.5);
    context.setLineDash(dash);
    stroke(context, colour, 1.5, () => context.rect(left, top, right - left, bottom - top));
    context.setLineDash([]);
    return [bottom, right] as const;
  };
  const region = roi();
  if (region) box(region[0][0], region[1][0], region[0][1], region[1][1], "#39d353", [6, 4]);
  if (state.file?.kind === "scan") {
    if (state.average) box(state.average[0][0], state.average[1][0], state.average[0][1], state.average[1][1], "#56b4e9");
    else {
      const [top, left] = view.place(...state.probe);
      const half = Math.max(view.zoom / 2, 6);
      stroke(context, "#ffd34d", 2, () => { context.rect(left - half, top - half, 2 * half, 2 * half); });
    }
  } else if (state.file) {
    const { y0, x0, side } = state.square;
    const [bottom, right] = box(y0, x0, y0 + side, x0 + side, "#ffd34d");
    context.fillStyle = "#ffd34d";
    context.fillRect(right - 5, bottom - 5, 10, 10);
  }
}

function centreOf(): [number, number] {
  return (shownFrame?.facts.centre_px as [number, number] | undefined) ?? state.file!.centre_px ?? [0, 0];
}

function pressPattern(at: Pointer): Drag | null {
  const near = nearRing(at);
  if (near === null) return null;
  const move = ({ y, x }: Pointer) => {
    const [cy, cx] = centreOf();
    const radius = Math.hypot(y - cy, x - cx);
    const [inner, outer] = state.annulus;
    state.annulus = near === 0 ? [clamp(radius, 0, outer - 0.5), outer] : [inner, clamp(radius, inner + 0.5, state.file!.reach_px!)];
    tell("annulus");
  };
  return { move };
}

function nearRing({ y, x }: Pointer): number | null {
  if (state.file?.kind !== "scan") return null;
  const [cy, cx] = centreOf();
  const radius = Math.hypot(y - cy, x - cx);
  const off = state.annulus.map((r) => Math.abs(radius - r) * patternView.zoom);
  const best = off[0]! <= off[1]! ? 0 : 1;
  return off[best]! < 9 ? best : null;
}

function hoverPattern(at: Pointer | null): void {
  const file = state.file;
  if (!at || !file) { describePattern(); return; }
  patternView.canvas.style.cursor = nearRing(at) === null ? "" : "ew-resize";
  const [cy, cx] = centreOf();
  const step = file.kind === "scan" ? file.step_inv_a : (shownFrame?.facts.step_inv_a as [number, number] | undefined);
  if (file.problem || !step) return;
  const k = Math.hypot((at.y - cy) * step[0], (at.x - cx) * step[1]);
  patternView.status.textContent = `|k| ${k.toFixed(4)} 1/Å   d ${k > 0.001 ? (1 / k).toFixed(3) : "–"} Å`;
}

function drawPattern(context: CanvasRenderingContext2D, view: View): void {
  const [cy, cx] = centreOf();
  const [top, left] = view.place(cy, cx);
  if (state.file?.kind === "scan") {
    for (const radius of state.annulus) if (radius > 0.3) stroke(context, "rgba(86, 180, 233, 0.9)", 1.25, () => context.arc(left, top, radius * view.zoom, 0, 2 * Math.PI));
  }
  if (!marks) return;
  const legend = new Map<string, string>();
  for (const outline of marks.outlines) {
    legend.set(outline.label, outline.colour);
    stroke(context, outline.colour, 1.5, () => {
      outline.px.forEach(([y, x], i) => {
        const [t, l] = view.place(y, x);
        if (i) context.lineTo(l, t); else context.moveTo(l, t);
      });
      context.closePath();
    });
  }
  context.font = "12px system-ui, sans-serif";
  for (const { px, colour, text } of marks.circles) {
    const [t, l] = view.place(...px);
    stroke(context, colour, 1.25, () => context.arc(l, t, Math.max(6, 2.2 * view.zoom), 0, 2 * Math.PI));
    if (text && view.zoom > 0.9) {
      context.fillStyle = "rgba(0, 0, 0, 0.65)";
      context.fillRect(l + 8, t - 14, context.measureText(text).width + 6, 16);
      context.fillStyle = colour;
      context.fillText(text, l + 11, t - 2);
    }
  }
  drawLegend(context, legend);
}

function drawLegend(context: CanvasRenderingContext2D, legend: Map<string, string>): void {
  let top = 8;
  for (const [label, colour] of legend) {
    context.fillStyle = "rgba(0, 0, 0, 0.65)";
    context.fillRect(8, top, context.measureText(label).width + 26, 20);
    context.fillStyle = colour;
    context.fillRect(13, top + 5, 10, 10);
    context.fillStyle = "#fff";
    context.fillText(label, 28, top + 14);
    top += 21;
  }
}
