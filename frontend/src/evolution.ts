// How the phases of a series change: a chart over the frames, in which a click goes to a frame.

import { h, number, select } from "./dom";
import { on, state, tell } from "./state";

const QUANTITIES: [string, string][] = [["fraction", "share of the image"], ["area_nm2", "area, nm²"], ["intensity", "intensity"], ["d_measured_a", "spacing, Å"]];
const EDGE = { left: 84, right: 12, top: 14, bottom: 38 };

export function evolutionChart(rows: Record<string, string>[], phases: string[], colours: string[], first: number): HTMLElement {
  const known = QUANTITIES.filter(([key]) => rows.some((row) => row[key]));
  let quantity = known[0]?.[0] ?? "fraction";
  const chart = h("canvas", { className: "chart", width: 640, height: 320, role: "img", aria: { label: "Evolution of the phases over the frames" } });
  const times = rows.every((row) => row.time_s) ? rows.map((row) => Number(row.time_s)) : null;
  const points = () => rows.map((row, i) => ({ phase: row.phase!, frame: Number(row.frame), at: times ? times[i]! : Number(row.frame), value: row[quantity] ? Number(row[quantity]) : NaN }));
  const span = (values: number[], from?: number): [number, number] => {
    const finite = values.filter(Number.isFinite);
    const [low, high] = [from ?? Math.min(...finite), Math.max(...finite)];
    return high > low ? [low, high] : [low, low + 1];
  };
  const across = () => span(points().map((p) => p.at));
  const draw = () => {
    const context = chart.getContext("2d")!;
    const style = getComputedStyle(document.documentElement);
    const all = points();
    const [t0, t1] = across();
    const [v0, v1] = span(all.map((p) => p.value), quantity === "d_measured_a" ? undefined : 0);
    const left = (t: number) => EDGE.left + ((chart.width - EDGE.left - EDGE.right) * (t - t0)) / (t1 - t0);
    const top = (v: number) => chart.height - EDGE.bottom - ((chart.height - EDGE.top - EDGE.bottom) * (v - v0)) / (v1 - v0);
    context.clearRect(0, 0, chart.width, chart.height);
    context.font = "25px system-ui, sans-serif";
    context.lineWidth = 1.5;
    context.fillStyle = context.strokeStyle = style.getPropertyValue("--quiet");
    context.strokeRect(EDGE.left, EDGE.top, chart.width - EDGE.left - EDGE.right, chart.height - EDGE.top - EDGE.bottom);
    context.fillText(number(v1), 2, EDGE.top + 14);
    context.fillText(number(v0), 2, chart.height - EDGE.bottom);
    context.fillText(number(t0, 4), EDGE.left, chart.height - 8);
    const end = times ? `${number(t1, 4)} s` : `frame ${t1}`;
    context.fillText(end, chart.width - EDGE.right - context.measureText(end).width, chart.height - 8);
    const now = all.find((p) => p.frame - first === state.frame);
    if (now) line(context, [[left(now.at), EDGE.top], [left(now.at), chart.height - EDGE.bottom]]);
    phases.forEach((phase, i) => {
      context.strokeStyle = colours[i]!;
      context.lineWidth = 4;
      line(context, all.filter((p) => p.phase === phase && Number.isFinite(p.value)).map((p) => [left(p.at), top(p.value)]));
    });
  };
  chart.onclick = (event) => {
    const box = chart.getBoundingClientRect();
    const share = ((event.clientX - box.left) / box.width * chart.width - EDGE.left) / (chart.width - EDGE.left - EDGE.right);
    const [t0, t1] = across();
    const wanted = t0 + share * (t1 - t0);
    const near = points().reduce((best, p) => (Math.abs(p.at - wanted) < Math.abs(best.at - wanted) ? p : best));
    state.frame = near.frame - first;
    tell("frame");
  };
  on("frame", () => { if (chart.isConnected) draw(); });
  draw();
  const choice = known.length > 1 ? select("Quantity", known, quantity, (value) => { quantity = value; draw(); }) : null;
  return h("div", {}, choice, chart);
}

/** When phases appear and vanish, as sentences. */
export function onsetList(rows: Record<string, string>[]): HTMLElement {
  const when = (row: Record<string, string>) => {
    if (!row.frame) return "";
    const time = row.time_s ? `, ${number(Number(row.time_s), 4)} s` : "";
    return ` in frame ${row.frame} (${row.frame_low}–${row.frame_high})${time}`;
  };
  return h("ul", { className: "entries" }, ...rows.map((row) => h("li", {}, h("b", {}, row.phase!), ` ${row.event}${when(row)}`)));
}

function line(context: CanvasRenderingContext2D, places: [number, number][]): void {
  context.beginPath();
  for (const [left, top] of places) context.lineTo(left, top);
  context.stroke();
}
