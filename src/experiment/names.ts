/** The rows of the study's table, then the components that kind shows and GKE hides. */
export const COMPONENTS = [
  "kubelet",
  "kube-proxy",
  "kube-dns",
  "kube-dns-autoscaler",
  "fluentd",
  "fluentd-scaler",
  "event-exporter",
  "metrics-server",
  "heapster",
  "l7-default-backend",
  "kube-scheduler",
  "kube-controller-manager",
  "kube-apiserver",
  "etcd",
  "container-runtime",
] as const;

export type ComponentName = (typeof COMPONENTS)[number];

/** What an experiment can attack: workloads of the API, or what runs on nodes. */
export const TARGET_KINDS = ["Deployment", "DaemonSet", "StaticPod", "SystemdUnit"] as const;

export type TargetKind = (typeof TARGET_KINDS)[number];

export const SEVERITIES = ["outage", "degraded", "function lost", "none", "inconclusive"] as const;

export type Severity = (typeof SEVERITIES)[number];

/** The probed layers, from the application down. */
export const PROBES = [
  "app-write",
  "app-read",
  "app-write-env",
  "app-read-env",
  "outside",
  "http-service",
  "http-service-reused",
  "dns-internal",
  "dns-same-socket",
  "dns-external",
  "dns-search",
  "tcp-service",
  "tcp-pod",
  "tcp-long-lived",
] as const;

export type ProbeName = (typeof PROBES)[number];
