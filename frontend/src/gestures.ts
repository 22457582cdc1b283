// What pointer and keys do on the two pictures. They change the state and tell it; the pictures follow.

import { centreOf, scene } from "./scene";
import { type Rectangle, setRecipe, state, tell } from "./state";
import type { Drag, Pointer, View } from "./view";

export const clamp = (value: number, low: number, high: number): number => Math.min(high, Math.max(low, value));

export function pressImage(at: Pointer, view: View): Drag | null {
  const { tool } = scene;
  if (tool === "pan" || !state.file) return null;
  if (tool === "region" || (tool === "average" && state.file.kind === "scan")) return dragRectangle(at, tool, view);
  return state.file.kind === "scan" ? dragProbe(at) : dragSquare(at, view);
}

function dragProbe(first: Pointer): Drag {
  const move = ({ y, x }: Pointer) => {
    const [ny, nx] = state.file!.scan_shape!;
    const next: [number, number] = [clamp(Math.round(y), 0, ny - 1), clamp(Math.round(x), 0, nx - 1)];
    if (!state.average && next[0] === state.probe[0] && next[1] === state.probe[1] && scene.frame) return;
    state.probe = next;
    state.average = null;
    tell("probe");
  };
  move(first);
  return { move, end: () => tell("placed") };
}

function dragRectangle(first: Pointer, what: "region" | "average", view: View): Drag {
  const [height, width] = view.size;
  const span = (a: number, b: number, n: number): [number, number] => [clamp(Math.round(Math.min(a, b)), 0, n - 1), clamp(Math.round(Math.max(a, b)) + 1, 1, n)];
  const move = (at: Pointer) => {
    const box: Rectangle = [span(first.y, at.y, height), span(first.x, at.x, width)];
    if (what === "region") setRecipe("region", "roi", box);
    else { state.average = box; tell("probe"); }
  };
  return { move, end: (at) => { if (Math.abs(at.y - first.y) + Math.abs(at.x - first.x) < 1 && what === "region") setRecipe("region", "roi", undefined); } };
}

function dragSquare(first: Pointer, view: View): Drag {
  const [height, width] = state.file!.image_shape!;
  const { y0, x0, side } = state.square;
  const most = Math.min(height, width, 2048);
  const grip = 12 / view.zoom;
  const resizes = Math.abs(first.y - (y0 + side)) < grip && Math.abs(first.x - (x0 + side)) < grip;
  const inside = first.y >= y0 && first.x >= x0 && first.y <= y0 + side && first.x <= x0 + side;
  const [dy, dx] = inside ? [first.y - y0, first.x - x0] : [side / 2, side / 2];
  const move = ({ y, x }: Pointer) => {
    if (resizes) state.square = { y0, x0, side: clamp(Math.round(Math.max(y - y0, x - x0) / 2) * 2, 32, Math.min(most, height - y0, width - x0)) };
    else state.square = { y0: clamp(Math.round(y - dy), 0, height - side), x0: clamp(Math.round(x - dx), 0, width - side), side };
    tell("square");
  };
  move(first);
  return { move, end: () => tell("placed") };
}

const ARROWS: Record<string, [number, number]> = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

export function keyImage(event: KeyboardEvent): boolean {
  const step = ARROWS[event.key];
  const file = state.file;
  if (!step || !file) return false;
  const by = event.shiftKey ? 10 : 1;
  if (file.kind === "scan") {
    const [ny, nx] = file.scan_shape!;
    state.probe = [clamp(state.probe[0] + by * step[0], 0, ny - 1), clamp(state.probe[1] + by * step[1], 0, nx - 1)];
    state.average = null;
    tell("probe");
  } else {
    const [height, width] = file.image_shape!;
    const { y0, x0, side } = state.square;
    state.square = { side, y0: clamp(y0 + 8 * by * step[0], 0, height - side), x0: clamp(x0 + 8 * by * step[1], 0, width - side) };
    tell("square");
  }
  tell("placed");
  return true;
}

export function pressPattern(at: Pointer, view: View): Drag | null {
  const near = nearRing(at, view);
  if (near === null) return null;
  return { move: ({ y, x }) => {
    const [cy, cx] = centreOf();
    setRing(near, Math.hypot(y - cy, x - cx));
  } };
}

/** Up and down change the outer radius of the ring, right and left the inner one. */
export function keyPattern(event: KeyboardEvent): boolean {
  const step = ARROWS[event.key];
  if (!step || state.file?.kind !== "scan") return false;
  const which = step[0] ? 1 : 0;
  setRing(which, state.annulus[which] + (step[1] - step[0]) * (event.shiftKey ? 5 : 1));
  return true;
}

function setRing(which: 0 | 1, radius: number): void {
  const [inner, outer] = state.annulus;
  state.annulus = which === 0 ? [clamp(radius, 0, outer - 0.5), outer] : [inner, clamp(radius, inner + 0.5, state.file!.reach_px!)];
  tell("annulus");
}

/** Which radius of the ring the pointer is on; null for none. */
export function nearRing({ y, x }: Pointer, view: View): 0 | 1 | null {
  if (state.file?.kind !== "scan") return null;
  const [cy, cx] = centreOf();
  const radius = Math.hypot(y - cy, x - cx);
  const off = state.annulus.map((r) => Math.abs(radius - r) * view.zoom);
  const best = off[0]! <= off[1]! ? 0 : 1;
  return off[best]! < 9 ? best : null;
}
