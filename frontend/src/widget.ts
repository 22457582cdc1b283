// The viewer in a notebook: the image of a scan beside the pattern at the probe, or a micrograph beside the FFT of a square.

import { type Frame, unpack } from "./api";
import { Latest } from "./dom";
import { paintMap } from "./overlay";
import { em, type Pointer, stroke, View } from "./view";
import css from "./widget.css?inline";

interface Model {
  get(name: string): unknown;
  set(name: string, value: unknown): void;
  save_changes(): void;
  send(content: unknown): void;
  on(event: string, listener: (...words: never[]) => void): void;
  off(event: string, listener: (...words: never[]) => void): void;
}

interface Facts { kind: "scan" | "micrograph"; shape: [number, number]; step_a: number | null; step_inv_a: number | null; reach_px: number; colours: string[]; min_probability: number }

const clamp = (value: number, low: number, high: number): number => Math.min(high, Math.max(low, value));
const ARROWS: Record<string, [number, number]> = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

function render({ model, el }: { model: Model; el: HTMLElement }): () => void {
  const facts = model.get("facts") as Facts;
  const isScan = facts.kind === "scan";
  const pair = (name: string) => model.get(name) as [number, number];
  const ask = asking(model);
  const [imageTask, patternTask] = [new Latest(), new Latest()];
  let shown: Frame | null = null;
  const centre = (): [number, number] => (shown?.facts.centre_px as [number, number] | undefined) ?? [0, 0];
  const tell = (name: string, value: [number, number]) => { model.set(name, value); model.save_changes(); };

  const image: View = new View({
    label: isScan ? "Image of the scan. Drag or use the arrow keys: the pattern follows." : "Micrograph. Drag or use the arrow keys: the FFT follows.",
    press: (at) => {
      const move = ({ y, x }: Pointer) => tell("probe", [clamp(Math.round(y), 0, facts.shape[0] - 1), clamp(Math.round(x), 0, facts.shape[1] - 1)]);
      move(at);
      return { move };
    },
    key: (event) => {
      const step = ARROWS[event.key];
      if (!step) return false;
      const by = (isScan ? 1 : 8) * (event.shiftKey ? 10 : 1);
      const [y, x] = pair("probe");
      tell("probe", [clamp(y + by * step[0], 0, facts.shape[0] - 1), clamp(x + by * step[1], 0, facts.shape[1] - 1)]);
      return true;
    },
    draw: (context, view) => {
      const side = isScan ? Math.max(1, em() / view.zoom) : model.get("side_px") as number;
      const [y, x] = isScan ? pair("probe") : (shown?.facts.middle as [number, number] | undefined) ?? pair("probe");
      const [top, left] = view.place(y - side / 2, x - side / 2);
      stroke(context, "#ffffff", 2, () => context.rect(left, top, side * view.zoom, side * view.zoom));
    },
  });
  const pattern: View = new View({
    label: "Pattern or FFT. Drag the ring of a scan's pattern to change the image.",
    map: "magma",
    press: (at) => {
      if (!isScan) return null;
      const radius = ({ y, x }: Pointer) => Math.hypot(y - centre()[0], x - centre()[1]);
      const off = pair("ring_px").map((r) => Math.abs(radius(at) - r) * pattern.zoom);
      const which = off[0]! <= off[1]! ? 0 : 1;
      if (off[which]! > 9) return null;
      return { move: (now) => {
        const [inner, outer] = pair("ring_px");
        tell("ring_px", which ? [inner, clamp(radius(now), inner + 0.5, facts.reach_px)] : [clamp(radius(now), 0, outer - 0.5), outer]);
      } };
    },
    draw: (context, view) => {
      if (!isScan) return;
      const [top, left] = view.place(...centre());
      for (const radius of pair("ring_px")) stroke(context, "rgba(215, 222, 235, 0.85)", 1.25, () => context.arc(left, top, radius * view.zoom, 0, 2 * Math.PI));
    },
  });
  pattern.setGamma(isScan ? 0.5 : 1);
  image.scale = facts.step_a === null ? null : { step: facts.step_a, unit: "Å" };

  const showImage = () => imageTask.run(async () => {
    const found = await ask("image");
    image.show(found, facts.shape);
    if ((found.facts.rows_done as number | undefined ?? facts.shape[0]) < facts.shape[0]) setTimeout(showImage, 200);
  });
  const showPattern = () => patternTask.run(async () => {
    shown = await ask("pattern");
    pattern.scale = facts.step_inv_a === null ? null : { step: (shown.facts.step_inv_a as [number, number] | undefined)?.[1] ?? facts.step_inv_a, unit: "1/Å" };
    pattern.show(shown);
    pattern.canvas.dataset.probe = pair("probe").join();
    const [y, x] = pair("probe");
    pattern.status.textContent = `${isScan ? "Pattern" : "FFT"} at (${y}, ${x})`;
    image.redraw("marks");
  });
  const showMap = async () => {
    if (!facts.colours.length) return;
    const found = await ask("map");
    const canvas = document.createElement("canvas");
    paintMap(found, { colours: facts.colours, threshold: facts.min_probability, opacity: 0.75, phases: facts.colours.map(() => true) }, canvas);
    image.layers = [{ canvas, y: 0, x: 0, height: facts.shape[0], width: facts.shape[1], opacity: 1 }];
    image.redraw();
  };

  const style = document.createElement("style");
  style.textContent = css;
  el.classList.add("friedel-viewer");
  el.append(style, image.element, pattern.element);
  const onRing = () => { showImage(); pattern.redraw("marks"); };
  model.on("change:probe", showPattern);
  model.on("change:ring_px", onRing);
  showImage();
  showPattern();
  void showMap();
  return () => { model.off("change:probe", showPattern); model.off("change:ring_px", onRing); };
}

/** Ask the kernel for a picture. */
function asking(model: Model): (what: string) => Promise<Frame> {
  let last = 0;
  const waiting = new Map<number, { take(frame: Frame): void; refuse(error: Error): void }>();
  model.on("msg:custom", ((content: { id: number; error?: string }, buffers: DataView[]) => {
    const one = waiting.get(content.id);
    waiting.delete(content.id);
    if (content.error) { one?.refuse(new Error(content.error)); return; }
    const view = buffers[0]!;
    one?.take(unpack(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength) as ArrayBuffer));
  }) as (...words: never[]) => void);
  return (what) => new Promise((take, refuse) => {
    waiting.set(++last, { take, refuse });
    model.send({ id: last, what });
  });
}

export default { render };
