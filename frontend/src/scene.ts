// What is drawn over the pictures: the probe, the region, rings, spots and outlines.

import type { Frame } from "./api";
import { onDark } from "./colour";
import { roi, state } from "./state";
import { em, stroke, type View } from "./view";

export type Tool = "probe" | "average" | "region" | "pan";

/** What others draw over the pattern, in its pixels (ky, kx). */
export interface PatternMarks {
  circles: { px: [number, number]; colour: string; text?: string }[];
  outlines: { px: [number, number][]; colour: string; label: string }[];
  note: string;
}

export interface NamedSpot { k: [number, number]; colour: string; text: string }

/** What the two pictures share. */
export const scene = {
  tool: "probe" as Tool,
  /** The pattern or FFT that is shown. */
  frame: null as Frame | null,
  marks: null as PatternMarks | null,
  /** Spots of a mapped micrograph, shown on the FFT of any square of it, 1/Å. */
  spots: [] as NamedSpot[],
};

export function centreOf(): [number, number] {
  return (scene.frame?.facts.centre_px as [number, number] | undefined) ?? state.file?.centre_px ?? [0, 0];
}

const POINTER = "#ffffff";

export function drawImage(context: CanvasRenderingContext2D, view: View): void {
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
    if (state.average) box(state.average[0][0], state.average[1][0], state.average[0][1], state.average[1][1], POINTER);
    else {
      const [top, left] = view.place(...state.probe);
      const half = Math.max(view.zoom / 2, em() / 2);
      stroke(context, POINTER, 2, () => { context.rect(left - half, top - half, 2 * half, 2 * half); });
    }
  } else if (state.file) {
    const { y0, x0, side } = state.square;
    const [bottom, right] = box(y0, x0, y0 + side, x0 + side, POINTER);
    const grip = em() / 3;
    context.fillStyle = POINTER;
    context.fillRect(right - grip, bottom - grip, 2 * grip, 2 * grip);
  }
}

export function drawPattern(context: CanvasRenderingContext2D, view: View): void {
  const [top, left] = view.place(...centreOf());
  if (state.file?.kind === "scan") {
    context.setLineDash([em() / 2, em() / 4]);
    for (const radius of state.annulus) if (radius > 0.3) stroke(context, "rgba(215, 222, 235, 0.85)", 1.25, () => context.arc(left, top, radius * view.zoom, 0, 2 * Math.PI));
    context.setLineDash([]);
  }
  context.font = `${0.85 * em()}px system-ui, sans-serif`;
  const circles = scene.marks?.circles ?? namedSpots();
  for (const { px: [y, x], colour } of circles) {
    const [t, l] = view.place(y, x);
    stroke(context, onDark(colour), 1.25, () => context.arc(l, t, Math.max(em() / 2.2, 2.2 * view.zoom), 0, 2 * Math.PI));
  }
  const legend = new Map<string, string>();
  for (const outline of scene.marks?.outlines ?? []) {
    const colour = onDark(outline.colour);
    legend.set(outline.label, colour);
    stroke(context, colour, 1.5, () => {
      outline.px.forEach(([y, x], i) => {
        const [t, l] = view.place(y, x);
        if (i) context.lineTo(l, t); else context.moveTo(l, t);
      });
      context.closePath();
    });
  }
  drawLabels(context, view, circles);
  drawLegend(context, legend);
}

/** The named spots of a run in the pixels of the FFT that is shown, both of each Friedel pair. */
function namedSpots(): PatternMarks["circles"] {
  const step = scene.frame?.facts.step_inv_a as [number, number] | undefined;
  if (!step || state.file?.kind === "scan") return [];
  const [cy, cx] = centreOf();
  return scene.spots.flatMap(({ k, colour, text }) => [1, -1].map((sign) => ({ px: [cy + sign * k[0] / step[0], cx + sign * k[1] / step[1]] as [number, number], colour, text: sign > 0 ? text : undefined })));
}

/** Write the names, the first first; one that would cover another is left out until there is room. */
function drawLabels(context: CanvasRenderingContext2D, view: View, circles: PatternMarks["circles"]): void {
  const height = 1.15 * em();
  const taken: [number, number, number][] = [];
  for (const { px: [y, x], colour, text } of circles) {
    if (!text) continue;
    const [t, l] = view.place(y, x);
    const width = context.measureText(text).width + 6;
    const [left, top] = [l + 0.6 * em(), t - 1.1 * em()];
    if (taken.some(([a, b, w]) => Math.abs(b - top) < height && left < a + w && a < left + width)) continue;
    taken.push([left, top, width]);
    context.fillStyle = "rgba(0, 0, 0, 0.7)";
    context.fillRect(left, top, width, height);
    context.fillStyle = onDark(colour);
    context.fillText(text, left + 3, top + 0.85 * em());
  }
}

function drawLegend(context: CanvasRenderingContext2D, legend: Map<string, string>): void {
  const size = em();
  let top = 8;
  for (const [label, colour] of legend) {
    context.fillStyle = "rgba(0, 0, 0, 0.7)";
    context.fillRect(8, top, context.measureText(label).width + 2 * size, 1.5 * size);
    context.fillStyle = colour;
    context.fillRect(8 + 0.4 * size, top + 0.4 * size, 0.7 * size, 0.7 * size);
    context.fillStyle = "#fff";
    context.fillText(label, 8 + 1.5 * size, top + 1.05 * size);
    top += 1.6 * size;
  }
}
