import { components } from "../components/all-components.js";
import { ATTACKS } from "../experiment/attacks.js";
import type { Transport } from "../kube/transport.js";
import type { ResolvedExperiment } from "../components/resolve.js";
import { findTarget, isNodeTarget, type Target } from "./target.js";

export interface Companions {
  readonly companions: readonly Target[];
  /** Why a companion that was looked for is not scaled down first: one sentence each. */
  readonly missing: readonly string[];
}

/**
 * Finds the workloads that would undo the attack and must be scaled down before the target. For an attack on replicas
 * of kube-dns this is kube-dns-autoscaler, which sets them every 10 s. A workload that does not exist or wants no
 * replicas undoes nothing; the plan says that it is missing, because it may have another name here.
 */
export async function findCompanions(
  transport: Transport,
  { attack, component }: Pick<ResolvedExperiment, "attack" | "component">,
): Promise<Companions> {
  // A deleted workload cannot be scaled, and delete-pods deletes the pods that a controller creates anyway.
  if (ATTACKS[attack.type].changes !== "replicas") return { companions: [], missing: [] };
  const companions: Target[] = [];
  const missing: string[] = [];
  for (const name of component?.suppressFirst ?? []) {
    const found = await findTarget(transport, { component: name }, components[name]);
    if ("problem" in found) missing.push(`${name}: ${found.problem}`);
    else if (!isNodeTarget(found)) companions.push(found);
  }
  return { companions, missing };
}
