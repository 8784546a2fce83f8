import { components } from "../components/all-components.js";
import { ATTACKS } from "../experiment/attacks.js";
import type { Transport } from "../kube/transport.js";
import type { ResolvedExperiment } from "../components/resolve.js";
import { findTarget, isNodeTarget, type Target } from "./target.js";

/**
 * Finds the workloads that would undo the attack and must be scaled down before the target. For an attack on replicas
 * of kube-dns this is kube-dns-autoscaler, which sets them every 10 s. A workload that does not exist or wants no
 * replicas undoes nothing.
 */
export async function findCompanions(
  transport: Transport,
  { attack, component }: Pick<ResolvedExperiment, "attack" | "component">,
): Promise<readonly Target[]> {
  // A deleted workload cannot be scaled, and delete-pods deletes the pods that a controller creates anyway.
  if (ATTACKS[attack.type].changes !== "replicas") return [];
  const found: Target[] = [];
  for (const name of component?.suppressFirst ?? []) {
    const target = await findTarget(transport, { component: name }, components[name]);
    if (!("problem" in target) && !isNodeTarget(target) && target.count > 0) found.push(target);
  }
  return found;
}
