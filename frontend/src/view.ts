// A picture on a canvas: contrast, zoom, scale bar, and what is drawn over it. Positions are in pixels of the picture,
// integers at the centres of pixels, in order (y, x) like everywhere in friedel.

import type { Frame } from "./api";
import { COLOUR_MAPS, type Look, paint, table } from "./colour";
import { h, number, select, slider } from "./dom";

export interface Layer { canvas: HTMLCanvasElement; y: number; x: number; height: number; width: number; opacity: number }
export interface Pointer { y: number; x: number; event: PointerEvent }
export type Drag = { move(at: Pointer): void; end?(at: Pointer): void };

export interface ViewOptions {
  label: string;
  /** Begins a drag with the main button; null pans. */
  press(at: Pointer): Drag | null;
  hover?(at: Pointer | null): void;
  draw?(context: CanvasRenderingContext2D, view: View): void;
  key?(event: KeyboardEvent): boolean;
  /** After zoom or pan. */
  moved?(): void;
  map?: string;
}

export class View {
  readonly element: HTMLElement;
  /** What is drawn over the picture; it lies on a canvas of its own, so that a pointer that moves leaves the picture be. */
  readonly canvas = h("canvas", { tabIndex: 0, role: "application" });
  private readonly picture = h("canvas", { aria: { hidden: "true" } });
  readonly tools = h("div", { className: "tools" });
  readonly status = h("div", { className: "status" });
  /** Length of a pixel and its unit, for the scale bar; null where it is not known. */
  scale: { step: number; unit: string } | null = null;
  size: [number, number] = [1, 1];
  zoom = 1;
  look: Look;
  layers: Layer[] = [];
  private centre: [number, number] = [0, 0];
  private frame: Frame | null = null;
  private readonly base: Layer = { canvas: h("canvas"), y: 0, x: 0, height: 1, width: 1, opacity: 1 };
  private readonly detail: Layer = { canvas: h("canvas"), y: 0, x: 0, height: 0, width: 0, opacity: 1 };
  private readonly bar = h("canvas", { width: 128, height: 10, className: "bar" });
  private readonly low = h("span", {});
  private readonly high = h("span", {});
  private contrast = { black: 0, white: 1 };
  private drag: Drag | null = null;
  private detailFrame: Frame | null = null;
  private asked: "" | "marks" | "all" = "";

  private readonly gamma = slider("Gamma", 0.2, 2, 0.05, 1, (v) => { this.look.gamma = v; this.restyle(); });

  constructor(private readonly options: ViewOptions) {
    this.look = { map: options.map ?? "grey", black: 0, white: 1, gamma: 1 };
    this.canvas.setAttribute("aria-label", options.label);
    const again = () => this.restyle();
    const foot = h("div", { className: "foot" },
      select("Colour map", COLOUR_MAPS, this.look.map, (map) => { this.look.map = map; again(); }),
      h("label", {}, "black", slider("Black", 0, 1, 0.005, 0, (v) => { this.contrast.black = v; again(); })),
      h("label", {}, "white", slider("White", 0, 2, 0.01, 1, (v) => { this.contrast.white = v; again(); })),
      h("label", {}, "gamma", this.gamma),
      h("span", { className: "legend" }, this.low, this.bar, this.high));
    this.element = h("section", { className: "view", aria: { label: options.label } }, this.tools, h("div", { className: "canvas" }, this.picture, this.canvas), this.status, foot);
    new ResizeObserver(() => this.fit()).observe(this.canvas);
    this.listen();
  }

  /** Show a frame that covers the whole picture of ``size``; the view is fitted when the size changes. */
  show(frame: Frame, size: [number, number] = frame.shape as [number, number]): void {
    const fits = this.size[0] === size[0] && this.size[1] === size[1] && this.frame !== null;
    this.frame = frame;
    this.detailFrame = null;
    this.detail.width = 0;
    this.size = size;
    Object.assign(this.base, { height: size[0], width: size[1] });
    this.restyle();
    if (!fits) this.fit();
  }

  /** Show a sharper part of the picture over it. */
  sharpen(frame: Frame, y: number, x: number, height: number, width: number): void {
    this.detailFrame = frame;
    Object.assign(this.detail, { y, x, height, width });
    paint(frame, this.look, this.detail.canvas);
    this.redraw();
  }

