/** The points at which the runner is killed. Pure: a seed and a number always give the same point. */
import { API_SERVER, ATTACKS, usualMs, type AttackKind } from "./attacks.js";
import { PHASES, type Hit, type Phase } from "./phases.js";
import { randomFrom, shuffled } from "./random.js";

/** SIGINT2: a second SIGINT right after the first. */
export const SIGNALS = ["SIGKILL", "SIGINT", "SIGINT2"] as const;
export type PointSignal = (typeof SIGNALS)[number];

/** Who restores after a SIGKILL. */
export type Restorer =
  /** `chaos restore --all`. */
  | { readonly by: "restore" }
  /** The same, but killed this long after its start, and run again. */
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
  /** With SIGINT2: time from the first SIGINT to the second, ms. */
  readonly secondAfterMs: number;
  /** keep: the guestbook exists before the run and stays; full: the run deploys and removes it. */
  readonly mode: "full" | "keep";
  readonly restorer: Restorer;
}

/** Share of `full` among the points in deploy and tear-down, and among all other points. */
const FULL_SHARE = { deployAndTearDown: 0.6, otherPhases: 0.1 };
const WATCHDOG_SHARE = 1 / 3;
/** Of the points that `chaos restore` restores: the share in which it is killed once itself. */
const TWICE_SHARE = 0.3;
const LONGEST_RESTORE_MS = 1_500;
const LONGEST_SECOND_MS = 300;

/** The first `count` points of a seed. Each ten in a row cover all ten phases and all attacks. */
export function planPoints(seed: number, count: number, signal: PointSignal = "SIGKILL"): Point[] {
  return Array.from({ length: count }, (_, index) => pointAt(seed, index + 1, { signal }));
}

/**
 * One point.
 *
 * @param wanted `phase`: this one instead of the planned one (to draw a missed phase again); `nearer`: the share of the
 * phase's usual duration from which the delay is drawn, for a phase that turned out to be shorter.
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
  // Always draw all six numbers: `wanted` must not change the ones after it.
  const random = randomFrom(`${seed}/${signal}/${number}`);
  const [delay, second, full, watchdog, twice, killAfter] = Array.from({ length: 6 }, random) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const fullShare =
    phase === "deploy" || phase === "teardown" ? FULL_SHARE.deployAndTearDown : FULL_SHARE.otherPhases;
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

/** How many hits every phase needs: five of a hundred points, one of ten. */
export function neededHits(count: number): number {
  return count < PHASES.length ? 0 : Math.max(1, Math.floor(count / (2 * PHASES.length)));
}

/** Phases that were hit too rarely, each as often as hits are missing. */
export function missingPhases(hits: readonly Hit[], needed: number): Phase[] {
  return PHASES.flatMap((phase) => {
    const missing = needed - hits.filter((hit) => hit === phase).length;
    return Array.from({ length: Math.max(0, missing) }, () => phase);
  });
}

/** `full` points first, then `keep`: so the guestbook is deployed only once in between. */
export function inOrder(points: readonly Point[]): Point[] {
  return [...points].sort((a, b) => a.mode.localeCompare(b.mode));
}
