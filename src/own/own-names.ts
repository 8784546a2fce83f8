/** Names of the objects that a run, its session or the add-ons create, and of their labels and annotations. */
export const PROBER_NAMESPACE = "kube-system-chaos";

/** Any Node from 18 on runs the agent. */
export const PROBER_IMAGE = "docker.io/library/node:18-bookworm-slim";

/** One lock a cluster, in the namespace that every cluster has and nobody deletes. */
export const LOCK_NAMESPACE = "kube-system";

export const LOCK_NAME = "kube-system-chaos";

/** The run that has scaled a workload down, and how many replicas it had before. */
export const RUN_ANNOTATION = "kube-system-chaos/run";

export const REPLICAS_ANNOTATION = "kube-system-chaos/replicas";

/** Where a cluster that runs stand-ins says so: readable for everybody who can log in. */
export const SUBSTITUTE_IMAGES_CONFIGMAP = {
  namespace: "kube-public",
  name: "kube-system-chaos-stand-ins",
  key: "stand-ins.json",
} as const;

/** Label by which addon-manager knows its objects (cluster/addons/addon-manager/README of Kubernetes). */
export const ADDON_MODE_LABEL = "addonmanager.kubernetes.io/mode";

export const SINK_NAMESPACE = "kube-system-chaos-sink";

/** Annotation on the database's template that replaces its pod: by it the run's own change is known. */
export const REPLACED_AT = "kube-system-chaos/replaced-at";

export const ADDON_NAMESPACE = "kube-system";

/** On every object of a study add-on, with the add-on's name: what carries it is ours to remove. */
export const ADDON_LABEL = "kube-system-chaos/study-addon";

/** Keeps what kubectl applied last; its prune passes over objects without it. */
export const LAST_APPLIED_ANNOTATION = "kubectl.kubernetes.io/last-applied-configuration";

/** Deployment, ServiceAccount, and (with -files) ConfigMap of the addon-manager. */
export const ADDON_MANAGER_NAME = "kube-addon-manager";

export const ADDON_MANAGER_LABELS = { component: "kube-addon-manager" } as const;

/** What the cluster was like before, and the last proof that addon-manager is at work. */
export const RECORD_NAME = "kube-system-chaos-addons";

/** Changed on purpose, to see addon-manager put it back. */
export const DRIFT_NAME = "kube-system-chaos-drift";

/** Made by kube-dns-autoscaler itself on its start, without any label. */
export const AUTOSCALER_CONFIG_NAME = "kube-dns-autoscaler";

export const METRICS_API_SERVICE = "v1beta1.metrics.k8s.io";

const SINK_NAME = "chaos-sink";

/** Where the add-ons send what they forward. */
export const SINK_URL = `http://${SINK_NAME}.${SINK_NAMESPACE}.svc`;
