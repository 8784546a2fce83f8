import type { KubeObject } from "../kube/objects.js";
import { controllerOf } from "../kube/pod-state.js";
import type { Target } from "./target.js";

/**
 * Whether an object is the target or one of its dependents. Labels are not enough: another workload may have the same
 * labels. Compares names instead of uids: a recreated workload has another uid.
 */
export function ownedByTarget(target: Target, kind: string, object: KubeObject): boolean {
  if (kind === target.kind) return object.metadata.name === target.name;
  const controller = controllerOf(object);
  if (controller === undefined) return false;
  if (kind === "Pod" && target.kind === "Deployment") {
    // The Deployment controller names a ReplicaSet "<deployment>-<pod-template-hash>"; the hash has no '-'.
    return (
      controller.kind === "ReplicaSet" &&
      /^[^-]+$/.test(afterPrefix(controller.name, `${target.name}-`) ?? "-")
    );
  }
  return controller.kind === target.kind && controller.name === target.name;
}

function afterPrefix(text: string, prefix: string): string | undefined {
  return text.startsWith(prefix) ? text.slice(prefix.length) : undefined;
}
