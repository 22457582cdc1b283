// What the parts of the page share: the open file, the recipe in the making, the run that is shown.

import type { Facts, RecipeValues, Run } from "./api";

/** "placed" follows "probe" and "square" when the pointer lets go. */
type Change = "file" | "recipe" | "run" | "probe" | "square" | "placed" | "frame" | "annulus" | "jobs";
const listeners: [Change, () => void][] = [];

export const state = {
  file: null as Facts | null,
  recipe: null as RecipeValues | null,
  run: null as Run | null,
  /** Position (y, x) of a scan. */
  probe: [0, 0] as [number, number],
  /** Rectangle over which patterns are averaged; null at one position. */
  average: null as [[number, number], [number, number]] | null,
  /** Ring of the virtual image, px of the pattern. */
  annulus: [0, 1] as [number, number],
  /** Square of a micrograph for the FFT. */
  square: { y0: 0, x0: 0, side: 256 },
  frame: 0,
};

export function on(change: Change, listener: () => void): void {
  listeners.push([change, listener]);
}

export function tell(change: Change): void {
  for (const [wanted, listener] of listeners) if (wanted === change) listener();
}

/** Set a value of the recipe by section and key; undefined takes the default. */
export function setRecipe(section: "read" | "region" | "scan" | "micrograph" | "", key: string, value: unknown): void {
  if (!state.recipe) return;
  const place = section ? (state.recipe[section] ??= {}) : state.recipe;
  if (value === undefined) delete place[key];
  else place[key] = value;
  tell("recipe");
}

export type Rectangle = [[number, number], [number, number]];
export const roi = (): Rectangle | null => (state.recipe?.region?.roi as Rectangle | undefined) ?? null;
