import { addonManagerProof, proveAddonManager } from "../../addons/drift.js";
import { messageOf, RefusedError } from "../../common/errors.js";
import { isControl } from "../../experiment/attacks.js";
import { ADDON_MODE_LABEL } from "../../own/own-names.js";
import { isNodeTarget } from "../../targets/target.js";
import type { Prepared } from "../context.js";

/** addon-manager reconciles every 60 s; a pass takes some seconds, ms. */
const PROOF_LIMIT_MS = 90_000;

/**
 * A target that addon-manager is said to restore: addon-manager must have repaired a drift made on purpose, or the
 * fight against it is one against nobody. Where it is not ours (GKE runs it out of sight) that is not known, and
 * is said.
 *
 * @throws RefusedError when it is there and does not repair.
 */
export async function relyOnAddonManager({
  transport,
  clock,
  view,
  recorder,
  target,
  resolved: { attack },
}: Prepared): Promise<void> {
  if (isControl(attack) || isNodeTarget(target)) return;
  if (target.object.metadata.labels?.[ADDON_MODE_LABEL] === undefined) return;
  const proof = await addonManagerProof(transport);
  const check = (detail: string): void =>
    recorder.emit({ type: "check", name: "addon-manager", ok: true, detail });
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
