/** What `chaos doctor` reads from a cluster, once. The conditions judge it without a request. */
import type { FindWorkload } from "../components/component.js";
import type { Environment } from "../evidence/facts.js";
import type { Certificates } from "../kube/certificates.js";
import type {
  DaemonSet,
  Deployment,
  Event,
  KubeObject,
  Lease,
  Namespace,
  Node,
  Pod,
  ReplicaSet,
  Service,
} from "../kube/objects.js";
import type { ClusterPlace } from "../safety/journal/unfinished.js";
import type { UnfinishedRuns } from "../safety/journal/journal.js";
import type { Platform } from "../targets/platform.js";

export type Selector = NonNullable<NonNullable<Deployment["spec"]>["selector"]>;

/** A PodDisruptionBudget. */
export type Budget = KubeObject & {
  readonly spec?: { readonly selector?: Partial<Selector> };
};

export type ApiService = KubeObject & {
  readonly spec?: { readonly service?: { readonly namespace: string; readonly name: string } | null };
  readonly status?: {
    readonly conditions?: readonly {
      readonly type: string;
      readonly status: string;
      readonly reason?: string;
      readonly message?: string;
    }[];
  };
};

/** An admission webhook that calls a Service of the cluster. */
export interface Webhook {
  readonly kind: "ValidatingWebhookConfiguration" | "MutatingWebhookConfiguration";
  readonly configuration: string;
  readonly name: string;
  /** `Fail`: what it cannot judge is refused. */
  readonly failurePolicy: "Fail" | "Ignore";
  readonly service: { readonly namespace: string; readonly name: string };
  /** "CREATE pods", "UPDATE apps/deployments". */
  readonly rules: readonly string[];
  /** Whether it is asked about pods in kube-system. */
  readonly guardsKubeSystem: boolean;
  /** Number of ready endpoints of the Service; undefined: not known. */
  readonly endpoints: number | undefined;
}

export type SigningRequest = KubeObject & {
  readonly spec: { readonly signerName: string; readonly username?: string };
  readonly status?: { readonly conditions?: readonly { readonly type: string }[] };
};

export type PodMetrics = KubeObject & {
  readonly containers: readonly { readonly name: string; readonly usage: { readonly memory?: string } }[];
};

/** What a kubelet says about its certificates: seconds until they expire; undefined: it has none of this kind. */
export interface KubeletCertificates {
  readonly node: string;
  readonly clientTtl?: number;
  readonly servingTtl?: number;
  readonly renewErrors: number;
}

export interface Readiness {
  readonly ready: boolean;
  /** The parts of the API server that are not ready: "etcd". */
  readonly failing: readonly string[];
}

/** What can be missing, because a right is missing or the cluster does not serve it. */
export interface Parts {
  readonly nodes: readonly Node[];
  /** Of kube-system, and of the namespaces where this platform has components. So are the workloads. */
  readonly pods: readonly Pod[];
  readonly deployments: readonly Deployment[];
  readonly daemonSets: readonly DaemonSet[];
  readonly replicaSets: readonly ReplicaSet[];
  readonly services: readonly Service[];
  readonly events: readonly Event[];
  readonly budgets: readonly Budget[];
  /** Of kube-system. */
  readonly leases: readonly Lease[];
  readonly namespaces: readonly Namespace[];
  /** Pods of all namespaces that have no node, at most 500. */
  readonly unscheduled: readonly Pod[];
  readonly apiServices: readonly ApiService[];
  readonly webhooks: readonly Webhook[];
  readonly signingRequests: readonly SigningRequest[];
  readonly podMetrics: readonly PodMetrics[];
  readonly kubelets: readonly KubeletCertificates[];
  readonly certificates: Certificates;
  readonly readiness: Readiness;
  readonly unfinished: UnfinishedRuns;
  /** Objects of a dead-man's switch outside the namespaces of a run: "ClusterRole chaos-dead-man-…". */
  readonly deadMan: readonly string[];
}
export type Part = keyof Parts;

export interface ClusterFacts extends Partial<Parts> {
  /** The API server's clock, ms: ages do not depend on this machine's clock. */
  readonly nowMs: number;
  /** The API server's version, such as v1.36.3. */
  readonly version: string;
  readonly platform: Platform | undefined;
  readonly place: ClusterPlace;
  readonly environment: Environment;
  /** Why a part is missing, or is incomplete. */
  readonly notRead: Readonly<Partial<Record<Part, string>>>;
}

/** A workload with the kind that it was listed as. */
export interface Workload {
  readonly kind: FindWorkload["kinds"][number];
  readonly object: Deployment | DaemonSet;
}
