// The map of phases as a picture: colour says which phase, opacity how sure; hatched is what may be, but is not called so.

import type { Frame } from "./api";
import { packed, rgb } from "./colour";

export interface MapLook { colours: string[]; threshold: number; opacity: number; phases: boolean[] }

const PERIOD = 6;

/** Paint presence (P + 1, y, x), 0 to 255, whose last layer says where the map is valid. */
export function paintMap(frame: Frame, look: MapLook, canvas: HTMLCanvasElement): void {
  const [layers, rows, columns] = frame.shape as [number, number, number];
  const size = rows * columns;
  const cell = Math.max(1, Math.min(PERIOD, Math.floor(2048 / Math.max(rows, columns))));
  canvas.width = columns * cell;
  canvas.height = rows * cell;
  const context = canvas.getContext("2d")!;
  const image = context.createImageData(canvas.width, canvas.height);
  const pixels = new Uint32Array(image.data.buffer);
  const colours = look.colours.map(rgb);
  const least = 255 * look.threshold;
  for (let y = 0; y < rows; y++) for (let x = 0; x < columns; x++) {
    const at = y * columns + x;
    if (!frame.data[(layers - 1) * size + at]) continue;
    const present: number[] = [];
    const possible: number[] = [];
    for (let p = 0; p < layers - 1; p++) {
      if (!look.phases[p]) continue;
      const value = frame.data[p * size + at]!;
      if (value >= least) present.push(p);
      else if (value >= 0.4 * least) possible.push(p);
    }
    if (present.length || possible.length) paintCell(pixels, canvas.width, y * cell, x * cell, cell, (down, right) => {
      const stripe = Math.floor((right + down) / (PERIOD / 2));
      if (present.length) {
        const p = present[stripe % present.length]!;
        const sure = (frame.data[p * size + at]! - least) / Math.max(1, 255 - least);
        return packed(...colours[p]!, Math.round(255 * look.opacity * (0.35 + 0.65 * sure)));
      }
      if (stripe % 3) return 0;
      return packed(...colours[possible[0]!]!, Math.round(255 * look.opacity * 0.8));
    });
  }
  context.putImageData(image, 0, 0);
}

function paintCell(pixels: Uint32Array, width: number, top: number, left: number, cell: number, colour: (down: number, right: number) => number): void {
  for (let down = top; down < top + cell; down++) for (let right = left; right < left + cell; right++) pixels[down * width + right] = colour(down, right);
}

/** Set of phases at each position as bits, -1 where the map is not valid. */
export function labels(frame: Frame, threshold: number): Int32Array {
  const [layers, rows, columns] = frame.shape as [number, number, number];
  const size = rows * columns;
  const out = new Int32Array(size);
  for (let at = 0; at < size; at++) {
    if (!frame.data[(layers - 1) * size + at]) { out[at] = -1; continue; }
    for (let p = 0; p < layers - 1; p++) if (frame.data[p * size + at]! >= 255 * threshold) out[at]! |= 1 << p;
  }
  return out;
}

/** Share of valid positions where each phase, none, and more than one is present. */
export function shares(frame: Frame, threshold: number): { phases: number[]; none: number; mixed: number } {
  const n = frame.shape[0]! - 1;
  const counts = new Array<number>(n).fill(0);
  let [none, mixed, valid] = [0, 0, 0];
  for (const label of labels(frame, threshold)) {
    if (label < 0) continue;
    valid++;
    if (!label) none++;
    if (label & (label - 1)) mixed++;
    for (let p = 0; p < n; p++) if (label >> p & 1) counts[p]!++;
  }
  return { phases: counts.map((count) => count / Math.max(valid, 1)), none: none / Math.max(valid, 1), mixed: mixed / Math.max(valid, 1) };
}

/** Mark the positions where two maps of the same shape disagree on which phases are present; returns the share that agrees. */
export function paintDifference(first: Frame, second: Frame, thresholds: [number, number], phases: [string[], string[]], canvas: HTMLCanvasElement): number {
  const [, rows, columns] = first.shape as [number, number, number];
  const [a, b] = [labels(first, thresholds[0]), labels(second, thresholds[1])];
  const renamed = phases[1].map((name) => phases[0].indexOf(name));
  const inFirst = (label: number) => {
    let out = 0;
    renamed.forEach((to, p) => { if (label >> p & 1) out |= to >= 0 ? 1 << to : 1 << 31; });
    return out;
  };
  canvas.width = columns;
  canvas.height = rows;
  const context = canvas.getContext("2d")!;
  const image = context.createImageData(columns, rows);
  const pixels = new Uint32Array(image.data.buffer);
  let [same, valid] = [0, 0];
  for (let at = 0; at < a.length; at++) {
    if (a[at]! < 0 || b[at]! < 0) continue;
    valid++;
    if (a[at] === inFirst(b[at]!)) same++;
    else pixels[at] = packed(255, 64, 96, 200);
  }
  context.putImageData(image, 0, 0);
  return same / Math.max(valid, 1);
}
