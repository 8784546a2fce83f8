import { staticPod } from "./static-pod.js";

/** Runs the controllers: ReplicaSets, endpoints, nodes. */
export const kubeControllerManager = staticPod({
  name: "kube-controller-manager",
  role: "creates the pods of ReplicaSets and manages endpoints, nodes and namespaces",
  functionProbe: "replicas-are-made",
  openshift: {
    namespace: "openshift-kube-controller-manager",
    app: "kube-controller-manager",
    manifest: "kube-controller-manager-pod.yaml",
  },
});
