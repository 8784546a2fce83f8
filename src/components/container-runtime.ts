import type { ComponentDefinition } from "./component.js";

/**
 * Runs the containers of a node (containerd; "container runtime" in the study's drawings). Without it running containers
 * keep running, each with its own shim. The kubelet reports its node as NotReady once the runtime has not answered for
 * some time (30 s: maxWaitForContainerRuntime, pkg/kubelet/kubelet.go). The report says when.
 */
export const containerRuntime: ComponentDefinition = {
  name: "container-runtime",
  role: "runs the containers of its node",
  find: [
    {
      how: "systemd-unit",
      units: ["containerd.service", "crio.service", "docker.service"],
      knownAs: ["containerd"],
    },
  ],
  defaultAttack: { type: "systemd-unit", nodes: "one" },
  functionProbes: [],
  functionProbe: "node-runs-pods",
  expectedImpact: null,
  study: null,
};
