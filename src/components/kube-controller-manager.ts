import { staticPod } from "./static-pod.js";

/** Runs the controllers: ReplicaSets, endpoints, nodes. */
export const kubeControllerManager = staticPod({
  name: "kube-controller-manager",
  role: "makes the pods of ReplicaSets and keeps endpoints, nodes and namespaces in order",
  functionProbe: "replicas-are-made",
});
