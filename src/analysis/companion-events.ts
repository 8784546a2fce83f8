/**
 * What was suppressed before the target because it would undo the attack (kube-dns-autoscaler sets kube-dns'
 * replicas). It is watched as the target is, and its events are of the same kinds: none of them says anything of
 * the target.
 */
import type { ObjectRef, RunEvent } from "../evidence/events.js";

const WORKLOADS: readonly string[] = ["Deployment", "DaemonSet"];

const nameOf = ({ namespace, name }: ObjectRef): string => `${namespace ?? ""}/${name}`;

/** Workloads that were scaled and are not the target, each once. */
export function companionsOf(events: readonly RunEvent[], target: ObjectRef | undefined): ObjectRef[] {
  const found = new Map<string, ObjectRef>();
  if (target === undefined) return [];
  for (const event of events) {
    if (event.type !== "kill" || event.action !== "scaled") continue;
    if (nameOf(event.object) !== nameOf(target)) found.set(nameOf(event.object), event.object);
  }
  return [...found.values()];
}

/** The object of the cluster that an event is about; undefined: none that could be somebody else's. */
function objectOf(event: RunEvent): ObjectRef | undefined {
  return event.type === "churn" || event.type === "let-up" || !("object" in event) ? undefined : event.object;
}

/**
 * The events that say something of the target, in the same order: without those of its companions, and without
 * any of another workload (a function probe may have changed one, and put it back).
 */
export function ofTarget(events: readonly RunEvent[], target: ObjectRef | undefined): readonly RunEvent[] {
  if (target === undefined) return events;
  const companions = companionsOf(events, target).map(nameOf);
  const own = nameOf(target);
  /** By its name ("NAME-HASH", "NAME-HASH-SUFFIX") something that a companion owns. */
  const isOwned = (name: string): boolean =>
    companions.some(
      (companion) =>
        name.startsWith(`${companion}-`) && !(own.startsWith(companion) && name.startsWith(`${own}-`)),
    );
  return events.filter((event) => {
    const object = objectOf(event);
    if (object === undefined) return true;
    return WORKLOADS.includes(object.kind) ? nameOf(object) === own : !isOwned(nameOf(object));
  });
}