  setGamma(value: number): void {
    this.look.gamma = value;
    this.gamma.value = String(value);
    this.restyle();
  }

  clear(): void {
    this.drag = null;
    this.frame = null;
    this.detail.width = 0;
    this.layers = [];
    this.redraw();
  }

  restyle(): void {
    if (this.frame) {
      const span = this.frame.white - this.frame.black;
      this.look.black = this.frame.black + this.contrast.black * span;
      this.look.white = this.frame.black + this.contrast.white * span;
      paint(this.frame, this.look, this.base.canvas);
      if (this.detailFrame && this.detail.width) paint(this.detailFrame, this.look, this.detail.canvas);
      this.low.textContent = number(this.look.black);
      this.high.textContent = number(this.look.white);
      const context = this.bar.getContext("2d")!;
      const image = context.createImageData(128, 10);
      const pixels = new Uint32Array(image.data.buffer);
      const colours = table(this.look.map);
      for (let i = 0; i < pixels.length; i++) pixels[i] = colours[Math.round(255 * ((i % 128) / 127) ** this.look.gamma)]!;
      context.putImageData(image, 0, 0);
    }
    this.redraw();
  }

  fit(): void {
    const { clientWidth, clientHeight } = this.canvas;
    if (!clientWidth || !clientHeight) return;
    this.zoom = Math.min(clientWidth / this.size[1], clientHeight / this.size[0]);
    this.centre = [(this.size[0] - 1) / 2, (this.size[1] - 1) / 2];
    this.redraw();
    this.options.moved?.();
  }

  /** Place on the canvas, in its own pixels, of a position in the picture. */
  place(y: number, x: number): [number, number] {
    return [(y - this.centre[0]) * this.zoom + this.canvas.clientHeight / 2, (x - this.centre[1]) * this.zoom + this.canvas.clientWidth / 2];
  }

  position(top: number, left: number): [number, number] {
    return [(top - this.canvas.clientHeight / 2) / this.zoom + this.centre[0], (left - this.canvas.clientWidth / 2) / this.zoom + this.centre[1]];
  }

  /** The part of the picture that is seen: y0, x0, y1, x1. */
  seen(): [number, number, number, number] {
    const [y0, x0] = this.position(0, 0);
    const [y1, x1] = this.position(this.canvas.clientHeight, this.canvas.clientWidth);
    return [Math.max(0, Math.floor(y0)), Math.max(0, Math.floor(x0)), Math.min(this.size[0], Math.ceil(y1)), Math.min(this.size[1], Math.ceil(x1))];
  }

  redraw(what: "marks" | "all" = "all"): void {
    if (!this.asked) requestAnimationFrame(() => this.drawNow());
    if (this.asked !== "all") this.asked = what;
  }

  private drawNow(): void {
    const { canvas, asked } = this;
    this.asked = "";
    if (asked === "all") {
      const below = this.emptied(this.picture);
      if (this.frame) for (const layer of [this.base, this.detail, ...this.layers]) this.drawLayer(below, layer);
    }
    const context = this.emptied(canvas);
    if (!this.frame) return;
    this.options.draw?.(context, this);
    this.drawScale(context);
    canvas.dataset.drawn = String(Number(canvas.dataset.drawn ?? 0) + 1);
  }

