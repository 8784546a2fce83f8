/**
 * When the measuring itself was late: a prober, or the runner. Pure. Milliseconds since the run began.
 *
 * A delay under {@link STALL_MS} makes a sample longer, but does not let it fail: the lengths of samples that were sent
 * during it, or less than {@link REACH_MS} before it, are left out, and their outcomes count. Around a longer delay, a
 * stall, all samples are left out: the good ones, too, and whatever their length. A stall does not choose by outcome, so what is left is unbiased. (Dropping only the failed
 * ones would hide real failures. Dropping every sample that overlaps a stall would, too: a sample that waits 2 s for its
 * time-out meets a stall far more often than one that is answered in 5 ms.)
 * An outage that began before a stall and lasts after it is one outage, as with missed ticks. What is left out is bounded
 * ({@link MOST_DISTURBED}, {@link LONGEST_STRETCH}): beyond, the run is inconclusive.
 */
import { duration, percent, threshold } from "../common/figures.js";
import { RUNNER_SOURCE, type OwnLine } from "../evidence/sample.js";
import type { RunFacts } from "../evidence/facts.js";
import type { ClosedSpan, MeasuredSpans } from "./phases.js";
import type { DisturbedSource, InconclusiveReason, Suppression } from "./result.js";
import { coveredMs, meets, merged } from "./spans.js";
import { isKeptDown } from "./times-down.js";

/**
 * From this delay on it is a stall, ms. A sample waits for the event loop twice or three times (connected, sent, answered):
 * three shorter delays stay under the shortest time-out, a TCP connect's 900 ms.
 */
export const STALL_MS = 250;

/**
 * A sample that waits for its answer longer than this when the stall begins is slow or failing without it, ms: the default
 * sampling interval, several times what a healthy answer takes on a busy machine (measured: p95 under 140 ms).
 */
export const REACH_MS = 250;

/** At most this share of a phase may be disturbed for any prober: the rest is its samples, as for missed ticks. */
const MOST_DISTURBED = 0.5;

/**
 * At most this share of a phase may be disturbed at a stretch for any prober, or in all for the runner. An outage can only
 * hide in a stretch without samples: short delays with samples between them leave a fair part of it.
 */
const LONGEST_STRETCH = 0.2;

/** A machine counts as busy from this share of time in which tasks waited for a CPU, or which the hypervisor took. */
const BUSY_PRESSURE = 0.5;
const BUSY_STEAL = 0.1;

/** The lines of one source about itself, in the runner's time. */
export class OwnDelays {
  readonly #late: ClosedSpan[] = [];
  readonly #stalls: ClosedSpan[] = [];
  readonly #busy: { readonly span: ClosedSpan; readonly pressure: number; readonly steal: number }[] = [];

  add(line: OwnLine, offsetMs: number): void {
    // Microseconds, as for samples.
    const fromMs = Math.round((line.t + offsetMs) * 1000) / 1000;
    const span = { fromMs, toMs: Math.round((fromMs + line.d) * 1000) / 1000 };
    if (line.own === "late") {
      this.#late.push(span);
      if (line.late >= STALL_MS) this.#stalls.push(span);
    } else if (line.own === "cpu") this.#busy.push({ span, pressure: line.pressure, steal: line.steal });
  }

