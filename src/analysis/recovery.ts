/** Recovery in its parts, from events and the application's samples. All times from the release, ms. */
import { RUNNER_SOURCE } from "./clocks.js";
import type { ObjectRef, RunEvent } from "./events.js";
import type { ClosedSpan } from "./phases.js";
import type { Recovery } from "./result.js";
import type { Series } from "./series.js";
import { pointsIn } from "./statistics.js";

type Restoring = Extract<RunEvent, { type: "restored" | "recreated" }>;

const same = (a: ObjectRef, b: ObjectRef): boolean => a.kind === b.kind && a.name === b.name;

/**
 * The first object that came back after the release, and by whom. An object that was only found in its place,
 * and had never gone (an attack on pods leaves the Deployment alone), is nobody's act.
 */
function restorer(events: readonly RunEvent[], releaseMs: number): { tMs: number; by: string | null } | null {
  const wasAway = (object: ObjectRef): boolean =>
    events.some(
      (event) => (event.type === "gone" || event.type === "recreated") && same(event.object, object),
    );
  const acts = events.filter(
    (event): event is Restoring =>
      event.tMs >= releaseMs &&
      (event.type === "recreated" ||
        (event.type === "restored" && (event.how !== "found" || wasAway(event.object)))),
  );
  const [first] = acts;
  if (first === undefined) return null;
  // Who put it back is known better than the field manager that a watch saw, and may be known only later.
  const named = acts.find((act) => act.type === "restored" && same(act.object, first.object));
  return { tMs: first.tMs, by: named?.by ?? first.by ?? null };
}

/**
 * The first good app-write sample after the release of every worker on which one had failed; the last of them.
 *
 * @returns null when none had failed, or one was never good again.
 */
function firstGood(series: readonly Series[], harmed: ClosedSpan, recovery: ClosedSpan): number | null {
  let last: number | null = null;
  for (const { probe, source, points } of series) {
    if (probe !== "app-write" || source === RUNNER_SOURCE) continue;
    if (!pointsIn(points, harmed).some((point) => point.outcome === "failed")) continue;
    const good = pointsIn(points, recovery).find((point) => point.outcome === "good");
    if (good === undefined) return null;
    last = Math.max(last ?? -Infinity, good.tMs);
  }
  return last;
}

/**
 * @param harmedFromMs first kill, or the start of the window where nothing was killed.
 * @param recovery from the start of the release to the end of the recovery.
 */
export function recoveryOf(
  events: readonly RunEvent[],
  series: readonly Series[],
  harmedFromMs: number,
  recovery: ClosedSpan,
): Recovery {
  const releaseMs = recovery.fromMs;
  const after = events.filter((event) => event.tMs >= releaseMs);
  const since = (tMs: number | null | undefined): number | null => (tMs == null ? null : tMs - releaseMs);
  const acted = restorer(events, releaseMs);
  return {
    restorerMs: since(acted?.tMs),
    restoredBy: acted?.by ?? null,
    readyMs: since(after.find((event) => event.type === "target-ready")?.tMs),
    firstGoodMs: since(firstGood(series, { fromMs: harmedFromMs, toMs: recovery.toMs }, recovery)),
    healthyMs: since(after.find((event) => event.type === "healthy")?.tMs),
  };
}
