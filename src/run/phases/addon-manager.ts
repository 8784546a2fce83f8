import { addonManagerProof, proveAddonManager } from "../../addons/drift.js";
import { ChaosError, messageOf, RefusedError } from "../../common/errors.js";
import { isControl } from "../../experiment/attacks.js";
import type { ConfigMap } from "../../kube/objects.js";
import { ADDON_MODE_LABEL } from "../../own/own-names.js";
import { record } from "../../safety/journal/entries.js";
import { type PendingUndo } from "../../safety/journal/journal.js";
import { isNodeTarget } from "../../targets/target.js";
import type { RunContext } from "../context.js";

/** addon-manager reconciles every 60 s; a pass takes some seconds, ms. */
const PROOF_LIMIT_MS = 90_000;

/**
 * If addon-manager should restore the target, it must first have repaired a deliberate drift. Otherwise the attack
 * would have no opponent. Where addon-manager is not visible (GKE runs it outside the cluster) this is unknown, and the
 * check says so. The drift is a change like any other: made under the lock, and in the journal before.
 *
 * @throws RefusedError when addon-manager exists and does not repair. Then the drift is undone.
 */
export async function relyOnAddonManager(context: RunContext): Promise<void> {
  const { transport, clock, view, recorder, target, interrupted, journal } = context;
  const { attack } = context.resolved;
  if (isControl(attack) || isNodeTarget(target) || interrupted.aborted) return;
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
  const drift: PendingUndo[] = [];
  const beforeChange = async (path: string, before: ConfigMap): Promise<void> => {
    const collection = path.slice(0, path.lastIndexOf("/"));
    const object = { ...before, apiVersion: "v1", kind: "ConfigMap" };
    await record(journal, drift, { action: "restore-workload", path, collection, object });
  };
  const options = { limitMs: PROOF_LIMIT_MS, signal: interrupted, beforeChange };
  try {
    const { repairedAfterMs } = await view.step(
      "wait until addon-manager has repaired a deliberate drift",
      async (note) => await proveAddonManager(transport, clock, { ...options, note }),
    );
    check(`repaired a deliberate drift in ${Math.round(repairedAfterMs / 1000)} s`);
    for (const { seq } of drift) await journal.restored(seq, "found", "addon-manager");
  } catch (error) {
    // The end of the run undoes it.
    context.changed.push(...drift);
    if (interrupted.aborted && error instanceof ChaosError) return;
    throw new RefusedError(
      `addon-manager should restore ${target.name} but is not working: ${messageOf(error)}. Nothing was taken down.`,
      { cause: error },
    );
  }
}
