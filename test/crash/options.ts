/** Arguments of the crash test. Pure. */
import { parseArgs } from "node:util";
import { PHASES, type Phase } from "./phases.js";
import { SIGNALS, type PointSignal } from "./plan.js";

export interface CrashOptions {
  readonly seed: number;
  readonly points: number;
  readonly short: boolean;
  /** The points of another kind (kinds.ts) instead of those with a signal. */
  readonly kinds: boolean;
  readonly signal: PointSignal;
  /** Only these numbers; empty: all. */
  readonly only: readonly number[];
  /** With `only`: this phase instead of the planned one. */
  readonly phase?: Phase;
}

/**
 * The seed whose short form takes the least time, of the first 3000 seeds. Its points kill the runner after the first
 * change of a static-pod, a systemd-unit and a flapping attack, and leave two of these to the watchdog.
 */
const SHORT_SEED = "2119";

export const USAGE = `npm run test:crash -- [options]
  --points N      number of points (100)
  --seed N        seed of the random numbers (1; with --short ${SHORT_SEED})
  --signal NAME   ${SIGNALS.join(", ")} (SIGKILL)
  --kinds         instead: a node's container restarts, the runner's machine booted again, a policy refuses the restore
  --short         10 points of SIGKILL (each phase and each attack once), 1 of SIGINT, 1 of SIGINT2, 1 of --kinds
  --point LIST    only the points with these numbers: 7, or 1-20,33
  --phase NAME    with --point: in this phase instead of the planned one`;

/** @throws Error that says which argument is wrong. */
export function readOptions(argv: readonly string[]): CrashOptions {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      points: { type: "string", default: "100" },
      seed: { type: "string" },
      signal: { type: "string", default: "SIGKILL" },
      short: { type: "boolean", default: false },
      kinds: { type: "boolean", default: false },
      point: { type: "string" },
      phase: { type: "string" },
    },
  });
  const signal = oneOf(SIGNALS, "--signal", values.signal);
  const phase = values.phase === undefined ? {} : { phase: oneOf(PHASES, "--phase", values.phase) };
  const only = values.point === undefined ? [] : values.point.split(",").flatMap(range);
  if (values.phase !== undefined && only.length === 0) throw new Error("--phase needs --point");
  return {
    seed: whole("--seed", values.seed ?? (values.short ? SHORT_SEED : "1")),
    points: whole("--points", values.points),
    short: values.short,
    kinds: values.kinds,
    signal,
    only,
    ...phase,
  };
}

function range(text: string): number[] {
  const [first = "", last = first] = text.split("-");
  const [from, to] = [whole("--point", first), whole("--point", last)];
  return Array.from({ length: Math.max(0, to - from + 1) }, (_, index) => from + index);
}

function whole(name: string, text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new Error(`${name} must be a whole number from 1, not ${text}`);
  return Number(text);
}

function oneOf<T extends string>(allowed: readonly T[], name: string, text: string): T {
  const found = allowed.find((each) => each === text);
  if (found === undefined) throw new Error(`${name} must be one of ${allowed.join(", ")}, not ${text}`);
  return found;
}
