import type { RunView, Timers, ViewStream } from "./base.js";
import { JsonView } from "./json.js";
import { PlainView } from "./plain.js";
import { TerminalView } from "./terminal.js";

/** Node's timers. They do not keep the process alive. */
const realTimers: Timers = {
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
 * The view of a run for its kind of output. If the reader exits (`| head`), the view becomes silent but the run
 * continues: the cluster must be restored whether or not anyone is watching.
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
  return new TerminalView(base);
}

/**
 * Whether lines can be redrawn: a terminal that is not dumb, not CI, which only records output, and with colour
 * (https://no-color.org: any non-empty value switches it off).
 */
function isLive(stream: ViewStream, env: Readonly<Record<string, string | undefined>>): boolean {
  const isCi = (env["CI"] ?? "") !== "" && env["CI"] !== "false";
  return stream.isTTY === true && env["TERM"] !== "dumb" && !isCi && (env["NO_COLOR"] ?? "") === "";
}

function ignore(): void {
  // Node drops writes to a broken stream.
}
