import type { FailedLine, GoodLine, SampleLine } from "../../evidence/sample.js";
import type { ProbeName } from "../../experiment/names.js";

interface Series {
  readonly probe: ProbeName;
  readonly source: string;
  /** Good samples in a row since the last reset or failure. */
  good: number;
  healthy: boolean;
  seenGood: boolean;
  /** How its last failed sample failed: "timeout", "refused: connect ECONNREFUSED 10.0.0.1:80". */
  failure?: string;
}

/** A series without enough good samples; `failure`: how its last failed sample failed. */
export type Unhealthy = Pick<Series, "probe" | "source" | "failure">;

/** Probes that no restore can mend: an external name, the runner's own network, an entry for a socket that a client keeps open. */
const BEYOND_A_RESTORE: readonly ProbeName[] = ["dns-external", "outside", "dns-same-socket"];

/** Whether the probe shows what a run can restore: only such a probe decides about the run's end. */
export function showsRestore(probe: ProbeName): boolean {
  return !BEYOND_A_RESTORE.includes(probe);
}

/**
 * After so many good samples in a row a single failure is a stray. Otherwise a large K would never be reached: with 144
 * series and noise of 1 in 1,000, all of them have 50 good ones in a row at the same moment once in 1,300 times. A service
 * of which one instance of three fails has 20 in a row once in 3,300 times.
 */
const STEADY = 20;

/** Called for every good and every failed sample, in order of arrival; `tMs` in the runner's clock. */
export type SampleFollower = (source: string, line: GoodLine | FailedLine, tMs: number) => void;

/**
 * Counts, per probe and source, how many samples in a row succeeded since the last reset. Pure; times are the runner's
 * ms.
 */
export class HealthTracker {
  readonly #needed: number;
  readonly #series = new Map<string, Series>();
  #since = 0;
  #counts = { ok: 0, failing: 0 };
  readonly #followers = new Set<SampleFollower>();

  /** @param needed K: this many good samples in a row count as healthy. */
  constructor(needed: number) {
    this.#needed = needed;
  }

  /** Resets the counts: only samples that start at or after `sinceMs` make a probe healthy. */
  reset(sinceMs: number): void {
    this.#since = sinceMs;
    for (const series of this.#series.values()) [series.good, series.healthy] = [0, false];
  }

  /** Adds a sample, `tMs` in the runner's clock. */
  add(source: string, line: SampleLine, tMs: number): void {
    if (!("ok" in line)) return;
    const key = `${line.probe} ${source}`;
    const series = this.#series.get(key) ?? {
      probe: line.probe,
      source,
      good: 0,
      healthy: false,
      seenGood: false,
    };
    this.#series.set(key, series);
    if (line.ok) series.seenGood = true;
    else series.failure = line.message === undefined ? line.kind : `${line.kind}: ${line.message}`;
    if (tMs >= this.#since) this.#count(series, line.ok);
    if (line.probe === "app-write") this.#counts[line.ok ? "ok" : "failing"] += 1;
    for (const follower of this.#followers) follower(source, line, tMs);
  }

  #count(series: Series, ok: boolean): void {
    const inARow = ok ? series.good + 1 : 0;
    series.healthy = ok ? series.healthy || inARow >= this.#needed : series.healthy && series.good >= STEADY;
    series.good = inARow;
  }

  /** Calls the follower for every sample from now on. @returns a function that ends this. */
  follow(follower: SampleFollower): () => void {
    this.#followers.add(follower);
    return () => void this.#followers.delete(follower);
  }

  /**
   * Probes without K good samples in a row since the last reset, or that failed since, a stray aside; `known`: only these
   * series.
   */
  unhealthy(known?: ReadonlySet<string>): Unhealthy[] {
    return [...this.#series]
      .filter(([key, series]) => !series.healthy && (known === undefined || known.has(key)))
      .map(([, { probe, source, failure }]) => ({
        probe,
        source,
        ...(failure === undefined ? {} : { failure }),
      }));
  }

  /** The series that have succeeded at least once: recovery waits for these. */
  everGood(): Set<string> {
    return new Set([...this.#series].filter(([, series]) => series.seenGood).map(([key]) => key));
  }

  /** Number of series with at least one sample. */
  get size(): number {
    return this.#series.size;
  }

  /** Good and failed app → DB writes since the last `startCounting`. */
  get counts(): { readonly ok: number; readonly failing: number } {
    return { ...this.#counts };
  }

  /** Starts counting the writes of a new phase. */
  startCounting(): void {
    this.#counts = { ok: 0, failing: 0 };
  }
}
