import { addonManagerProof, proveAddonManager } from "../../addons/drift.js";
import { messageOf, RefusedError } from "../../common/errors.js";
import { isControl } from "../../experiment/attacks.js";
import { ADDON_MODE_LABEL } from "../../own/own-names.js";
import { isNodeTarget } from "../../targets/target.js";
import type { Prepared } from "../context.js";

/** addon-manager reconciles every 60 s; a pass takes some seconds, ms. */
const PROOF_LIMIT_MS = 90_000;

/**
 * If addon-manager should restore the target, it must first have repaired a deliberate drift. Otherwise the attack
 * would have no opponent. Where addon-manager is not visible (GKE runs it outside the cluster) this is unknown, and the
 * check says so.
 *
 * @throws RefusedError when addon-manager exists and does not repair.
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
    check(
      `${target.name} has addon-manager's label. Unknown whether addon-manager is working: ${proof.detail}`,
    );
    return;
  }
  if (proof.state === "proven") {
    check(proof.detail);
    return;
  }
  try {
    const { repairedAfterMs } = await view.step(
      "wait until addon-manager has repaired a deliberate drift",
      async (note) => await proveAddonManager(transport, clock, { limitMs: PROOF_LIMIT_MS, note }),
    );
    check(`repaired a deliberate drift in ${Math.round(repairedAfterMs / 1000)} s`);
  } catch (error) {
    throw new RefusedError(
      `addon-manager should restore ${target.name} but is not working: ${messageOf(error)}. Nothing was changed.`,
      { cause: error },
    );
  }
}
