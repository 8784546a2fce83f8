import type { ComponentDefinition } from "./component.js";

/**
 * What runs the containers of a node (containerd, on the slides' drawings as "container runtime"). Containers run on
 * without it, each with a shim of its own; after half a minute the kubelet reports its node as NotReady.
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
