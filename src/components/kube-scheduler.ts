import { staticPod } from "./static-pod.js";

/** Gives pods their nodes. */
export const kubeScheduler = staticPod({
  name: "kube-scheduler",
  role: "gives each new pod its node",
  functionProbe: "pods-are-scheduled",
});