  /** When it was late, in order, without overlaps. */
  get late(): ClosedSpan[] {
    return merged(this.#late);
  }

  /** When it was late for at least {@link STALL_MS}, in order, without overlaps. */
  get stalls(): ClosedSpan[] {
    return merged(this.#stalls);
  }

  /** What is known within a span; undefined: it was on time, and its machine was not busy. */
  within(source: string, span: ClosedSpan | null): DisturbedSource | undefined {
    if (span === null) return undefined;
    const busy = this.#busy.filter((each) => meets(each.span, span));
    const spans = this.stalls
      .filter((each) => meets(each, span))
      .map(({ fromMs, toMs }) => ({
        fromMs: Math.max(fromMs, span.fromMs),
        toMs: Math.min(toMs, span.toMs),
      }));
    const lateMs = coveredMs(this.late, span);
    const pressure = Math.max(0, ...busy.map((each) => each.pressure));
    const steal = Math.max(0, ...busy.map((each) => each.steal));
    return lateMs + busy.length === 0 ? undefined : { source, spans, lateMs, pressure, steal };
  }
}

/** When the runner was late. */
export function runnerStalls(disturbed: readonly DisturbedSource[]): readonly ClosedSpan[] {
  return disturbed.find(({ source }) => source === RUNNER_SOURCE)?.spans ?? [];
}

/** Whether a source was late, or its machine busy: what is refused then is worth a second try. */
export function wasDisturbed(disturbed: readonly DisturbedSource[]): boolean {
  return disturbed.some(
    ({ spans, pressure, steal }) => spans.length > 0 || pressure >= BUSY_PRESSURE || steal >= BUSY_STEAL,
  );
}

/** What a source is called in a sentence. */
const called = (source: string): string =>
  source === RUNNER_SOURCE ? "the runner" : `the prober on ${source}`;

/** "the prober on kind-worker was late for 1.20 s in total, and on its machine tasks waited for a CPU for up to 87 % of the time". */
function words({ source, lateMs, pressure, steal }: DisturbedSource): string {
  const seen = [
    ...(lateMs > 0 ? [`was late for ${duration(lateMs)} in total`] : []),
    ...(pressure > 0 ? [`had tasks that waited for a CPU for up to ${percent(pressure)} of the time`] : []),
    ...(steal > 0 ? [`lost up to ${percent(steal)} of its CPUs' time to other machines`] : []),
  ];
  return `${lateMs > 0 ? "" : "the machine of "}${called(source)} ${seen.join(", ")}`;
}

/** At most this many sources are named. */
const NAMED = 3;

/** The sources that were late or whose machine was busy, the latest first, as the end of a sentence. */
export function disturbedWords(disturbed: readonly DisturbedSource[]): string {
  const order = [...disturbed].sort((a, b) => b.lateMs - a.lateMs || b.pressure - a.pressure);
  const more = order.length > NAMED ? [`and ${order.length - NAMED} others`] : [];
  return [...order.slice(0, NAMED).map(words), ...more].join("; ");
}

/** The longest time within the span in which delays leave no room for a sample, ms. @param spans in order. */
function longestStretchMs(spans: readonly ClosedSpan[], span: ClosedSpan, intervalMs: number): number {
  let [longest, fromMs, lastMs] = [0, -Infinity, -Infinity];
  for (const each of spans) {
    const start = Math.max(each.fromMs, span.fromMs);
    const end = Math.min(each.toMs, span.toMs);
    if (end <= start) continue;
    if (start - lastMs >= intervalMs + REACH_MS) fromMs = start;
    lastMs = end;
    longest = Math.max(longest, end - fromMs);
  }
  return longest;
}

/** "55.0 % of the window (at most 50 %)"; undefined: it was not late for too long. */
function tooLate(
  { source, spans }: DisturbedSource,
  phase: string,
  span: ClosedSpan,
  intervalMs: number,
): string | undefined {
  const wholeMs = span.toMs - span.fromMs;
  const ms = coveredMs(spans, span);
  const most = source === RUNNER_SOURCE ? LONGEST_STRETCH : MOST_DISTURBED;
  if (ms > wholeMs * most) return `${percent(ms / wholeMs)} of the ${phase} (at most ${threshold(most)})`;
  const stretchMs = longestStretchMs(spans, span, intervalMs);
  if (stretchMs <= wholeMs * LONGEST_STRETCH) return undefined;
  return `${percent(stretchMs / wholeMs)} of the ${phase} at a stretch (at most ${threshold(LONGEST_STRETCH)})`;
}

/** The share of time without a serving instance, with the time in which the runner was late. */
function plainShare({ windowMs, servingMs, downAfterMs }: Suppression): number {
  if (downAfterMs === null || windowMs <= downAfterMs) return 0;
  return (windowMs - servingMs) / (windowMs - downAfterMs);
}

/**
 * The sources that were late for too much of a phase. The probers' delays cost samples. The runner's delays cost nothing
 * if the target was kept down nevertheless: what a watch reports late is still reported. Otherwise late kills may be why.
 */
export function disturbedReasons(
  facts: RunFacts,
  disturbed: readonly DisturbedSource[],
  spans: MeasuredSpans,
  suppression: Suppression | null,
): { code: InconclusiveReason; message: string }[] {
  const notKeptDown =
    isKeptDown(facts) &&
    suppression !== null &&
    plainShare(suppression) < facts.experiment.thresholds.suppression;
  const counts = (source: string, phase: keyof MeasuredSpans): boolean =>
    source === RUNNER_SOURCE ? phase === "window" && notKeptDown : facts.sources.includes(source);
  return disturbed.flatMap((each) =>
    (["baseline", "window"] as const).flatMap((phase) => {
      const span = spans[phase];
      if (span === null || !counts(each.source, phase)) return [];
      const share = tooLate(each, phase, span, facts.experiment.probes.interval);
      if (share === undefined) return [];
      const who = called(each.source);
      return [
        {
          code: "disturbed" as const,
          message:
            `${who.charAt(0).toUpperCase()}${who.slice(1)} stalled for ${share}, so what it ` +
            "measured or did then counts for nothing. Repeat the run when its machine is less busy.",
        },
      ];
    }),
  );
}
