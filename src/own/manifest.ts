/** Builders for the objects that this tool creates. All of them carry the managed-by label. */
import type { KubeObject } from "../kube/objects.js";

/** Every object that this tool creates has this label. Only objects with it are ever replaced or removed. */
export const MANAGED_BY_LABEL = "app.kubernetes.io/managed-by";
export const MANAGED_BY = "kube-system-chaos";
/** The run that created an object: only that run's restore removes it. */
export const RUN_LABEL = "kube-system-chaos/run";

/** An object to create: it has no uid yet. */
export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly spec?: unknown;
  readonly data?: Readonly<Record<string, string>>;
}

/** Whether this tool created an existing object. */
export function isOwn(object: Pick<KubeObject, "metadata">): boolean {
  return object.metadata.labels?.[MANAGED_BY_LABEL] === MANAGED_BY;
}

/** Whether an object, or the manifest of one, has all of these labels. Pure. */
export function carries(
  object: { readonly metadata: { readonly labels?: Readonly<Record<string, string>> } },
  labels: Readonly<Record<string, string>>,
): boolean {
  return Object.entries(labels).every(([key, value]) => object.metadata.labels?.[key] === value);
}

/** What PodSecurity does with pods that its level forbids: refuse them, note them in the audit log, warn. */
const POD_SECURITY_MODES = ["enforce", "audit", "warn"] as const;

/** @param level of PodSecurity: `privileged` only for the pods that reach the nodes. */
export function namespaceManifest(name: string, level: "restricted" | "privileged" = "restricted"): Manifest {
  const modes = POD_SECURITY_MODES.map((mode) => [`pod-security.kubernetes.io/${mode}`, level] as const);
  return {
    apiVersion: "v1",
    kind: "Namespace",
    metadata: { name, labels: { [MANAGED_BY_LABEL]: MANAGED_BY, ...Object.fromEntries<string>(modes) } },
  };
}

interface WorkloadOptions {
  readonly kind: "Deployment" | "DaemonSet";
  readonly namespace: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly replicas?: number;
  readonly podSpec: Readonly<Record<string, unknown>>;
}

/** A Deployment or DaemonSet whose pods terminate quickly: they have no state to save. */
export function workloadManifest(options: WorkloadOptions): Manifest {
  const { kind, namespace, name, labels, replicas, podSpec } = options;
  const containers = podSpec["containers"] as readonly object[];
  return {
    apiVersion: "apps/v1",
    kind,
    metadata: { name, namespace, labels: { ...labels, [MANAGED_BY_LABEL]: MANAGED_BY } },
    spec: {
      ...(replicas === undefined ? {} : { replicas }),
      selector: { matchLabels: labels },
      template: {
        metadata: { labels: { ...labels, [MANAGED_BY_LABEL]: MANAGED_BY } },
        spec: {
          terminationGracePeriodSeconds: 1,
          automountServiceAccountToken: false,
          nodeSelector: { "kubernetes.io/os": "linux" },
          ...podSpec,
          // The last log lines of a container that crashed are then in its state, which needs no right to logs.
          containers: containers.map((each) => ({
            terminationMessagePolicy: "FallbackToLogsOnError",
            ...each,
          })),
        },
      },
    },
  };
}

interface ServiceOptions {
  readonly namespace: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly port: number;
  readonly nodePort?: number;
}

export function serviceManifest(options: ServiceOptions): Manifest {
  const { namespace, name, labels, port, nodePort } = options;
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name, namespace, labels: { ...labels, [MANAGED_BY_LABEL]: MANAGED_BY } },
    spec: {
      ...(nodePort === undefined ? {} : { type: "NodePort" }),
      selector: labels,
      ports: [{ port, targetPort: port, ...(nodePort === undefined ? {} : { nodePort }) }],
    },
  };
}
