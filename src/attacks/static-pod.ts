import { type Attack, forNodes } from "./attack.js";
import { KeptDown } from "./kept-down.js";
import { heldPath, HELD_ROOT, holdManifest, rearm, timerName } from "../nodes/faults.js";

/**
 * Moves a static pod's manifest out of the kubelet's folder on the attacked nodes, and again when one reappears.
 * First sets a timer on each node that moves it back if the runner does not. Renaming the manifest inside the folder
 * would not work: the kubelet reads every file in it.
 */
export function staticPod(): Attack {
  return {
    type: "static-pod",
    plan: (target) => {
      const manifest = ("manifest" in target ? target.manifest : undefined) ?? `${target.name}'s manifest`;
      return [
        `set a systemd timer on each attacked node that moves ${manifest} back if the runner does not`,
        `move ${manifest} into ${HELD_ROOT}/ on the node`,
        "do the same again whenever the manifest reappears",
      ];
    },
    start: (given) => {
      const context = forNodes(given);
      const { target, runId, node: faults } = context;
      const { access, healAfterMs } = faults;
      const { manifest } = target;
      if (manifest === undefined)
        throw new Error(`cannot take down ${target.name}: the path of its manifest is unknown`);
      const fault = {
        manifest,
        heldAt: heldPath(runId, manifest),
        timer: timerName(runId, manifest),
        healAfterMs,
      };
      return new KeptDown(context, {
        action: "manifest-moved",
        takeDown: async (node) => await holdManifest({ access, node }, fault),
        rearm: async (node) => await rearm({ access, node }, fault.timer),
      });
    },
  };
}
