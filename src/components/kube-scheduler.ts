import { staticPod } from "./static-pod.js";

/** Assigns pods to nodes. */
export const kubeScheduler = staticPod({
  name: "kube-scheduler",
  role: "assigns each new pod to a node",
  functionProbe: "pods-are-scheduled",
  openshift: {
    namespace: "openshift-kube-scheduler",
    app: "openshift-kube-scheduler",
    manifest: "kube-scheduler-pod.yaml",
  },
});
