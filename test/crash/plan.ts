/** Which points the runner is killed at. Pure: a seed and a number always give the same point. */
import { API_SERVER, ATTACKS, usualMs, type AttackKind } from "./attacks.js";
import { PHASES, type Hit, type Phase } from "./phases.js";
import { randomFrom, shuffled } from "./random.js";

/** SIGINT2: a second SIGINT right after the first. */
export const SIGNALS = ["SIGKILL", "SIGINT", "SIGINT2"] as const;
export type PointSignal = (typeof SIGNALS)[number];

/** Who puts everything back after a SIGKILL. */
export type Restorer =
  /** `chaos restore --all`. */
  | { readonly by: "restore" }
  /** The same, itself killed so long after its start, and run again. */
  | { readonly by: "restore twice"; readonly killAfterMs: number }
  /** The run's own watchdog, alone. */
  | { readonly by: "watchdog" };

export interface Point {
  readonly seed: number;
  readonly number: number;
  readonly signal: PointSignal;
  readonly attack: AttackKind;
  readonly phase: Phase;
  /** After the start of the phase, ms. */
  readonly delayMs: number;
  /** With SIGINT2: so long after the first, ms. */
  readonly secondAfterMs: number;
  /** keep: the guestbook is there before and stays; full: the run deploys it and takes it away. */
  readonly mode: "full" | "keep";
  readonly restorer: Restorer;
}

/** Of the runs that are killed while they deploy or take away, and of the others: how many do so with the guestbook. */
const FULL_SHARE = { ofItsPhases: 0.6, ofOthers: 0.1 };
const WATCHDOG_SHARE = 1 / 3;
/** Of those that `chaos restore` puts right. */
const TWICE_SHARE = 0.3;
const LONGEST_RESTORE_MS = 1_500;
const LONGEST_SECOND_MS = 300;

/** So many points of a seed, from number 1. Ten in a row have all ten phases, and all attacks. */
export function planPoints(seed: number, count: number, signal: PointSignal = "SIGKILL"): Point[] {
  return Array.from({ length: count }, (_, index) => pointAt(seed, index + 1, { signal }));
}

/**
 * One point.
 *
 * @param wanted `phase`: this one instead of the plan's (a phase that was missed is drawn again); `nearer`: the share
 * of the phase's usual duration that the delay is drawn from, for one that turned out to be shorter.
 */
export function pointAt(
  seed: number,
  number: number,
  wanted: { readonly signal?: PointSignal; readonly phase?: Phase; readonly nearer?: number } = {},
): Point {
  const { signal = "SIGKILL", nearer = 1 } = wanted;
  const round = Math.floor((number - 1) / PHASES.length);
  const place = (number - 1) % PHASES.length;
  const ofRound = (what: string): (() => number) => randomFrom(`${seed}/${signal}/${what}/${round}`);
  const attacks = shuffled(ATTACKS, ofRound("attacks")).map((each) =>
    round % 2 === 0 && each.name === "scheduler" ? API_SERVER : each,
  );
  const attack = attacks[place] as AttackKind;
  const planned = shuffled(PHASES, ofRound("phases"))[place] as Phase;
  const phase = wanted.phase ?? planned;
  // Every number is drawn, whether it is needed or not: what is wanted must not change the others.
  const random = randomFrom(`${seed}/${signal}/${number}`);
  const [delay, second, full, watchdog, twice, killAfter] = Array.from({ length: 6 }, random) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const fullShare = phase === "deploy" || phase === "teardown" ? FULL_SHARE.ofItsPhases : FULL_SHARE.ofOthers;
  const mode = full < fullShare ? "full" : "keep";
  return {
    seed,
    number,
    signal,
    attack,
    phase,
    delayMs: Math.floor(delay * nearer * usualMs(phase, attack, mode)),
    secondAfterMs: Math.floor(second * LONGEST_SECOND_MS),
    mode,
    restorer:
      watchdog < WATCHDOG_SHARE
        ? { by: "watchdog" }
        : twice < TWICE_SHARE
          ? { by: "restore twice", killAfterMs: Math.floor(killAfter * LONGEST_RESTORE_MS) }
          : { by: "restore" },
  };
}

/** How many real hits every phase must end with: five of a hundred points, one of fifteen. */
export function neededHits(count: number): number {
  return count < PHASES.length ? 0 : Math.max(1, Math.floor(count / (2 * PHASES.length)));
}

/** Phases that were hit too rarely, each so often as it is missing. */
export function missingPhases(hits: readonly Hit[], needed: number): Phase[] {
  return PHASES.flatMap((phase) => {
    const missing = needed - hits.filter((hit) => hit === phase).length;
    return Array.from({ length: Math.max(0, missing) }, () => phase);
  });
}

/** The guestbook is deployed, or taken away, once in between: first those that bring their own. */
export function inOrder(points: readonly Point[]): Point[] {
  return [...points].sort((a, b) => a.mode.localeCompare(b.mode));
}
