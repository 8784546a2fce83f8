/** How often someone else recreated the workload while it was kept down, and how long each one lived. */
import type { ObjectRef, RunEvent } from "../evidence/events.js";
import type { ClosedSpan } from "./phases.js";
import type { Suppression } from "./result.js";

type EventOf<T extends RunEvent["type"]> = Extract<RunEvent, { type: T }>;

/** Field manager of objects that this tool creates: between two kills of a flapping attack, and at the release. */
const OWN_MANAGER = "kube-system-chaos";

const WORKLOADS: readonly string[] = ["Deployment", "DaemonSet"];

const keyOf = (object: ObjectRef): string => `${object.kind} ${object.namespace ?? ""}/${object.name}`;

/** The same object. If the uids are known, a later object of the same name is another one. */
function same(a: ObjectRef, b: ObjectRef): boolean {
  return keyOf(a) === keyOf(b) && (a.uid === undefined || b.uid === undefined || a.uid === b.uid);
}

/**
 * Times at which a pod of the target became Ready or one of its Services gained an address, in order.
 *
 * @param events in order of time.
 */
function servedAt(events: readonly RunEvent[]): number[] {
  const ready = new Map<string, number>();
  const moments: number[] = [];
  const see = (key: string, count: number, tMs: number): void => {
    if (count > (ready.get(key) ?? 0)) moments.push(tMs);
    ready.set(key, count);
  };
  for (const event of events) {
    if (event.type === "instance") {
      const key = event.object.uid ?? keyOf(event.object);
      see(key, event.ready && !event.terminating ? 1 : 0, event.tMs);
    } else if (event.type === "endpoints") {
      see(keyOf(event.service), event.ready, event.tMs);
    }
  }
  return moments;
}

/**
 * The fight: every time within the span that someone other than this tool recreated the workload.
 *
 * @param events in order of time.
 * @param accepted accepted kills. A deletion counts from its response. The attack reacts to a watch event before the
 * event is recorded, so a kill may have been sent before its object was recorded as recreated.
 * @param span first kill → release.
 */
export function fightOf(
  events: readonly RunEvent[],
  accepted: readonly EventOf<"kill">[],
  span: ClosedSpan,
): Suppression["fight"] {
  const recreated = events.filter(
    (event): event is EventOf<"recreated"> =>
      event.type === "recreated" &&
      WORKLOADS.includes(event.object.kind) &&
      event.by !== OWN_MANAGER &&
      event.tMs >= span.fromMs &&
      event.tMs < span.toMs,
  );
  const served = servedAt(events);
  return recreated.map(({ tMs, object, by }) => {
    const ends = accepted
      .filter((kill) => same(kill.object, object))
      .map((kill) => kill.tMs + kill.tookMs)
      .filter((endMs) => endMs >= tMs);
    const endMs = ends.length === 0 ? null : Math.min(...ends);
    return {
      atMs: tMs - span.fromMs,
      by: by ?? null,
      livedMs: endMs === null ? null : endMs - tMs,
      served: served.some((moment) => moment > tMs && moment <= (endMs ?? span.toMs)),
    };
  });
}
