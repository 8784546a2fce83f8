import { components } from "../components/all-components.js";
import { ATTACKS } from "../experiment/attacks.js";
import type { Transport } from "../kube/transport.js";
import type { ResolvedExperiment } from "../components/resolve.js";
import { findTarget, isNodeTarget, type Target } from "./target.js";

/**
 * Workloads that would undo the attack and have to be suppressed before the target: kube-dns-autoscaler, which
 * sets kube-dns' replicas every 10 s, when they are what is changed. One that the cluster does not run, or that
 * has no replicas wanted, undoes nothing.
 */
export async function findCompanions(
  transport: Transport,
  { attack, component }: Pick<ResolvedExperiment, "attack" | "component">,
): Promise<readonly Target[]> {
  // A workload that is gone cannot be scaled; its controller's replacements are what delete-pods is for.
  if (ATTACKS[attack.type].changes !== "replicas") return [];
  const found: Target[] = [];
  for (const name of component?.suppressFirst ?? []) {
    const target = await findTarget(transport, { component: name }, components[name]);
    if (!("problem" in target) && !isNodeTarget(target) && target.count > 0) found.push(target);
  }
  return found;
}
