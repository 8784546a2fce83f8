/** The parts of the recovery, from events and the application's samples. All times from the release, ms. */
import { RUNNER_SOURCE } from "../evidence/sample.js";
import type { ObjectRef, RunEvent } from "../evidence/events.js";
import type { ClosedSpan } from "./phases.js";
import type { ProbeResult, Recovery } from "./result.js";
import { isAccepted } from "./suppression.js";

type EventOf<T extends RunEvent["type"]> = Extract<RunEvent, { type: T }>;

/** An object of the target was recreated or restored, or was found restored. */
interface Act {
  readonly tMs: number;
  readonly object: ObjectRef;
  readonly by: string | null;
  /** Set if only the node's state was seen. A restored object's name then ends with it ("kubelet on NODE"). */
  readonly node?: string;
}

const same = (a: ObjectRef, b: ObjectRef): boolean => a.kind === b.kind && a.name === b.name;

/** The object had been missing: its end or its creation was seen, or the attack itself had removed it. */
function wasAway(events: readonly RunEvent[], object: ObjectRef): boolean {
  return events.some(
    (event) =>
      (event.type === "gone" || event.type === "recreated" || (event.type === "kill" && isAccepted(event))) &&
      same(event.object, object),
  );
}

/** Units of the attacked nodes that ran again after the release. The node's own timer may have started them. */
function unitsBack(events: readonly RunEvent[], releaseMs: number, nodes: readonly string[]): Act[] {
  const active = new Map<string, boolean>();
  const acts: Act[] = [];
  for (const event of events) {
    if (event.type !== "unit" || event.error !== undefined || !nodes.includes(event.node)) continue;
    const { tMs, node, unit: name } = event;
    const came = event.active && active.get(`${node} ${name}`) === false;
    active.set(`${node} ${name}`, event.active);
    if (came && tMs >= releaseMs) acts.push({ tMs, object: { kind: "unit", name }, by: null, node });
  }
  return acts;
}

/**
 * The first object that was restored after the release, and by whom. An object that was found unchanged and had never
 * been missing (an attack on pods does not delete the Deployment) does not count.
 */
function restorer(
  events: readonly RunEvent[],
  releaseMs: number,
  nodes: readonly string[],
): { tMs: number; by: string | null } | null {
  const after = events.filter((event) => event.tMs >= releaseMs);
  const restored = after.filter(
    (event): event is EventOf<"restored"> =>
      event.type === "restored" && (event.how !== "found" || wasAway(events, event.object)),
  );
  const recreated = after.filter((event): event is EventOf<"recreated"> => event.type === "recreated");
  const acts: Act[] = [...recreated, ...restored].map(({ tMs, object, by = null }) => ({ tMs, object, by }));
  acts.push(...unitsBack(events, releaseMs, nodes));
  acts.sort((a, b) => a.tMs - b.tMs);
  const [first] = acts;
  if (first === undefined) return null;
  // The `restored` event names who restored it more exactly than the field manager seen by a watch. It may come later.
  const named =
    restored.find(
      ({ object }) =>
        same(object, first.object) || (first.node !== undefined && object.name.endsWith(` on ${first.node}`)),
    ) ??
    // Its controller recreates the pods of a workload as soon as its replicas are restored, before that event.
    (first.object.kind === "Pod" || first.object.kind === "ReplicaSet"
      ? restored.find(({ how }) => how === "created" || how === "patched")
      : undefined);
  return { tMs: first.tMs, by: named?.by ?? first.by };
}

/**
 * For every worker whose writes failed: when they were answered again after the release. The latest of these.
 *
 * @returns null if no worker failed, or if one was never good again.
 */
function firstGood(results: readonly ProbeResult[], harmed: ClosedSpan, releaseMs: number): number | null {
  let last: number | null = null;
  for (const { probe, source, outages, intermittent = [] } of results) {
    if (probe !== "app-write" || source === RUNNER_SOURCE) continue;
    const ends = [...outages, ...intermittent]
      .filter(({ fromMs, toMs }) => fromMs < harmed.toMs && (toMs ?? Infinity) > harmed.fromMs)
      .map(({ toMs }) => toMs ?? Infinity);
    if (ends.length === 0) continue;
    // One that had ended before was good at the release.
    const after = ends.filter((toMs) => toMs > releaseMs);
    last = Math.max(last ?? -Infinity, after.length === 0 ? releaseMs : Math.min(...after));
  }
  return last === Infinity ? null : last;
}

/**
 * @param harmedFromMs first kill, or the start of the window where nothing was killed.
 * @param recovery from the start of the release to the end of the recovery.
 * @param nodes the attacked nodes, for a target on nodes.
 */
export function recoveryOf(
  events: readonly RunEvent[],
  results: readonly ProbeResult[],
  harmedFromMs: number,
  recovery: ClosedSpan,
  nodes: readonly string[] = [],
): Recovery {
  const releaseMs = recovery.fromMs;
  const after = events.filter((event) => event.tMs >= releaseMs);
  const since = (tMs: number | null | undefined): number | null => (tMs == null ? null : tMs - releaseMs);
  const acted = restorer(events, releaseMs, nodes);
  return {
    restorerMs: since(acted?.tMs),
    restoredBy: acted?.by ?? null,
    readyMs: since(after.find((event) => event.type === "target-ready")?.tMs),
    firstGoodMs: since(firstGood(results, { fromMs: harmedFromMs, toMs: recovery.toMs }, releaseMs)),
    healthyMs: since(after.find((event) => event.type === "healthy")?.tMs),
  };
}
