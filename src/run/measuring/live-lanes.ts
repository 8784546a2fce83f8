import type { FailedLine, GoodLine } from "../../evidence/sample.js";
import type { ProbeName } from "../../experiment/names.js";
import type { LiveLane } from "../../ui/base.js";

/** How far back the lanes go, s. */
export const LANE_SECONDS = 60;

interface Lane {
  /** By second of the runner's clock. */
  readonly seconds: Map<number, { readonly failed: number; readonly samples: number }>;
  /** Whether the newest sample of each source succeeded. */
  readonly newest: Map<string, boolean>;
}

/** The samples of the last minute, one lane per probe, for the live view. Pure; times are the runner's ms. */
export class LiveLanes {
  readonly #lanes = new Map<ProbeName, Lane>();

  add(source: string, { probe, ok }: GoodLine | FailedLine, tMs: number): void {
    const lane: Lane = this.#lanes.get(probe) ?? { seconds: new Map(), newest: new Map() };
    this.#lanes.set(probe, lane);
    lane.newest.set(source, ok);
    const second = Math.floor(tMs / 1000);
    const count = lane.seconds.get(second) ?? { failed: 0, samples: 0 };
    lane.seconds.set(second, { failed: count.failed + (ok ? 0 : 1), samples: count.samples + 1 });
    // Samples arrive about in order. Without this, a long recovery would keep every second.
    if (lane.seconds.size > 2 * LANE_SECONDS)
      for (const old of lane.seconds.keys()) if (old < second - LANE_SECONDS) lane.seconds.delete(old);
  }

  /** The lanes up to the last full second. */
  at(nowMs: number): LiveLane[] {
    const end = Math.floor(nowMs / 1000);
    return [...this.#lanes].map(([probe, { seconds, newest }]) => ({
      probe,
      seconds: Array.from({ length: LANE_SECONDS }, (_, index) => {
        const count = seconds.get(end - LANE_SECONDS + index);
        return count === undefined ? null : count.failed / count.samples;
      }),
      failing: [...newest.values()].filter((ok) => !ok).length,
      sources: newest.size,
    }));
  }
}
