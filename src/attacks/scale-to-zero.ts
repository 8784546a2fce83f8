import { RefusedError } from "../common/errors.js";
import { fittingAttacks } from "../experiment/attacks.js";
import type { Deployment, KubeObject } from "../kube/objects.js";
import { isTerminating } from "../kube/pod-state.js";
import { REPLICAS_ANNOTATION, RUN_ANNOTATION } from "../own/own-names.js";
import type { AnyTarget, Target } from "../targets/target.js";
import { type Attack, forWorkload, type RunningAttack, type WorkloadContext } from "./attack.js";
import { Killer } from "./killer.js";

/**
 * Sets the Deployment's replicas to 0, and again each time the watch shows another number: an autoscaler's, a
 * person's, a restorer's that has made the Deployment anew. Deletes nothing: its pods end as their own grace says.
 */
export function scaleToZero(): Attack {
  return {
    type: "scale-to-zero",
    plan: (target) => [
      `set the replicas of ${scalable(target)} to 0; its pods end with their own grace period`,
      "the same again each time anybody changes them, or makes it anew",
    ],
    start: (context) => startScaling(forWorkload(context)).running,
  };
}

/**
 * What stands on a workload as long as a run has scaled it down: without any journal it can be put back by hand, or by
 * `chaos restore --all --context NAME`. Pure.
 */
function runAnnotations(runId: string, { object }: Pick<Target, "object">): Readonly<Record<string, string>> {
  const replicas = (object as Deployment).spec?.replicas ?? 1;
  return { [RUN_ANNOTATION]: runId, [REPLICAS_ANNOTATION]: String(replicas) };
}

/** @throws RefusedError when the target has no replicas to set. */
function scalable(target: AnyTarget): string {
  if (target.kind === "Deployment") return `Deployment ${target.namespace}/${target.name}`;
  throw new RefusedError(
    `${target.kind} ${target.name} has no replicas that scale-to-zero could set: use ${fittingAttacks(target.kind)[0] ?? "another attack"}`,
  );
}

/**
 * The attack, under way.
 *
 * @returns also `answered`: resolves when the first request has been answered, whatever the answer.
 */
export function startScaling(context: WorkloadContext): {
  readonly running: RunningAttack;
  readonly answered: Promise<void>;
} {
  const { target, watch } = context;
  scalable(target);
  const killer = new Killer(context);
  const annotations = runAnnotations(context.runId, target);
  /** What was asked for last, by uid. */
  const keys = new Map<string, string>();
  const forget = ({ uid }: KubeObject["metadata"]): void => {
    const key = keys.get(uid);
    if (key !== undefined) killer.forget(key);
  };
  const look = (object: KubeObject, reason: "initial" | "recreated"): void => {
    const { name, uid, generation, resourceVersion } = object.metadata;
    if (name !== target.name || isTerminating(object)) return;
    // The generation counts changes of the spec: none of its status, of which there are many, is a reason to act.
    const key = `${uid}@${generation ?? resourceVersion}`;
    if (keys.get(uid) === key) return;
    forget(object.metadata);
    keys.set(uid, key);
    if (((object as unknown as Deployment).spec?.replicas ?? 1) === 0) return;
    killer.kill({ kind: target.kind, path: target.path, object, reason, key, annotations });
  };
  watch.listener = (kind, event) => {
    if (kind !== "Deployment") return;
    if (event.type === "DELETED") forget(event.object.metadata);
    else look(event.object, "recreated");
  };
  for (const object of watch.current("Deployment")) look(object, "initial");
  return { running: killer.asAttack(), answered: killer.answered() };
}
