/** Names, labels and annotations of the objects that a run, its session or the add-ons create. */
export const PROBER_NAMESPACE = "kube-system-chaos";

/** The privileged pods that reach the nodes have a namespace of their own: PodSecurity lets nothing else be privileged. */
export const NODE_ACCESS_NAMESPACE = "kube-system-chaos-nodes";

/** Any Node.js since 18 runs the agent. */
export const PROBER_IMAGE = "docker.io/library/node:18-bookworm-slim";

/** One lock per cluster, in a namespace that every cluster has and that cannot be deleted. */
export const LOCK_NAMESPACE = "kube-system";

export const LOCK_NAME = "kube-system-chaos";

/** The run that scaled a workload down, and the replicas it had before. */
export const RUN_ANNOTATION = "kube-system-chaos/run";

export const REPLICAS_ANNOTATION = "kube-system-chaos/replicas";

/** The list of substitute images in a cluster: readable for every authenticated user. */
export const SUBSTITUTE_IMAGES_CONFIGMAP = {
  namespace: "kube-public",
  name: "kube-system-chaos-stand-ins",
  key: "stand-ins.json",
} as const;

/** Label of addon-manager's objects (cluster/addons/addon-manager/README of Kubernetes). */
export const ADDON_MODE_LABEL = "addonmanager.kubernetes.io/mode";

export const SINK_NAMESPACE = "kube-system-chaos-sink";

/** Annotation on the database's pod template that replaces its pod. It identifies the run's own change. */
export const REPLACED_AT = "kube-system-chaos/replaced-at";

export const ADDON_NAMESPACE = "kube-system";

/** On every object of a study add-on, with the add-on's name: this tool may remove objects that have it. */
export const ADDON_LABEL = "kube-system-chaos/study-addon";

/** The manifest that kubectl applied last. Its prune skips objects without this annotation. */
export const LAST_APPLIED_ANNOTATION = "kubectl.kubernetes.io/last-applied-configuration";

/** Deployment, ServiceAccount, and (with -files) ConfigMap of the addon-manager. */
export const ADDON_MANAGER_NAME = "kube-addon-manager";

export const ADDON_MANAGER_LABELS = { component: "kube-addon-manager" } as const;

/** The cluster's state before the add-ons, and the last proof that addon-manager works. */
export const RECORD_NAME = "kube-system-chaos-addons";

/** Changed on purpose, to prove that addon-manager reverts it. */
export const DRIFT_NAME = "kube-system-chaos-drift";

/** Created by kube-dns-autoscaler itself at its start, without a label. */
export const AUTOSCALER_CONFIG_NAME = "kube-dns-autoscaler";

const SINK_NAME = "chaos-sink";

/** Where the add-ons send what they forward. */
export const SINK_URL = `http://${SINK_NAME}.${SINK_NAMESPACE}.svc`;
