import type { ComponentDefinition } from "./component.js";

/**
 * The agent of each node. Not a pod: a systemd unit on GKE, kubeadm and kind. Without it the containers keep running;
 * after kube-controller-manager's --node-monitor-grace-period the node becomes NotReady and its pods leave the
 * endpoints. The default is 50 s since Kubernetes 1.32, and 40 s before (kubernetes/kubernetes#126287), from a Lease that
 * may be 10 s old (nodeLeaseRenewIntervalFraction, pkg/kubelet/kubelet.go); clusters set others. No code assumes it: the
 * report says when the node became NotReady.
 */
export const kubelet: ComponentDefinition = {
  name: "kubelet",
  role: "starts and stops the pods of its node and reports the node's state",
  find: [
    {
      how: "systemd-unit",
      units: ["kubelet.service"],
      knownAs: ["kubelet"],
    },
  ],
  defaultAttack: { type: "systemd-unit", nodes: "one" },
  functionProbes: [],
  functionProbe: "node-runs-pods",
  expectedImpact: "function lost",
  // The study's table, slide 18 (GKE 1.11.7, three nodes).
  study: {
    name: "kubelet",
    type: "systemd",
    count: 3,
    behaviour: {
      en: "the service runs on; pods can be neither deleted nor started",
      ja: "サービスは稼働するが、Podの削除/起動が不可になった",
    },
    impact: "none",
    impactVerified: true,
    functionLost: true,
    functionVerified: true,
  },
};
