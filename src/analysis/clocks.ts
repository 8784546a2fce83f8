/**
 * Converts the probers' clocks to the runner's clock. An agent's monotonic clock restarts with the agent, so every
 * boot has its own offset. A sample whose boot has no offset cannot be placed in time. It is ignored, with a
 * warning.
 */
import { plural } from "../common/figures.js";
import type { RunEvent } from "../evidence/events.js";
import { type RawSamples, type SampleLine } from "../evidence/sample.js";
import { PROBES, type ProbeName } from "../experiment/names.js";
import { inOrder, type Point, type Series } from "./series.js";

/** The source whose samples already use the runner's clock. */
export const RUNNER_SOURCE = "runner";

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

function pointOf(line: Exclude<SampleLine, { boot: string }>, offsetMs: number): Point {
  // Microseconds: smaller digits are only noise from adding two binary fractions.
  const tMs = Math.round((line.t + offsetMs) * 1000) / 1000;
  if ("missed" in line) return { tMs, durationMs: 0, outcome: "missed" };
  if (line.ok) return { tMs, durationMs: line.d, outcome: "good" };
  return { tMs, durationMs: line.d, outcome: "failed", kind: line.kind };
}

interface Placed {
  readonly probe: ProbeName;
  readonly point: Point;
  readonly uncertaintyMs: number;
}

/** The lines of one file, placed in the runner's time. `lost` counts the lines that could not be placed, by reason. */
function place(
  raw: RawSamples,
  clocks: ReadonlyMap<string, Clock>,
): { placed: Placed[]; lost: Map<string, number>; boots: Set<string> } {
  const placed: Placed[] = [];
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
      lost.set(why, (lost.get(why) ?? 0) + 1);
    } else {
      placed.push({
        probe: line.probe,
        point: pointOf(line, clock.offsetMs),
        uncertaintyMs: clock.uncertaintyMs,
      });
    }
  }
  return { placed, lost, boots };
}

/**
 * All series of a run in the runner's time, ordered by probe (from the application down) and source.
 *
 * @returns also one warning for each problem: samples that were ignored, agents that restarted.
 */
export function seriesOf(
  samples: readonly RawSamples[],
  clocks: readonly Clock[],
): { series: Series[]; warnings: string[] } {
  const byKey = new Map(clocks.map((clock) => [keyOf(clock.source, clock.boot), clock]));
  const groups = new Map<
    string,
    { probe: ProbeName; source: string; points: Point[]; uncertainty: number }
  >();
  const boots = new Map<string, Set<string>>();
  const warnings: string[] = [];
  for (const raw of samples) {
    const file = place(raw, byKey);
    for (const { probe, point, uncertaintyMs } of file.placed) {
      const key = keyOf(raw.source, probe);
      const group = groups.get(key) ?? { probe, source: raw.source, points: [], uncertainty: 0 };
      group.points.push(point);
      group.uncertainty = Math.max(group.uncertainty, uncertaintyMs);
      groups.set(key, group);
    }
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
  const series = [...groups.values()].map(({ probe, source, points, uncertainty }) => ({
    probe,
    source,
    points: inOrder(points),
    clockUncertaintyMs: uncertainty,
  }));
  series.sort((a, b) => PROBES.indexOf(a.probe) - PROBES.indexOf(b.probe) || (a.source < b.source ? -1 : 1));
  return { series, warnings };
}
