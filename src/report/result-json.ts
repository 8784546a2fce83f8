import type { RunResult } from "../analysis/result.js";

/** `result.json`: indented, stable (the same result gives the same bytes), with a final newline. */

export function resultJson(result: RunResult): string {
  return `${JSON.stringify(result, rounded, 2)}\n`;
}

/** Smaller digits are noise: a figure with six decimals is the same on every machine. */
function rounded(_key: string, value: unknown): unknown {
  return typeof value === "number" && !Number.isInteger(value) ? Number(value.toFixed(6)) : value;
}
