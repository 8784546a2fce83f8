/**
 * Strays: impairments that noise explains. In a healthy cluster a sample fails now and then. Such a failure counts for the
 * availability and for nothing else.
 *
 * An impairment is no stray if its failures are more than noise explains, alone or together with what failed in the
 * same moment from the same worker, at the same front end, or in the whole run: a loss of packets for 0.3 s fails one
 * sample of each probe. If the others had already been failing, the moment proves nothing: during an outage of the
 * application each stray of the DNS falls into it. Then the impairment must be more than noise of its own series explains.
 *
 * A stray soon before an outage is within its impairment. The part before the outage is judged in the same way, and left
 * out if noise explains it.
 */
import { firstIndex } from "../common/first-index.js";
import type { Impairment, ImpairedSpan } from "./intervals.js";
import { lossBeyondNoise, sumOf, type Counts } from "./noise.js";

/** The impairments of one series, and what is needed to judge them. */
export interface Suspect {
  readonly source: string;
  readonly impairments: readonly Impairment[];
  readonly baseline: Counts;
  /** Good or failed samples in all measured phases. */
  readonly samples: number;
  /** From the first to the last of them, ms. */
  readonly measuredMs: number;
  /** Starts of the failed samples by target, in order; "" for a sample without one. */
  readonly failedAt: ReadonlyMap<string, readonly number[]>;
  /** Good or failed samples by target. */
  readonly askedBy: ReadonlyMap<string, number>;
}

/** What can fail together: its failures in order of time, and its samples per millisecond. */
interface Group {
  readonly failedMs: number[];
  perMs: number;
}

function groupsOf(suspects: readonly Suspect[]): ReadonlyMap<string, Group> {
  const groups = new Map<string, Group>();
  const add = (key: string, failedMs: readonly number[], perMs: number): void => {
    const group = groups.get(key) ?? { failedMs: [], perMs: 0 };
    groups.set(key, group);
    for (const tMs of failedMs) group.failedMs.push(tMs);
    group.perMs += perMs;
  };
  for (const { source, failedAt, askedBy, measuredMs } of suspects) {
    if (measuredMs === 0) continue;
    for (const [target, asked] of askedBy) {
      const failedMs = failedAt.get(target) ?? [];
      const perMs = asked / measuredMs;
      add("run", failedMs, perMs);
      add(`worker ${source}`, failedMs, perMs);
      if (target !== "") add(`front end ${target}`, failedMs, perMs);
    }
  }
  for (const { failedMs } of groups.values()) failedMs.sort((a, b) => a - b);
  return groups;
}

/** How many of the ordered times are below the limit. */
const below = (ordered: readonly number[], limit: number): number =>
  firstIndex(ordered, (tMs) => tMs >= limit);

const shareOf = ({ failed, samples }: Counts): number => failed / samples;

/**
 * The impairments of each series that noise does not explain, in the order of the series. An impairment can begin with
 * every sample of the run, so these are the comparisons.
 *
 * @param intervalMs between two samples of a series.
 */
export function withoutStrays(suspects: readonly Suspect[], intervalMs: number): Impairment[][] {
  const groups = groupsOf(suspects);
  const baseline = sumOf(suspects.map((suspect) => suspect.baseline));
  const comparisons = suspects.reduce((total, { samples }) => total + samples, 0);
  const counts = (key: string, fromMs: number, toMs: number): Counts => {
    const { failedMs, perMs } = groups.get(key) ?? { failedMs: [], perMs: 0 };
    const failed = below(failedMs, toMs) - below(failedMs, fromMs);
    return { failed, samples: Math.max(1, failed, Math.round(perMs * (toMs - fromMs))) };
  };
  /** Whether others of the group began to fail with this sample of a series. */
  const beganAt = (key: string, tMs: number, turnMs: number): boolean => {
    const now = counts(key, tMs - turnMs, tMs + turnMs);
    return (
      lossBeyondNoise(now, baseline, 1) &&
      shareOf(counts(key, tMs - 3 * turnMs, tMs - turnMs)) < shareOf(now) / 2
    );
  };
  return suspects.map((suspect) => {
    const targets = [...suspect.failedAt.keys()].filter((target) => target !== "");
    // Of several targets each is asked in turn.
    const turnMs = intervalMs * Math.max(1, suspect.askedBy.size);
    /** The first failed sample that is no stray; undefined: all are. */
    const realFrom = (failedMs: readonly number[], spans: readonly ImpairedSpan[]): number | undefined => {
      const samples = spans.reduce((total, span) => total + span.samples, 0);
      const own = { failed: failedMs.length, samples };
      if (lossBeyondNoise(own, suspect.baseline, comparisons)) return failedMs[0];
      const fromMs = (failedMs[0] ?? 0) - intervalMs;
      const toMs = (failedMs.at(-1) ?? 0) + intervalMs;
      const at = (target: string): boolean =>
        (suspect.failedAt.get(target) ?? []).some((tMs) => tMs >= fromMs && tMs < toMs);
      const keys = [
        `worker ${suspect.source}`,
        ...targets.filter(at).map((key) => `front end ${key}`),
        "run",
      ];
      const together = keys.filter((key) =>
        lossBeyondNoise(counts(key, fromMs, toMs), baseline, comparisons),
      );
      if (together.length === 0) return undefined;
      if (lossBeyondNoise(own, suspect.baseline, suspects.length)) return failedMs[0];
      return failedMs.find((tMs) => together.some((key) => beganAt(key, tMs, turnMs)));
    };
    return suspect.impairments.flatMap((impairment) => {
      const { failedMs: all, spans } = impairment;
      let fromMs = realFrom(all, spans);
      if (fromMs === undefined) return [];
      const [first, second] = spans;
      const outage = first?.kind === "intermittent" ? second : undefined;
      if (first !== undefined && outage !== undefined)
        fromMs =
          realFrom(
            all.filter((tMs) => tMs < outage.fromMs),
            [first],
          ) ?? outage.fromMs;
      const failedMs = all.filter((tMs) => tMs >= (fromMs ?? 0));
      if (outage?.fromMs !== fromMs) return [{ ...impairment, failedMs }];
      return [{ ...impairment, fromMs, failedMs, spans: spans.slice(1) }];
    });
  });
}
