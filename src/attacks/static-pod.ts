import { type Attack, forNodes } from "./attack.js";
import { KeptDown } from "./kept-down.js";
import { heldPath, heldRoot, holdManifest, rearm, timerName } from "../nodes/faults.js";
import { manifestOn } from "../targets/node-target.js";

/**
 * Moves a static pod's manifest out of the kubelet's folder on the attacked nodes, and again when one reappears.
 * First sets a timer on each node that moves it back if the runner does not. Renaming the manifest inside the folder
 * would not work: the kubelet reads every file in it.
 */
export function staticPod(): Attack {
  return {
    type: "static-pod",
    plan: (target) => {
      const found = "manifest" in target ? target.manifest : undefined;
      const manifest = found ?? `${target.name}'s manifest`;
      return [
        `set a systemd timer on each attacked node that moves ${manifest} back if the runner does not`,
        found === undefined
          ? `move ${manifest} out of the kubelet's folder on the node`
          : `move ${manifest} into ${heldRoot(manifest)}/ on the node`,
        "do the same again whenever the manifest reappears",
      ];
    },
    start: (given) => {
      const context = forNodes(given);
      const { target, runId, node: faults } = context;
      const { access, healAfterMs } = faults;
      const faultOn = (node: string): Parameters<typeof holdManifest>[1] => {
        const manifest = manifestOn(target, node);
        return {
          manifest,
          heldAt: heldPath(runId, manifest),
          timer: timerName(runId, manifest),
          healAfterMs,
        };
      };
      return new KeptDown(context, {
        action: "manifest-moved",
        takeDown: async (node) => await holdManifest({ access, node }, faultOn(node)),
        rearm: async (node) => await rearm({ access, node }, faultOn(node).timer),
      });
    },
  };
}
