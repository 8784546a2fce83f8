/**
 * Converts the probers' clocks to the runner's clock. An agent's monotonic clock restarts with the agent, so every
 * boot has its own offset. A sample whose boot has no offset cannot be placed in time. It is ignored, with a
 * warning.
 */
import { plural } from "../common/figures.js";
import type { RunEvent } from "../evidence/events.js";
import { FAILURE_KINDS, type ProbeLine, type RawSamples, RUNNER_SOURCE } from "../evidence/sample.js";
import { PROBES, type ProbeName } from "../experiment/names.js";
import { OwnDelays, REACH_MS } from "./disturbed.js";
import type { ClosedSpan } from "./phases.js";
import { inOrder, type Point, type Series } from "./series.js";
import { isWithin } from "./spans.js";

/** runnerMs = agentMs + offsetMs, accurate to ± uncertaintyMs. */
export interface Clock {
  readonly source: string;
  readonly boot: string;
  readonly offsetMs: number;
  readonly uncertaintyMs: number;
}

const keyOf = (source: string, boot: string): string => JSON.stringify([source, boot]);

/**
 * One clock for each source and boot: the measurement with the least uncertainty. If another measurement
 * contradicts it (the clocks of two machines drift), the uncertainty is widened until it covers all measurements.
 */
export function clocksOf(events: readonly RunEvent[]): Clock[] {
  const measured = new Map<string, Clock[]>();
  for (const event of events) {
    if (event.type !== "clock") continue;
    const { source, boot, offsetMs, uncertaintyMs } = event;
    const key = keyOf(source, boot);
    measured.set(key, [...(measured.get(key) ?? []), { source, boot, offsetMs, uncertaintyMs }]);
  }
  return [...measured.values()].map((clocks) => {
    const best = clocks.reduce((a, b) => (b.uncertaintyMs < a.uncertaintyMs ? b : a));
    const contradiction = clocks.map(
      (clock) => Math.abs(clock.offsetMs - best.offsetMs) - clock.uncertaintyMs,
    );
    return { ...best, uncertaintyMs: Math.max(best.uncertaintyMs, ...contradiction) };
  });
}

/** What the outcome of a sample is stored as: its position here. */
const OUTCOMES: readonly Pick<Point, "outcome" | "kind" | "disturbed">[] = [
  { outcome: "good" },
  { outcome: "missed" },
  ...FAILURE_KINDS.map((kind) => ({ outcome: "failed", kind }) as const),
  { outcome: "good", disturbed: true },
  { outcome: "missed", disturbed: true },
];
const GOOD = 0;
const GOOD_BUT_LATE = OUTCOMES.length - 2;
const LEFT_OUT = OUTCOMES.length - 1;

function outcomeOf(line: ProbeLine): number {
  if ("missed" in line) return 1;
  return line.ok ? 0 : 2 + Math.max(0, FAILURE_KINDS.indexOf(line.kind));
}

/**
 * The points of a series as numbers: a long run has close to a million of them, and as objects they would need five times
 * the memory. V8 keeps an array of numbers unboxed.
 */
class PackedPoints {
  readonly #tMs: number[] = [];
  readonly #durationMs: number[] = [];
  readonly #outcome: number[] = [];
  /** Position in `#targets`; 0: none. */
  readonly #target: number[] = [];
  readonly #targets: (string | undefined)[] = [undefined];
  /** By position of the sample: only failed ones have a message. Equal messages share one string. */
  readonly #messages = new Map<number, string>();
  readonly #message = new Map<string, string>();

  add(line: ProbeLine, offsetMs: number): void {
    // Microseconds: smaller digits are only noise from adding two binary fractions.
    this.#tMs.push(Math.round((line.t + offsetMs) * 1000) / 1000);
    this.#durationMs.push("missed" in line ? 0 : line.d);
    this.#outcome.push(outcomeOf(line));
    this.#target.push(this.#positionOf("target" in line ? line.target : undefined));
    const message = "message" in line ? line.message : undefined;
    if (message === undefined) return;
    const shared = this.#message.get(message) ?? message;
    this.#message.set(shared, shared);
    this.#messages.set(this.#tMs.length - 1, shared);
  }

