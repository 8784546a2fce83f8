/**
 * Companions are scaled down before the target because they would undo the attack (kube-dns-autoscaler sets the
 * replicas of kube-dns). They are watched like the target and produce the same kinds of events. These events say
 * nothing about the target.
 */
import type { ObjectRef, RunEvent } from "../evidence/events.js";

const WORKLOADS: readonly string[] = ["Deployment", "DaemonSet"];

const nameOf = ({ namespace, name }: ObjectRef): string => `${namespace ?? ""}/${name}`;

/** Workloads other than the target that were scaled, each once. */
export function companionsOf(events: readonly RunEvent[], target: ObjectRef | undefined): ObjectRef[] {
  const found = new Map<string, ObjectRef>();
  if (target === undefined) return [];
  for (const event of events) {
    if (event.type !== "kill" || event.action !== "scaled") continue;
    if (nameOf(event.object) !== nameOf(target)) found.set(nameOf(event.object), event.object);
  }
  return [...found.values()];
}

/** The object that an event is about; undefined: there is none, or the event is always kept. */
function objectOf(event: RunEvent): ObjectRef | undefined {
  return event.type === "churn" || event.type === "let-up" || !("object" in event) ? undefined : event.object;
}

/**
 * The events about the target, in the same order: without those of its companions and of other workloads
 * (a function check may have changed and restored one).
 */
export function ofTarget(events: readonly RunEvent[], target: ObjectRef | undefined): readonly RunEvent[] {
  if (target === undefined) return events;
  const companions = companionsOf(events, target).map(nameOf);
  const own = nameOf(target);
  /** The name ("NAME-HASH", "NAME-HASH-SUFFIX") shows that a companion owns it. */
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
