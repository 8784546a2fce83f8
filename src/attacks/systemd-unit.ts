import { type Attack, forNodes } from "./attack.js";
import { KeptDown } from "./kept-down.js";
import { rearm, stopUnit, timerName } from "../nodes/faults.js";
import { unitOn } from "../targets/node-target.js";

/**
 * Stops a systemd unit on the attacked nodes, and again when it was started. First sets a timer on each node that
 * starts the unit if the runner does not. systemd does not restart a stopped unit (Restart= applies to a unit that
 * ends by itself).
 */
export function systemdUnit(): Attack {
  return {
    type: "systemd-unit",
    plan: (target) => {
      const unit = "unit" in target ? (target.unit ?? target.name) : target.name;
      return [
        `set a systemd timer on each attacked node that starts ${unit} if the runner does not`,
        `stop ${unit} on the node`,
        "stop it again whenever it was started",
      ];
    },
    start: (given) => {
      const context = forNodes(given);
      const { target, runId, node: faults } = context;
      const { access, healAfterMs } = faults;
      return new KeptDown(context, {
        action: "unit-stopped",
        takeDown: async (node) => {
          const unit = unitOn(target, node);
          return await stopUnit({ access, node }, { unit, timer: timerName(runId, unit), healAfterMs });
        },
        rearm: async (node) => await rearm({ access, node }, timerName(runId, unitOn(target, node))),
      });
    },
  };
}
