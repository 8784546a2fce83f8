/** The keys by which findings are folded, and who owns what. Pure. */
import { components } from "../components/all-components.js";
import type { ComponentName } from "../experiment/names.js";
import type { KubeObject, Pod } from "../kube/objects.js";
import { controllerOf, isReady, isTerminating } from "../kube/pod-state.js";
import { formsOn } from "../targets/platform.js";
import type { ClusterFacts, Workload } from "./facts.js";

type Named = Pick<KubeObject, "metadata">;

/** "kube-system/coredns-abc"; without a namespace the name alone. */
export function nameOf({ metadata: { namespace, name } }: Named): string {
  return namespace === undefined ? name : `${namespace}/${name}`;
}

export const podKey = (pod: Named): string => `pod ${nameOf(pod)}`;
export const workloadKey = ({ kind, object }: Workload): string => `${kind} ${nameOf(object)}`;
export const serviceKey = (name: string): string => `service ${name}`;
/** Service routing on a node. */
export const proxyKey = (node: string): string => `kube-proxy on ${node}`;
/** That the work of a leader is done. */
export const workKey = (component: string): string => `work of ${component}`;

/** The controller of a pod: a Deployment behind a ReplicaSet, or a DaemonSet. undefined: another one, or none. */
export function workloadOf(pod: Pod, facts: ClusterFacts): Workload | undefined {
  const owner = controllerOf(pod);
  if (owner?.kind === "DaemonSet") {
    const object = facts.daemonSets?.find(({ metadata }) => metadata.uid === owner.uid);
    return object === undefined ? undefined : { kind: "DaemonSet", object };
  }
  const set = facts.replicaSets?.find(({ metadata }) => metadata.uid === owner?.uid);
  const maker = set === undefined ? undefined : controllerOf(set);
  const object = facts.deployments?.find(({ metadata }) => metadata.uid === maker?.uid);
  return object === undefined ? undefined : { kind: "Deployment", object };
}

/** All Deployments and DaemonSets that were read. */
export function workloadsIn({ deployments = [], daemonSets = [] }: ClusterFacts): Workload[] {
  return [
    ...deployments.map((object): Workload => ({ kind: "Deployment", object })),
    ...daemonSets.map((object): Workload => ({ kind: "DaemonSet", object })),
  ];
}

/** The pods of a workload that are not being deleted. */
export function podsOf(workload: Workload, facts: ClusterFacts): Pod[] {
  return (facts.pods ?? []).filter(
    (pod) =>
      !isTerminating(pod) &&
      workloadOf(pod, facts)?.object.metadata.uid === workload.object.metadata.uid &&
      workload.object.metadata.uid !== undefined,
  );
}

const has = (
  labels: Readonly<Record<string, string>> = {},
  wanted: Readonly<Record<string, string>>,
): boolean => Object.entries(wanted).every(([key, value]) => labels[key] === value);

/** The component that a workload is; undefined: none that this tool knows. */
export function componentOf(
  { kind, object: { metadata } }: Workload,
  { platform }: ClusterFacts,
): ComponentName | undefined {
  const forms = Object.values(components).flatMap((each) =>
    formsOn(each, platform).map((form) => ({ name: each.name, form })),
  );
  const fits = forms.filter(
    ({ form }) =>
      form.how === "workload" && form.kinds.includes(kind) && form.namespace === metadata.namespace,
  );
  const byLabels = fits.find(({ form }) => form.how === "workload" && has(metadata.labels, form.labels));
  return (byLabels ?? fits.find(({ form }) => form.knownAs.includes(metadata.name)))?.name;
}

/** The component that a pod belongs to: by its workload, or as a static pod by its labels. */
export function componentOfPod(pod: Pod, facts: ClusterFacts): ComponentName | undefined {
  const workload = workloadOf(pod, facts);
  if (workload !== undefined) return componentOf(workload, facts);
  return Object.values(components).find((each) =>
    formsOn(each, facts.platform).some(
      (form) =>
        form.how === "static-pod" &&
        form.namespace === pod.metadata.namespace &&
        has(pod.metadata.labels, form.labels),
    ),
  )?.name;
}

/** The workload that is a component, if it wants pods; else one that wants none. */
export function workloadOfComponent(name: ComponentName, facts: ClusterFacts): Workload | undefined {
  const all = workloadsIn(facts).filter((each) => componentOf(each, facts) === name);
  const wants = ({ kind, object: { spec, status } }: Workload): number =>
    kind === "Deployment"
      ? ((spec as { replicas?: number } | undefined)?.replicas ?? 1)
      : ((status as { desiredNumberScheduled?: number } | undefined)?.desiredNumberScheduled ?? 0);
  return all.find((each) => wants(each) > 0) ?? all[0];
}

/** Services that have no ready pod left, and of which one of these pods is one. */
export function servicesWithout(pods: readonly Pod[], facts: ClusterFacts): string[] {
  const selected = ({ spec, metadata }: NonNullable<ClusterFacts["services"]>[number], pod: Pod): boolean =>
    Object.keys(spec?.selector ?? {}).length > 0 &&
    pod.metadata.namespace === metadata.namespace &&
    has(pod.metadata.labels, spec?.selector ?? {});
  return (facts.services ?? [])
    .filter(
      (service) =>
        pods.some((pod) => selected(service, pod)) &&
        !(facts.pods ?? []).some((pod) => selected(service, pod) && isReady(pod) && !isTerminating(pod)),
    )
    .map(nameOf);
}

/** Whether a selector, which may be absent, selects these labels. An empty one selects everything. Pure. */
export function selects(
  selector: {
    readonly matchLabels?: Readonly<Record<string, string>>;
    readonly matchExpressions?: readonly {
      readonly key: string;
      readonly operator: string;
      readonly values?: readonly string[];
    }[];
  } = {},
  labels: Readonly<Record<string, string>> = {},
): boolean {
  return (
    has(labels, selector.matchLabels ?? {}) &&
    (selector.matchExpressions ?? []).every(({ key, operator, values = [] }) => {
      const value = labels[key];
      switch (operator) {
        case "In":
          return value !== undefined && values.includes(value);
        case "NotIn":
          return value === undefined || !values.includes(value);
        case "Exists":
          return value !== undefined;
        case "DoesNotExist":
          return value === undefined;
        default:
          return true;
      }
    })
  );
}
