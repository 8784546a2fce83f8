import type { PhaseName, RunEvent } from "../evidence/events.js";
import type { Progress } from "../common/progress.js";
import { JsonView } from "./json.js";
import { PlainView } from "./plain.js";
import { TerminalView } from "./terminal.js";

/** Where a view writes. */
export type ViewStream = NodeJS.WritableStream & { readonly isTTY?: boolean; readonly columns?: number };

/** What the live line of a phase shows; counts since the phase began. */
export interface LiveState {
  /** App → DB samples that were good, and that were not. */
  readonly ok: number;
  readonly failing: number;
  readonly kills: number;
  /** Ready endpoints of the target's Services; undefined: not known (yet). */
  readonly endpointsReady: number | undefined;
  readonly note?: string;
}

/** How a run is shown while it goes on. */
export interface RunView extends Progress {
  /** A phase begins. `totalMs`: how long it will take (of recovery: at most); undefined: not known. */
  phase(name: PhaseName, totalMs: number | undefined): void;
  /** The newest counts of the phase; cheap, may be called for every sample. */
  live(state: LiveState): void;
  event(event: RunEvent): void;
  /** The phase that was begun last is over. */
  phaseEnd(name: PhaseName): void;
  /** Leaves the terminal to `work` (a question to the user): nothing is redrawn over it until it is done. */
  suspended<T>(work: () => Promise<T>): Promise<T>;
  /** What the run came to: lines for people, an object for programs. Once, at the end. */
  result(lines: readonly string[], summary: unknown): void;
  /**
   * Leaves the stream as it was found: no line half drawn, no timer running. What is said afterwards (how to
   * finish an interrupted restore, say) still appears, as plain lines. May be called again.
   */
  close(): void;
}

/** The timers that a view needs. */
export interface Timers {
  setInterval(callback: () => void, ms: number): unknown;
  clearInterval(handle: unknown): void;
}

/** Node's timers, which do not keep the process alive for the sake of its view. */
export const realTimers: Timers = {
  setInterval: (callback, ms) => setInterval(callback, ms).unref(),
  clearInterval: (handle) => clearInterval(handle as NodeJS.Timeout),
};

export interface ViewOptions {
  /** Progress and warnings: stderr. */
  readonly stream: ViewStream;
  /** The result, and with --json everything: stdout. */
  readonly out: NodeJS.WritableStream;
  /** auto: live on a terminal, plain lines otherwise. */
  readonly mode: "auto" | "plain" | "json";
  /** Monotonic milliseconds. Default: performance.now. */
  readonly now?: () => number;
  readonly timers?: Timers;
  readonly env?: Readonly<Record<string, string | undefined>>;
}

/**
 * The view of a run for where its output goes. A reader that goes away (`| head`) silences the view and does
 * not end the run: what was taken down must be put back whether or not anyone is watching.
 */
export function createView(options: ViewOptions): RunView {
  const { stream, out, mode, env = process.env } = options;
  const base = {
    stream,
    out,
    now: options.now ?? ((): number => performance.now()),
    timers: options.timers ?? realTimers,
  };
  for (const target of new Set([stream, out])) target.on("error", ignore);
  if (mode === "json") return new JsonView(base);
  if (mode === "plain" || !isLive(stream, env)) return new PlainView(base);
  return new TerminalView({ ...base, colour: hasColour(env) });
}

/** Whether lines can be redrawn: a terminal that is not dumb, and no CI that only records one. */
function isLive(stream: ViewStream, env: Readonly<Record<string, string | undefined>>): boolean {
  const isCi = (env["CI"] ?? "") !== "" && env["CI"] !== "false";
  return stream.isTTY === true && env["TERM"] !== "dumb" && !isCi;
}

/** https://no-color.org: any value but the empty one switches colour off. */
function hasColour(env: Readonly<Record<string, string | undefined>>): boolean {
  return (env["NO_COLOR"] ?? "") === "";
}

function ignore(): void {
  // The stream's own state says that it is broken; writes to it are dropped by Node.
}
