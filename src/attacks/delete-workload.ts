import { PODS, REPLICASETS, resourcePath } from "../kube/api.js";
import type { KubeObject } from "../kube/objects.js";
import { isTerminating } from "../kube/pod-state.js";
import { type WatchedKind } from "../targets/target-watch.js";
import { type Attack, forWorkload } from "./attack.js";
import { Killer } from "./killer.js";
import { ownedByTarget } from "../targets/ownership.js";

/**
 * Deletes the workload and sweeps the ReplicaSets and pods that it leaves behind. Does so again each time the workload
 * is recreated. This is the study's 連打 (`kubectl delete deployment` repeated against addon-manager), driven by the
 * watch: one or two kills per re-creation, and no container starts.
 *
 * Background propagation frees the name immediately. Under Foreground the API server refuses a create with
 * AlreadyExists until the last pod is gone, which would measure the deletion instead of addon-manager.
 *
 * @param options `gracePeriod` of the swept pods, ms.
 */
export function deleteWorkload(options: { readonly gracePeriod: number }): Attack {
  const gracePeriodSeconds = Math.round(options.gracePeriod / 1000);
  return {
    type: "delete-workload",
    plan: (target) => [
      `delete ${target.kind} ${target.namespace}/${target.name} (propagation Background)`,
      `sweep its ${target.kind === "Deployment" ? "ReplicaSets and pods" : "pods"}, grace period ${gracePeriodSeconds} s`,
      "do the same again each time it reappears",
    ],
    start: (given) => {
      const context = forWorkload(given);
      const { target, watch } = context;
      const killer = new Killer(context);
      const kill = (kind: WatchedKind, object: KubeObject, first: boolean): void => {
        if (isTerminating(object) || !ownedByTarget(target, kind, object)) return;
        if (kind === target.kind) {
          killer.kill({
            kind,
            path: target.path,
            object,
            reason: first ? "initial" : "recreated",
            propagationPolicy: "Background",
          });
        } else if (kind === "ReplicaSet") {
          const path = resourcePath(REPLICASETS, target.namespace, object.metadata.name);
          killer.kill({ kind, path, object, reason: "swept", propagationPolicy: "Background" });
        } else if (kind === "Pod") {
          const path = resourcePath(PODS, target.namespace, object.metadata.name);
          killer.kill({ kind, path, object, reason: "swept", gracePeriodSeconds });
        }
      };
      watch.listener = (kind, event) => {
        if (event.type === "DELETED") killer.forget(event.object.metadata.uid);
        else kill(kind, event.object, false);
      };
      // From the top down: a controller whose owner is gone recreates nothing.
      const kinds: WatchedKind[] =
        target.kind === "Deployment" ? ["Deployment", "ReplicaSet", "Pod"] : ["DaemonSet", "Pod"];
      for (const kind of kinds) {
        for (const object of watch.current(kind)) kill(kind, object, true);
      }
      return killer.asAttack();
    },
  };
}
