import { RefusedError } from "../common/errors.js";
import { fittingAttacks } from "../experiment/attacks.js";
import type { Deployment, KubeObject } from "../kube/objects.js";
import { isTerminating } from "../kube/pod-state.js";
import { scalingManager } from "../own/own-fields.js";
import type { AnyTarget } from "../targets/target.js";
import { type Attack, forWorkload, type RunningAttack, type WorkloadContext } from "./attack.js";
import { Killer } from "./killer.js";

/**
 * Sets the Deployment's replicas to 0, and again each time the watch shows another number: set by an autoscaler or a
 * person, or because the Deployment was recreated. Deletes nothing: the pods end with their own grace period.
 */
export function scaleToZero(): Attack {
  return {
    type: "scale-to-zero",
    plan: (target) => [
      `set the replicas of ${scalable(target)} to 0; its pods end with their own grace period`,
      "do the same again each time someone changes them or recreates it",
    ],
    start: (context) => startScaling(forWorkload(context)).running,
  };
}

/** @throws RefusedError when the target has no replicas to set. */
function scalable(target: AnyTarget): string {
  if (target.kind === "Deployment") return `Deployment ${target.namespace}/${target.name}`;
  throw new RefusedError(
    `${target.kind} ${target.name} has no replicas for scale-to-zero to set. Use ${fittingAttacks(target.kind)[0] ?? "another attack"}`,
  );
}

/**
 * Starts the attack.
 *
 * @returns `running`: the attack; `answered`: resolves when the first request has been answered, successfully or not.
 */
export function startScaling(context: WorkloadContext): {
  readonly running: RunningAttack;
  readonly answered: Promise<void>;
} {
  const { target, watch } = context;
  scalable(target);
  const killer = new Killer(context);
  const replicas = (target.object as Deployment).spec?.replicas ?? 1;
  // With it the workload can be restored without a journal, by hand or by `chaos restore --all --context NAME`.
  const fieldManager = scalingManager({ runId: context.runId, replicas });
  /** The key of the last request, by uid. */
  const keys = new Map<string, string>();
  const forget = ({ uid }: KubeObject["metadata"]): void => {
    const key = keys.get(uid);
    if (key !== undefined) killer.forget(key);
  };
  const check = (object: KubeObject, reason: "initial" | "recreated"): void => {
    const { name, uid, generation, resourceVersion } = object.metadata;
    if (name !== target.name || isTerminating(object)) return;
    // The generation counts changes of the spec. Changes of the status are frequent and are no reason to act.
    const key = `${uid}@${generation ?? resourceVersion}`;
    if (keys.get(uid) === key) return;
    forget(object.metadata);
    keys.set(uid, key);
    if (((object as unknown as Deployment).spec?.replicas ?? 1) === 0) return;
    killer.kill({ kind: target.kind, path: target.path, object, reason, key, fieldManager });
  };
  watch.listener = (kind, event) => {
    if (kind !== "Deployment") return;
    if (event.type === "DELETED") forget(event.object.metadata);
    else check(event.object, "recreated");
  };
  for (const object of watch.current("Deployment")) check(object, "initial");
  return { running: killer.asAttack(), answered: killer.answered() };
}