  /** A series has few targets, so their names are kept once. */
  #positionOf(target: string | undefined): number {
    const position = this.#targets.lastIndexOf(target);
    return position === -1 ? this.#targets.push(target) - 1 : position;
  }

  /** Leaves out the samples around a stall, and the length of those around a shorter delay. */
  disturb({ late, stalls }: OwnDelays): void {
    if (late.length === 0) return;
    this.#tMs.forEach((tMs, index) => {
      if (isWithin(stalls, tMs, tMs + REACH_MS)) this.#outcome[index] = LEFT_OUT;
      else if (this.#outcome[index] === GOOD && isWithin(late, tMs, tMs + REACH_MS))
        this.#outcome[index] = GOOD_BUT_LATE;
    });
  }

  inOrder(): Point[] {
    return inOrder(
      this.#tMs.map((tMs, index) => {
        const target = this.#targets[this.#target[index] ?? 0];
        const message = this.#messages.get(index);
        return {
          tMs,
          durationMs: this.#durationMs[index] ?? 0,
          ...(OUTCOMES[this.#outcome[index] ?? 1] ?? { outcome: "missed" }),
          ...(target === undefined ? {} : { target }),
          ...(message === undefined ? {} : { message }),
        };
      }),
    );
  }
}

/** What is collected of one series. */
interface Group {
  readonly probe: ProbeName;
  readonly source: string;
  readonly points: PackedPoints;
  uncertainty: number;
}

/** Adds the lines of one file to their groups. `lost` counts the lines that could not be placed in time, by reason. */
function place(
  raw: RawSamples,
  clocks: ReadonlyMap<string, Clock>,
  groups: Map<ProbeName, Group>,
  delays: OwnDelays,
): { lost: Map<string, number>; boots: Set<string> } {
  const lost = new Map<string, number>();
  const boots = new Set<string>();
  const runner = raw.source === RUNNER_SOURCE;
  let clock: Pick<Clock, "offsetMs" | "uncertaintyMs"> | undefined = runner
    ? { offsetMs: 0, uncertaintyMs: 0 }
    : undefined;
  let why = "before any boot line";
  for (const line of raw.lines) {
    if ("boot" in line) {
      boots.add(line.boot);
      if (!runner) clock = clocks.get(keyOf(raw.source, line.boot));
      why = `of boot ${line.boot}, whose clock was never measured`;
    } else if (clock === undefined) {
      if (!("own" in line)) lost.set(why, (lost.get(why) ?? 0) + 1);
    } else if ("own" in line) {
      delays.add(line, clock.offsetMs);
    } else {
      const { probe } = line;
      const group = groups.get(probe) ?? {
        probe,
        source: raw.source,
        points: new PackedPoints(),
        uncertainty: 0,
      };
      groups.set(probe, group);
      group.points.add(line, clock.offsetMs);
      group.uncertainty = Math.max(group.uncertainty, clock.uncertaintyMs);
    }
  }
  return { lost, boots };
}

/**
 * All series of a run in the runner's time, ordered by probe (from the application down) and source.
 *
 * @returns also what each source tells about its own delay, and one warning for each problem: samples that were ignored,
 *   agents that restarted.
 */
export function seriesOf(
  samples: readonly RawSamples[],
  clocks: readonly Clock[],
): { series: Series[]; delays: ReadonlyMap<string, OwnDelays>; warnings: string[] } {
  const byKey = new Map(clocks.map((clock) => [keyOf(clock.source, clock.boot), clock]));
  /** By source, then by probe. */
  const groups = new Map<string, Map<ProbeName, Group>>();
  const boots = new Map<string, Set<string>>();
  const delays = new Map<string, OwnDelays>();
  const warnings: string[] = [];
  for (const raw of samples) {
    const ofSource = groups.get(raw.source) ?? new Map<ProbeName, Group>();
    groups.set(raw.source, ofSource);
    const own = delays.get(raw.source) ?? new OwnDelays();
    delays.set(raw.source, own);
    const file = place(raw, byKey, ofSource, own);
    for (const [why, count] of file.lost) {
      warnings.push(
        `${raw.source}: ${plural(count, "sample")} ${why}: ignored, because they cannot be placed in time.`,
      );
    }
    boots.set(raw.source, new Set([...(boots.get(raw.source) ?? []), ...file.boots]));
  }
  for (const [source, seen] of boots) {
    if (seen.size > 1) warnings.push(`${source}: the prober started ${seen.size} times during the run.`);
  }
  const all = [...groups.values()].flatMap((ofSource) => [...ofSource.values()]);
  for (const { source, points } of all) points.disturb(delays.get(source) ?? new OwnDelays());
  const series = all.map(({ probe, source, points, uncertainty }) => ({
    probe,
    source,
    get points() {
      return points.inOrder();
    },
    clockUncertaintyMs: uncertainty,
  }));
  series.sort((a, b) => PROBES.indexOf(a.probe) - PROBES.indexOf(b.probe) || (a.source < b.source ? -1 : 1));
  return { series, delays, warnings };
}

/** Whether a prober or the runner stalled within the span. */
export function stalledIn(
  span: ClosedSpan,
  events: readonly RunEvent[],
  samples: readonly RawSamples[],
): boolean {
  const { delays } = seriesOf(samples, clocksOf(events));
  return [...delays].some(([source, own]) => (own.within(source, span)?.spans ?? []).length > 0);
}
