/** Formats numbers for sentences and tables. English, with a decimal point. */

/** Shown for "not measured" or "does not apply". */
export const DASH = "—";

/**
 * A share (0 to 1) as per cent with one decimal: "99.7 %".
 *
 * Rounded down, so that a share just under a threshold never shows as the threshold, and 100 % means all.
 */
export function percent(share: number | null): string {
  if (share === null || !Number.isFinite(share)) return DASH;
  if (share === 1 || share === 0) return `${share * 100} %`;
  // The addend corrects binary rounding: 0.997 * 1000 must not become 996.
  const tenths = Math.floor(share * 1000 + 1e-6);
  return tenths === 0 ? "< 0.1 %" : `${(tenths / 10).toFixed(1)} %`;
}

/** A configured share (a threshold), without trailing zeros: "99 %", "99.5 %". */
export function threshold(share: number): string {
  return `${Number((share * 100).toFixed(3))} %`;
}

/** A duration in milliseconds: "0.4 ms", "340 ms", "1.2 s", "2 min 5 s". */
export function duration(ms: number | null): string {
  if (ms === null || !Number.isFinite(ms)) return DASH;
  if (ms < 0) return `−${duration(-ms)}`;
  if (ms === 0) return "0 ms";
  if (ms < 9.95) return `${ms.toFixed(1)} ms`;
  if (Math.round(ms) < 1000) return `${Math.round(ms)} ms`;
  if (Math.round(ms / 100) < 1200) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  const rest = seconds % 60;
  return rest === 0 ? `${Math.floor(seconds / 60)} min` : `${Math.floor(seconds / 60)} min ${rest} s`;
}

/** `0.4 s`, `12.3 s`, `3 min 5 s`. */
export function seconds(ms: number): string {
  return ms < 120_000 ? `${(ms / 1000).toFixed(1)} s` : wholeSeconds(ms);
}

/** `41 s`, `3 min 5 s`. Rounded up, so that a countdown ends with 0. */
export function wholeSeconds(ms: number): string {
  const total = Math.max(0, Math.ceil(ms / 1000));
  return total < 120 ? `${total} s` : `${Math.floor(total / 60)} min ${total % 60} s`;
}

const NAMED = 5;

/** At most five: "a, b, c, d, e and 3 more". */
export function names(all: readonly string[]): string {
  const more = all.length - NAMED;
  return more <= 0 ? all.join(", ") : `${all.slice(0, NAMED).join(", ")} and ${more} more`;
}

/** "1 kill", "2 kills". */
export function plural(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

/** Counts by name, the most frequent first: "12 timeout, 3 refused"; a dash if there are none. */
export function counts(byName: Readonly<Partial<Record<string, number>>>): string {
  const entries = Object.entries(byName).filter((entry): entry is [string, number] => (entry[1] ?? 0) > 0);
  entries.sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
  return entries.length === 0 ? DASH : entries.map(([name, count]) => `${count} ${name}`).join(", ");
}
