/** Shared by all lanes of the timeline: sizes, colours, the axis and texts. */

export const WIDTH = 1000;
export const LEFT = 208;
export const RIGHT = 924;
export const ROW = 17;
export const TOP = 86;
export const COLOUR = {
  good: "#0072B2",
  failed: "#D55E00",
  missed: "#7f7f7f",
  outage: "#000000",
  ready: "#009E73",
  text: "#1a1a1a",
  faint: "#5a5a5a",
  rule: "#d9d9d9",
} as const;
/** A share under this is printed in bold. */
export const BOLD_BELOW = 0.5;

/** Maps the run's time to the picture's x axis. */
export interface Axis {
  readonly fromMs: number;
  readonly toMs: number;
  /** Zero of the axis. */
  readonly zeroMs: number;
}

export const round = (value: number): number => Math.round(value * 10) / 10;

export function xOf({ fromMs, toMs }: Axis, tMs: number): number {
  const share = (tMs - fromMs) / (toMs - fromMs);
  return round(LEFT + Math.min(1, Math.max(0, share)) * (RIGHT - LEFT));
}

export interface TextStyle {
  readonly anchor?: "start" | "middle" | "end";
  readonly size?: number;
  readonly fill?: string;
  readonly bold?: boolean;
}

export function text(x: number, y: number, content: string, style: TextStyle = {}): string {
  const { anchor = "start", size = 11, fill = COLOUR.text, bold = false } = style;
  const weight = bold ? ' font-weight="bold"' : "";
  return (
    `<text x="${round(x)}" y="${round(y)}" text-anchor="${anchor}" font-size="${size}" ` +
    `fill="${fill}"${weight}>${xml(content)}</text>`
  );
}

/** Cuts a text that would be wider than `width` px. No font is loaded, so the width is an upper estimate. */
export function fit(content: string, width: number, size = 11): string {
  const most = Math.floor(width / (size * 0.58));
  return content.length <= most ? content : `${content.slice(0, Math.max(1, most - 1))}…`;
}

/** The same, cut at the start, because node names of a cluster differ at the end. */
export function fitEnd(content: string, width: number, size: number): string {
  const reversed = (text: string): string => [...text].reverse().join("");
  return reversed(fit(reversed(content), width, size));
}

/** Text for XML content or attributes, without the characters that XML forbids. */
export function xml(text: string): string {
  return (
    text
      // eslint-disable-next-line no-control-regex
      .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f]/g, "")
      .replaceAll("&", "&amp;")
      .replaceAll("<", "&lt;")
      .replaceAll(">", "&gt;")
      .replaceAll('"', "&quot;")
  );
}
