import type { RunResult } from "../analysis/result.js";

/** `result.json`: pretty, stable (the same result gives the same bytes), with a newline at its end. */

export function resultJson(result: RunResult): string {
  return `${JSON.stringify(result, rounded, 2)}\n`;
}

/** Nanoseconds are noise: a figure with six decimals is the same on every machine that computes it. */
function rounded(_key: string, value: unknown): unknown {
  return typeof value === "number" && !Number.isInteger(value) ? Number(value.toFixed(6)) : value;
}
