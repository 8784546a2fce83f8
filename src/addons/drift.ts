/**
 * Proves that addon-manager works: changes an object on purpose and waits until addon-manager reverts it. A run that
 * attacks an add-on relies on addon-manager to restore it, so this is proven, never assumed.
 */
import { randomBytes } from "node:crypto";
import type { Clock } from "../common/clock.js";
import { pollUntil } from "../common/clock.js";
import { ChaosError, ExitCode } from "../common/errors.js";
import {
  CONFIGMAPS,
  DEPLOYMENTS,
  getOrUndefined,
  list,
  patch,
  PODS,
  resourcePath,
  selectorString,
} from "../kube/api.js";
import type { ConfigMap, KubeObject, Pod } from "../kube/objects.js";
import { isReady, isTerminating, restartsOf } from "../kube/pod-state.js";
import { ApiError, type Transport } from "../kube/transport.js";
import { isOwn, MANAGED_BY } from "../own/manifest.js";
import { ADDON_MANAGER_LABELS, ADDON_MANAGER_NAME, ADDON_NAMESPACE, DRIFT_NAME } from "../own/own-names.js";
import { type Proof, readRecord, recordProof } from "./addon-record.js";

/** addon-manager's interval is 60 s (kube-addons.sh). A pass takes seconds, longer on a busy machine. */
const PROOF_LIMIT_MS = 90_000;
const POLL_EVERY_MS = 500;

/** data.state of the drift ConfigMap in addon-manager's manifest. */
const RECONCILED = "reconciled";

const DRIFT_PATH = resourcePath(CONFIGMAPS, ADDON_NAMESPACE, DRIFT_NAME);
const MANAGER = `${ADDON_NAMESPACE}/${ADDON_MANAGER_NAME}`;

export interface ProofOptions {
  /** How long addon-manager may take to revert the change, ms; default 90 s. */
  readonly limitMs?: number;
  /** Receives what the proof is waiting for. */
  readonly note?: (text: string) => void;
  readonly signal?: AbortSignal;
  /** Called with the ConfigMap as it should be, before it is changed: records how to undo the change. */
  readonly beforeChange?: (path: string, before: ConfigMap) => Promise<void>;
}

/**
 * Changes the drift ConfigMap, waits until addon-manager reverts it, and records the addon-manager pod.
 *
 * @returns how long it took, ms, and the pod.
 * @throws ChaosError when this tool's addon-manager is not running, does not revert the change in time or restarts
 *   meanwhile, or when the signal aborts.
 */
export async function proveAddonManager(
  transport: Transport,
  clock: Clock,
  options: ProofOptions = {},
): Promise<{ readonly repairedAfterMs: number; readonly podUid: string }> {
  const { limitMs = PROOF_LIMIT_MS, note, signal, beforeChange } = options;
  const before = await managerInstance(transport);
  if ("problem" in before) throw new ChaosError(`${before.problem}. ${remedy(before.state)}`);
  const live = await getOrUndefined<ConfigMap>(transport, DRIFT_PATH);
  if (live !== undefined)
    await beforeChange?.(DRIFT_PATH, { ...live, data: { ...live.data, state: RECONCILED } });
  const drifted = `drifted-${randomBytes(4).toString("hex")}`;
  note?.(`changed ConfigMap ${DRIFT_NAME}; addon-manager should revert it within a minute`);
  const startedAt = clock.now();
  await writeState(transport, drifted);
  const repaired = await pollUntil(clock, { everyMs: POLL_EVERY_MS, limitMs, signal }, async () =>
    (await readState(transport)) === RECONCILED ? clock.now() - startedAt : undefined,
  );
  if (repaired === undefined) {
    // Leave the ConfigMap as in the manifest: the fault is addon-manager's, as the error below says.
    await writeState(transport, RECONCILED);
    if (signal?.aborted === true) throw interrupted();
    throw new ChaosError(
      `addon-manager is not working: it did not revert a test change to ConfigMap ${ADDON_NAMESPACE}/${DRIFT_NAME} within ${Math.round(limitMs / 1000)} s. ` +
        `See kubectl -n ${ADDON_NAMESPACE} logs deployment/${ADDON_MANAGER_NAME}; \`chaos cluster up --addons\` repairs it`,
    );
  }
  const after = await managerInstance(transport);
  if (!("podUid" in after) || !isSame(before, after)) {
    throw new ChaosError(
      `addon-manager (${MANAGER}) restarted during its proof, so the proof does not count. Run it again`,
    );
  }
  await recordProof(transport, {
    ...after,
    provenAt: clock.wall().toISOString(),
    repairedAfterMs: Math.round(repaired),
  });
  return { repairedAfterMs: repaired, podUid: after.podUid };
}

