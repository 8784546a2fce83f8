import { type Attack, forNodes } from "./attack.js";
import { KeptDown } from "./kept-down.js";
import { rearm, stopUnit, timerName } from "../nodes/faults.js";

/**
 * Stops a systemd unit on the attacked nodes, behind a timer on each node that starts it again, and stops it again
 * when it is found started. systemd does not restart what was stopped (Restart= is for what ends by itself).
 */
export function systemdUnit(): Attack {
  return {
    type: "systemd-unit",
    plan: (target) => {
      const unit = "unit" in target ? (target.unit ?? target.name) : target.name;
      return [
        `set a timer of systemd on each attacked node that starts ${unit} again, if the runner does not`,
        `stop ${unit} on it`,
        "the same again whenever it is found started",
      ];
    },
    start: (given) => {
      const context = forNodes(given);
      const { target, runId, node: faults } = context;
      const { access, healAfterMs } = faults;
      const { unit } = target;
      if (unit === undefined) throw new Error(`the unit of ${target.name} is not known`);
      const timer = timerName(runId, unit);
      return new KeptDown(context, {
        action: "unit-stopped",
        takeDown: async (node) => await stopUnit({ access, node }, { unit, timer, healAfterMs }),
        rearm: async (node) => await rearm({ access, node }, timer),
      });
    },
  };
}
