/** What the probes of the components' own functions need, beside what every run does. */
import { CORRECTED } from "../components/corrected.js";
import type { FunctionProbeName } from "../components/functions.js";
import { type Need, rights } from "../kube/permission.js";
import { SINK_NAMESPACE } from "../own/own-names.js";

const LOOK = "the look at the component's own function: ";

/** What is made is looked up again when the answer to its creation was lost. */
const MAKE = ["get", "create"];

/**
 * Rights of one probe, without those to empty or remove its namespace. Pure.
 *
 * @param canaries namespace of its canaries. @param names of the workload that it sets wrong.
 */
export function functionNeeds(
  probe: FunctionProbeName,
  canaries: string,
  names: readonly string[],
): readonly Need[] {
  const canary = (verbs: readonly string[], resource: string): Need[] =>
    rights(`${LOOK}canaries of its own`, verbs, { resource, namespace: canaries });
  switch (probe) {
    case "node-runs-pods":
    case "pods-are-scheduled":
      return canary([...MAKE, "delete"], "pods");
    case "services-follow":
      return [
        ...canary(["list", "create", "delete"], "pods"),
        ...canary(MAKE, "apps/deployments"),
        ...canary([...MAKE, "delete"], "services"),
      ];
    case "replicas-are-made":
      return [
        ...canary(["list", "create", "delete"], "pods"),
        ...canary([...MAKE, "delete"], "apps/replicasets"),
      ];
    case "metrics-are-served":
      return [
        ...canary(["create"], "pods"),
        ...canary(MAKE, "apps/deployments"),
        ...canary(MAKE, "autoscaling/horizontalpodautoscalers"),
        ...rights(`${LOOK}the samples that it serves`, ["list"], { resource: "metrics.k8s.io/nodes" }),
      ];
    case "api-stores":
      return canary([...MAKE, "delete"], "configmaps");
    case "events-arrive":
      return [...sink(), ...canary(MAKE, "events")];
    case "logs-arrive":
    case "metric-points-arrive":
      return sink();
    case "unknown-path-is-answered":
      return rights(`${LOOK}its Service`, ["list"], { resource: "services", namespace: "kube-system" });
    case "dns-is-scaled":
    case "fluentd-is-scaled":
      return correctionNeeds(probe, names);
  }
}

function sink(): Need[] {
  const namespace = SINK_NAMESPACE;
  const why = `${LOOK}what has arrived at the sink`;
  return [
    ...rights(why, ["list"], { resource: "pods", namespace }),
    ...rights(why, ["get"], { resource: "pods", subresource: "proxy", namespace }),
  ];
}

/** Set wrong; put back as it was from the journal, by creating it if somebody has deleted it meanwhile. */
function correctionNeeds(probe: FunctionProbeName, names: readonly string[]): Need[] {
  const { resource } = CORRECTED[probe] ?? {};
  if (resource === undefined) return [];
  const namespace = "kube-system";
  const wrong = `${LOOK}what it sets right is set wrong`;
  const back = `${LOOK}it is put back as it was`;
  return [
    ...rights(wrong, ["list"], { resource, namespace }),
    ...rights(wrong, ["get"], { resource, namespace, names }),
    ...(probe === "dns-is-scaled"
      ? rights(wrong, ["patch"], { resource, subresource: "scale", namespace, names })
      : rights(wrong, ["patch"], { resource, namespace, names })),
    ...rights(back, ["update"], { resource, namespace, names }),
    ...rights(back, ["create"], { resource, namespace }),
  ];
}