function interrupted(): ChaosError {
  return new ChaosError("interrupted during the proof of addon-manager", {
    exitCode: ExitCode.interrupted,
  });
}

async function readState(transport: Transport): Promise<string | undefined> {
  return (await getOrUndefined<ConfigMap>(transport, DRIFT_PATH))?.data?.["state"];
}

/** When the ConfigMap does not exist, addon-manager has to create it: that proves it too. */
async function writeState(transport: Transport, state: string): Promise<void> {
  try {
    await patch(transport, DRIFT_PATH, { data: { state } }, { fieldManager: MANAGED_BY });
  } catch (error) {
    if (!(error instanceof ApiError && error.status === 404)) throw error;
  }
}

/** `absent`: not installed by this tool. `not-running`: no ready pod. `unproven`: it runs but is not proven to work. */
export type AddonManagerState = "absent" | "unproven" | "proven" | "not-running";

/** Whether the running addon-manager is the instance that was proven. Changes nothing. */
export async function addonManagerProof(
  transport: Transport,
): Promise<{ readonly state: AddonManagerState; readonly podUid?: string; readonly detail: string }> {
  const instance = await managerInstance(transport);
  if ("problem" in instance) return { state: instance.state, detail: instance.problem };
  const { podUid } = instance;
  const proof = (await readRecord(transport))?.proof;
  if (proof === undefined)
    return {
      state: "unproven",
      podUid,
      detail: `addon-manager (${MANAGER}) runs but was never proven to work`,
    };
  if (!isSame(proof, instance)) {
    return {
      state: "unproven",
      podUid,
      detail: `addon-manager (${MANAGER}) has restarted since its proof at ${proof.provenAt}`,
    };
  }
  const detail = `addon-manager reverted a change after ${(proof.repairedAfterMs / 1000).toFixed(1)} s (proven at ${proof.provenAt})`;
  return { state: "proven", podUid, detail };
}

type Instance = Pick<Proof, "podUid" | "restartCount">;

function isSame(a: Instance, b: Instance): boolean {
  return a.podUid === b.podUid && a.restartCount === b.restartCount;
}

function remedy(state: AddonManagerState): string {
  return state === "absent"
    ? "`chaos cluster up --addons` installs it, with the study's add-ons"
    : `kubectl -n ${ADDON_NAMESPACE} describe pods -l ${selectorString(ADDON_MANAGER_LABELS)} shows why`;
}

/** The running, ready instance of addon-manager. */
async function managerInstance(
  transport: Transport,
): Promise<Instance | { readonly state: "absent" | "not-running"; readonly problem: string }> {
  const path = resourcePath(DEPLOYMENTS, ADDON_NAMESPACE, ADDON_MANAGER_NAME);
  const deployment = await getOrUndefined<KubeObject>(transport, path);
  if (deployment === undefined || !isOwn(deployment))
    return {
      state: "absent",
      problem: `this tool has not installed an addon-manager (Deployment ${MANAGER})`,
    };
  const { items } = await list<Pod>(transport, resourcePath(PODS, ADDON_NAMESPACE), {
    labelSelector: selectorString(ADDON_MANAGER_LABELS),
  });
  const pod = items.find((each) => isReady(each) && !isTerminating(each));
  if (pod === undefined)
    return { state: "not-running", problem: `addon-manager (${MANAGER}) has no ready pod` };
  return { podUid: pod.metadata.uid, restartCount: restartsOf(pod) };
}
