/** Names that the study add-ons' manifests and the code share. */

/** On every object of a study add-on, with the add-on's name: what carries it is ours to remove. */
export const ADDON_LABEL = "kube-system-chaos/study-addon";
/** Keeps what kubectl applied last; its prune passes over objects without it. */
export const LAST_APPLIED_ANNOTATION = "kubectl.kubernetes.io/last-applied-configuration";

export const ADDON_NAMESPACE = "kube-system";
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

export const SINK_NAMESPACE = "kube-system-chaos-sink";
export const SINK_NAME = "chaos-sink";
/** Where the add-ons send what they forward. */
export const SINK_URL = `http://${SINK_NAME}.${SINK_NAMESPACE}.svc`;
