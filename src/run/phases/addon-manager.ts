import { addonManagerProof, proveAddonManager } from "../../addons/drift.js";
import type { Clock } from "../../common/clock.js";
import { messageOf, RefusedError } from "../../common/errors.js";
import type { RunEventBody } from "../../evidence/events.js";
import { isControl } from "../../experiment/attacks.js";
import type { Attack } from "../../experiment/schema.js";
import type { Transport } from "../../kube/transport.js";
import { ADDON_MODE_LABEL } from "../../own/own-names.js";
import { type AnyTarget, isNodeTarget } from "../../targets/target.js";
import type { RunView } from "../../ui/base.js";

/** addon-manager reconciles every 60 s; a pass takes some seconds, ms. */
const PROOF_LIMIT_MS = 90_000;

/**
 * A target that addon-manager is said to restore: addon-manager must have repaired a drift made on purpose, or the
 * fight against it is one against nobody. Where it is not ours (GKE runs it out of sight) that is not known, and
 * is said.
 *
 * @throws RefusedError when it is there and does not repair.
 */
export async function relyOnAddonManager(input: {
  readonly transport: Transport;
  readonly clock: Clock;
  readonly view: RunView;
  readonly emit: (body: RunEventBody) => void;
  readonly target: AnyTarget;
  readonly attack: Attack;
}): Promise<void> {
  const { transport, clock, view, emit, target, attack } = input;
  if (isControl(attack) || isNodeTarget(target)) return;
  if (target.object.metadata.labels?.[ADDON_MODE_LABEL] === undefined) return;
  const proof = await addonManagerProof(transport);
  const check = (detail: string): void => emit({ type: "check", name: "addon-manager", ok: true, detail });
  if (proof.state === "absent") {
    check(`${target.name} carries its label; whether it is at work is not known: ${proof.detail}`);
    return;
  }
  if (proof.state === "proven") {
    check(proof.detail);
    return;
  }
  try {
    const { repairedAfterMs } = await view.step(
      "wait until addon-manager has repaired a drift made on purpose",
      async (note) => await proveAddonManager(transport, clock, { limitMs: PROOF_LIMIT_MS, note }),
    );
    check(`repaired a drift made on purpose in ${Math.round(repairedAfterMs / 1000)} s`);
  } catch (error) {
    throw new RefusedError(
      `${target.name} is to be restored by addon-manager, which does not work: ${messageOf(error)}; nothing was touched`,
      { cause: error },
    );
  }
}
