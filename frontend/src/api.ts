// Talking to the server, by addresses relative to the page.

export interface Entry { name: string; path: string; kind: "folder" | "file" | "run"; size: number; changed_s: number }
export interface Folder { path: string; parent: string | null; entries: Entry[] }

export interface Facts {
  id: string; path: string; name: string; kind: "scan" | "micrograph" | "series"; format: string; shape: number[]; dtype: string;
  energy_kev: number | null; missing: [string, string][]; notes: string[]; problem: string | null; step_source: string;
  scan_shape?: [number, number]; pattern_shape?: [number, number]; step_inv_a?: [number, number]; scan_step_a?: [number, number] | null;
  centre_px?: [number, number]; centre_source?: string; reach_px?: number;
  image_shape?: [number, number]; step_a?: [number, number]; n_frames?: number; time_s?: number[] | null;
}

export interface Phase { name: string; title: string; formula: string; space_group: string; cell: number[] }

export interface Job {
  id: number; name: string; out: string; input: string; phases: string[]; state: "waiting" | "running" | "done" | "failed" | "cancelled";
  steps: { step: string; done: number; total: number }[]; error: string | null; seconds: number | null;
}

export interface Run {
  path: string; name: string; kind: string; phases: string[]; colours: string[]; fractions: Record<string, number>;
  calibration: Record<string, { value: number | number[]; source: string; relative_sigma: number | null }>;
  n_positions: number; n_spots: number; warnings: string[]; timing_s: Record<string, number>; min_probability: number;
  scale: { step_a: [number, number]; source: string } | null; roi: [[number, number], [number, number]] | null; step_px: number;
  annulus_inv_a: [number, number] | null; n_frames: number | null; shape: [number, number]; pictures: string[];
  zones: { phase: string; zone: number[]; n: number }[]; components: Record<string, string>[];
  onsets: Record<string, string>[]; first_frame: number;
  spots: { k_inv_a: [number, number]; phase: string; hkl: string }[]; evolution: Record<string, string>[];
  files: string[]; recipe: RecipeValues | null; recipe_problem: string | null; command: string | null; python: string | null;
}

export interface Evidence {
  y: number; x: number; valid: boolean; spots: [number, number, number][];
  candidates: { phase: string; colour: string; presence: number; zone: number[] | null; rotation_deg: number | null; off_zone_deg: number | null }[];
  outlines: { label: string; colour: string; px: [number, number][] }[];
}

export type RecipeValues = {
  input: string; phases: string[]; min_probability?: number; read?: Record<string, unknown>; region?: Record<string, unknown>;
  scan?: Record<string, unknown>; micrograph?: Record<string, unknown>; [key: string]: unknown;
};

/** A picture: numbers, and the value that each stands for: offset + scale * number. */
export interface Frame {
  data: Uint8Array | Uint16Array; shape: number[]; offset: number; scale: number; black: number; white: number;
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  facts: Record<string, any>;
}

export class ServerError extends Error {
  constructor(message: string, readonly status: number) { super(message); }
}

async function ask(path: string, init?: RequestInit): Promise<Response> {
  let answer: Response;
  try {
    answer = await fetch(path, { credentials: "same-origin", ...init });
  } catch {
    throw new ServerError("The server does not answer. Is friedel gui still running in its terminal?", 0);
  }
  if (answer.ok) return answer;
  let sentence = `The server answered ${answer.status}. Reload the page.`;
  try {
    sentence = ((await answer.json()) as { error: string }).error ?? sentence;
  } catch { /* no sentence came */ }
  throw new ServerError(sentence, answer.status);
}

export const query = (values: Record<string, string | number | boolean | null | undefined>): string => {
  const out = new URLSearchParams();
  for (const [key, value] of Object.entries(values)) if (value !== null && value !== undefined) out.set(key, String(value));
  return out.toString();
};

export async function get<T>(path: string, values: Record<string, string | number | boolean | null | undefined> = {}): Promise<T> {
  const text = query(values);
  return (await (await ask(`api/${path}${text && `?${text}`}`)).json()) as T;
}

export async function post<T>(path: string, body: unknown): Promise<T> {
  return (await (await ask(`api/${path}`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) })).json()) as T;
}

export async function sendCif(file: File): Promise<Phase> {
  return (await (await ask(`api/cif?${query({ name: file.name })}`, { method: "POST", body: await file.arrayBuffer() })).json()) as Phase;
}

export async function frame(path: string, values: Record<string, string | number | boolean | null | undefined> = {}): Promise<Frame | null> {
  return decode(await ask(`api/${path}?${query(values)}`));
}

export async function postFrame(path: string, body: unknown): Promise<Frame | null> {
  return decode(await ask(`api/${path}`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) }));
}

async function decode(answer: Response): Promise<Frame | null> {
  return answer.status === 204 ? null : unpack(await answer.arrayBuffer());
}

/** Read a picture as it travels: the length of a header, the header, the numbers. */
export function unpack(buffer: ArrayBuffer): Frame {
  const length = new DataView(buffer).getUint32(0, true);
  const facts = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  const data = facts.dtype === "uint16" ? new Uint16Array(buffer, 4 + length) : new Uint8Array(buffer, 4 + length);
  return { data, shape: facts.shape, offset: facts.offset, scale: facts.scale, black: facts.black, white: facts.white, facts };
}