  /** Clear a canvas, made as large as it is shown; its unit is the pixel of the page. */
  private emptied(canvas: HTMLCanvasElement): CanvasRenderingContext2D {
    const ratio = devicePixelRatio;
    const [width, height] = [Math.round(canvas.clientWidth * ratio), Math.round(canvas.clientHeight * ratio)];
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    const context = canvas.getContext("2d")!;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, canvas.clientWidth, canvas.clientHeight);
    return context;
  }

  private drawLayer(context: CanvasRenderingContext2D, layer: Layer): void {
    if (!layer.width || !layer.canvas.width) return;
    const [top, left] = this.place(layer.y - 0.5, layer.x - 0.5);
    context.globalAlpha = layer.opacity;
    context.imageSmoothingEnabled = this.zoom * layer.width / layer.canvas.width < 1;
    context.imageSmoothingQuality = "medium";
    context.drawImage(layer.canvas, left, top, layer.width * this.zoom, layer.height * this.zoom);
  }

  private drawScale(context: CanvasRenderingContext2D): void {
    if (!this.scale) return;
    const { step, unit } = this.scale;
    const most = (0.3 * this.canvas.clientWidth * step) / this.zoom;
    const power = 10 ** Math.floor(Math.log10(most));
    const length = power * ([5, 2, 1].find((n) => n * power <= most) ?? 1);
    const width = (length / step) * this.zoom;
    const size = em();
    const [left, top] = [size, this.canvas.clientHeight - 1.2 * size];
    const [shown, name] = unit === "Å" && length >= 10 ? [length / 10, "nm"] : [length, unit];
    const text = `${Number(shown.toPrecision(3))} ${name}`;
    context.font = `600 ${0.9 * size}px system-ui, sans-serif`;
    context.fillStyle = "rgba(0, 0, 0, 0.6)";
    context.fillRect(left - 0.4 * size, top - 1.4 * size, Math.max(width, context.measureText(text).width) + 0.8 * size, 2.1 * size);
    context.fillStyle = "#fff";
    context.fillRect(left, top, width, 0.3 * size);
    context.fillText(text, left, top - 0.4 * size);
  }

  private at(event: PointerEvent | WheelEvent): [number, number] {
    const box = this.canvas.getBoundingClientRect();
    return this.position(event.clientY - box.top, event.clientX - box.left);
  }

  private listen(): void {
    const { canvas } = this;
    canvas.onpointerdown = (event) => {
      if (!this.frame) return;
      canvas.focus({ preventScroll: true });
      canvas.setPointerCapture(event.pointerId);
      const [y, x] = this.at(event);
      this.drag = (event.button === 0 ? this.options.press({ y, x, event }) : null) ?? this.pan(event);
      event.preventDefault();
    };
    canvas.onpointermove = (event) => {
      const [y, x] = this.at(event);
      if (this.drag) this.drag.move({ y, x, event });
      else this.options.hover?.({ y, x, event });
    };
    const stop = (event: PointerEvent) => {
      const [y, x] = this.at(event);
      this.drag?.end?.({ y, x, event });
      this.drag = null;
    };
    canvas.onpointerup = stop;
    canvas.onpointercancel = stop;
    canvas.onpointerleave = () => this.options.hover?.(null);
    canvas.oncontextmenu = (event) => event.preventDefault();
    canvas.onwheel = (event) => {
      event.preventDefault();
      this.magnify(Math.exp(-event.deltaY * 0.0015), this.at(event));
    };
    canvas.ondblclick = () => this.fit();
    canvas.onkeydown = (event) => {
      const done = this.options.key?.(event) ?? false;
      if (!done && (event.key === "+" || event.key === "=")) this.magnify(1.25, this.centre);
      else if (!done && event.key === "-") this.magnify(0.8, this.centre);
      else if (!done && event.key === "0") this.fit();
      else if (!done) return;
      event.preventDefault();
    };
  }

  private magnify(factor: number, [y, x]: [number, number]): void {
    const least = Math.min(this.canvas.clientWidth / this.size[1], this.canvas.clientHeight / this.size[0]);
    const zoom = Math.min(64, Math.max(least, this.zoom * factor));
    const kept = this.zoom / zoom;
    this.centre = zoom === least ? [(this.size[0] - 1) / 2, (this.size[1] - 1) / 2] : [y + (this.centre[0] - y) * kept, x + (this.centre[1] - x) * kept];
    this.zoom = zoom;
    this.redraw();
    this.options.moved?.();
  }

  private pan(start: PointerEvent): Drag {
    const [from, { clientX, clientY }] = [[...this.centre] as [number, number], start];
    return {
      move: ({ event }) => {
        this.centre = [from[0] - (event.clientY - clientY) / this.zoom, from[1] - (event.clientX - clientX) / this.zoom];
        this.redraw();
        this.options.moved?.();
      },
    };
  }
}

/** Size of the page's text in pixels, so that what is drawn grows with it. */
export const em = (): number => parseFloat(getComputedStyle(document.documentElement).fontSize);

/** A line that is seen on dark and on light. */
export function stroke(context: CanvasRenderingContext2D, colour: string, width: number, path: () => void): void {
  context.lineWidth = width + 2;
  context.strokeStyle = "rgba(0, 0, 0, 0.7)";
  context.beginPath();
  path();
  context.stroke();
  context.lineWidth = width;
  context.strokeStyle = colour;
  context.stroke();
}
