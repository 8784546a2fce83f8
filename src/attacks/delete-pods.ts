import { PODS, resourcePath } from "../kube/api.js";
import type { KubeObject } from "../kube/objects.js";
import type { Target } from "../targets/target.js";
import { isTerminating } from "../kube/pod-state.js";
import { ownedByTarget } from "../targets/ownership.js";
import { type Attack, forWorkload } from "./attack.js";
import { Killer } from "./killer.js";

/**
 * Deletes the target's pods, and each new pod as soon as the watch shows it. Where the deletion comes before the scheduler,
 * the pod has no node, and the API server removes it immediately, whatever its grace period
 * (podStrategy.CheckGracefulDelete of Kubernetes). The scheduler sees the pod at the same moment and is often first
 * (measured: nearly always on a busy machine); the pod's node then ends it before it is ready.
 *
 * @param options `gracePeriod` of each deletion, ms; `delay`: how long a new pod may live, ms; `firstPause`: how long
 * after the start no new pod is deleted, ms (default 0).
 */
export function deletePods(options: {
  readonly gracePeriod: number;
  readonly delay: number;
  readonly firstPause?: number;
}): Attack {
  const gracePeriodSeconds = Math.round(options.gracePeriod / 1000);
  return {
    type: "delete-pods",
    plan: (target) => [
      `delete the ${target.count} pod(s) of ${target.kind} ${target.namespace}/${target.name}, grace period ${gracePeriodSeconds} s`,
      options.delay === 0
        ? "delete each new pod as soon as it appears, before it is ready"
        : `delete each new pod ${options.delay} ms after it appears`,
    ],
    start: (given) => {
      const context = forWorkload(given);
      const killer = new Killer(context);
      const pauseUntil = context.now() + (options.firstPause ?? 0);
      const { target, watch } = context;
      const killPod = (pod: KubeObject, reason: "initial" | "recreated"): void => {
        killer.kill({ kind: "Pod", path: podPath(target, pod), object: pod, reason, gracePeriodSeconds });
      };
      watch.listener = (kind, event) => {
        const { object } = event;
        if (kind !== "Pod") return;
        if (event.type === "DELETED") killer.forget(object.metadata.uid);
        else if (!isTerminating(object) && ownedByTarget(target, "Pod", object)) {
          const waitMs = Math.max(options.delay, pauseUntil - context.now());
          if (waitMs <= 0) killPod(object, "recreated");
          else context.after(waitMs, () => killPod(object, "recreated"));
        }
      };
      for (const pod of watch.current("Pod")) {
        if (!isTerminating(pod) && ownedByTarget(target, "Pod", pod)) killPod(pod, "initial");
      }
      return killer.asAttack();
    },
  };
}

function podPath(target: Target, pod: KubeObject): string {
  return resourcePath(PODS, target.namespace, pod.metadata.name);
}
