/** Chooses a component's workload among those of its namespaces: by label sets, then by name. Only one that runs counts. */
import type { FindWorkload } from "../components/component.js";
import { DAEMONSETS, DEPLOYMENTS, list, resourcePath, selectorString } from "../kube/api.js";
import type { DaemonSet, Deployment, KubeObject } from "../kube/objects.js";
import type { Transport } from "../kube/transport.js";

export type WorkloadKind = FindWorkload["kinds"][number];

export const GVR = { Deployment: DEPLOYMENTS, DaemonSet: DAEMONSETS } as const;

export interface Candidate {
  readonly kind: WorkloadKind;
  readonly object: KubeObject;
}

/** The number of pods that the workload wants. */
export function wantedCount(kind: WorkloadKind, object: KubeObject): number {
  if (kind === "Deployment") return (object as unknown as Deployment).spec?.replicas ?? 1;
  return (object as unknown as DaemonSet).status?.desiredNumberScheduled ?? 0;
}

/** The number of its ready pods; undefined: its controller has not said yet. Pure. */
export function readyCount(kind: WorkloadKind, object: KubeObject): number | undefined {
  if (kind === "DaemonSet") return (object as unknown as DaemonSet).status?.numberReady;
  const status = (object as unknown as Deployment).status;
  // A Deployment leaves out what is 0.
  const counted = status?.replicas ?? status?.unavailableReplicas;
  return status?.readyReplicas ?? (counted === undefined ? undefined : 0);
}

/** Lists each kind of workload of a namespace once. */
export class Workloads {
  readonly #transport: Transport;
  readonly #listed = new Map<string, Promise<readonly Candidate[]>>();

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  async of(namespace: string, kinds: readonly WorkloadKind[]): Promise<readonly Candidate[]> {
    const all: Candidate[] = [];
    for (const kind of kinds) {
      const path = resourcePath(GVR[kind], namespace);
      const listed = this.#listed.get(path) ?? this.#list(kind, path);
      this.#listed.set(path, listed);
      all.push(...(await listed));
    }
    return all;
  }

  async #list(kind: WorkloadKind, path: string): Promise<readonly Candidate[]> {
    const { items } = await list<KubeObject>(this.#transport, path);
    return items.map((object) => ({ kind, object }));
  }
}

/** The workloads that match, split into those that want pods and those that want none. */
export interface Matching {
  readonly running: readonly Candidate[];
  readonly idle: readonly Candidate[];
}

/** The workloads that have a form's labels. Pure. */
export function byLabels({ labels }: FindWorkload, listed: readonly Candidate[]): Matching {
  return split(
    listed.filter(({ object }) =>
      Object.entries(labels).every(([key, value]) => object.metadata.labels?.[key] === value),
    ),
  );
}

/** The workloads that have one of a form's usual names. Pure. */
export function byName({ knownAs }: FindWorkload, listed: readonly Candidate[]): Matching {
  return split(listed.filter(({ object }) => knownAs.includes(object.metadata.name)));
}

function split(matching: readonly Candidate[]): Matching {
  const wants = ({ kind, object }: Candidate): boolean => wantedCount(kind, object) > 0;
  return { running: matching.filter(wants), idle: matching.filter((each) => !wants(each)) };
}

/** "Deployment coredns is scaled to 0", "DaemonSet kube-proxy wants 0 pods, because it fits no node". Pure. */
export function idleWords({ kind, object }: Candidate): string {
  const { name } = object.metadata;
  return kind === "Deployment"
    ? `Deployment ${name} is scaled to 0`
    : `DaemonSet ${name} wants 0 pods, because it fits no node`;
}

/** What was looked for, one text per namespace. Pure. */
export function lookedFor(forms: readonly FindWorkload[]): string[] {
  const places = new Map<string, FindWorkload[]>();
  for (const form of forms) {
    const place = `${form.kinds.join(" or ")} ${form.namespace}`;
    places.set(place, [...(places.get(place) ?? []), form]);
  }
  return [...places.values()].map((same) => {
    const [first] = same;
    const labels = same.map((form) => selectorString(form.labels)).join(" or ");
    const names = [...new Set(same.flatMap(({ knownAs }) => knownAs))].join(" or ");
    return `a ${first?.kinds.join(" or ")} with ${labels}, or called ${names}, in ${first?.namespace}`;
  });
}
