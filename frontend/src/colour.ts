// Colour maps and what turns numbers into pixels.

import type { Frame } from "./api";

const ANCHORS: Record<string, string[]> = {
  grey: ["#000000", "#ffffff"],
  inverse: ["#ffffff", "#000000"],
  viridis: ["#440154", "#482878", "#3e4989", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58", "#b5de2b", "#fde725"],
  magma: ["#000004", "#180f3d", "#440f76", "#721f81", "#9e2f7f", "#cd4071", "#f1605d", "#fd9668", "#feca8d", "#fcfdbf"],
};
export const COLOUR_MAPS: [string, string][] = [["grey", "grey"], ["inverse", "inverse"], ["viridis", "viridis"], ["magma", "magma"]];

export function rgb(hex: string): [number, number, number] {
  const value = parseInt(hex.slice(1), 16);
  return [value >> 16, (value >> 8) & 255, value & 255];
}

const little = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1;
export const packed = (r: number, g: number, b: number, a = 255): number =>
  (little ? (a << 24) | (b << 16) | (g << 8) | r : (r << 24) | (g << 16) | (b << 8) | a) >>> 0;

/** A colour that is seen on a dark pattern: dark ones are mixed with white. */
export function onDark(hex: string): string {
  if (!hex.startsWith("#")) return hex;
  const parts = rgb(hex);
  const light = (0.299 * parts[0] + 0.587 * parts[1] + 0.114 * parts[2]) / 255;
  const white = Math.max(0, (0.6 - light) / (1 - light));
  return `rgb(${parts.map((part) => Math.round(part + white * (255 - part))).join(" ")})`;
}

const cache = new Map<string, Uint32Array>();

/** 256 packed colours. */
export function table(name: string): Uint32Array {
  const known = cache.get(name);
  if (known) return known;
  const anchors = (ANCHORS[name] ?? ANCHORS.grey!).map(rgb);
  const out = new Uint32Array(256);
  for (let i = 0; i < 256; i++) {
    const at = (i / 255) * (anchors.length - 1);
    const low = Math.min(Math.floor(at), anchors.length - 2);
    const [a, b] = [anchors[low]!, anchors[low + 1]!];
    const [r, g, c] = a.map((value, j) => Math.round(value + (at - low) * (b[j]! - value))) as [number, number, number];
    out[i] = packed(r, g, c);
  }
  cache.set(name, out);
  return out;
}

export interface Look { map: string; black: number; white: number; gamma: number }

/** Draw a frame (rows, columns) onto a canvas of its size. */
export function paint(frame: Frame, look: Look, canvas: HTMLCanvasElement): void {
  const [rows, columns] = frame.shape as [number, number];
  canvas.width = columns;
  canvas.height = rows;
  const context = canvas.getContext("2d")!;
  const image = context.createImageData(columns, rows);
  const pixels = new Uint32Array(image.data.buffer);
  const colours = table(look.map);
  const levels = new Uint32Array(frame.data instanceof Uint16Array ? 65536 : 256);
  const span = look.white - look.black || 1;
  for (let i = 0; i < levels.length; i++) {
    const share = Math.min(1, Math.max(0, (frame.offset + frame.scale * i - look.black) / span));
    levels[i] = colours[Math.round(255 * share ** look.gamma)]!;
  }
  for (let i = 0; i < pixels.length; i++) pixels[i] = levels[frame.data[i]!]!;
  context.putImageData(image, 0, 0);
}
