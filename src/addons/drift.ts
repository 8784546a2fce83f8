/**
 * Whether addon-manager is at work: seen by changing, on purpose, what it has to put back. A run that takes
 * something of addon-manager's down rests on it, so it is proven, never assumed.
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
import { isReady, isTerminating } from "../kube/pod-state.js";
import { ApiError, type Transport } from "../kube/transport.js";
import { isOwn, MANAGED_BY } from "../own/manifest.js";
import { ADDON_MANAGER_LABELS, ADDON_MANAGER_NAME, ADDON_NAMESPACE, DRIFT_NAME } from "../own/own-names.js";
import { type Proof, readRecord, recordProof } from "./addon-record.js";

/** addon-manager's interval is 60 s (kube-addons.sh); a pass takes seconds, and on a busy machine more. */
const PROOF_LIMIT_MS = 90_000;
const LOOK_EVERY_MS = 500;

/** data.state of the drift ConfigMap, as addon-manager's manifest has it. */
const RECONCILED = "reconciled";

const DRIFT_PATH = resourcePath(CONFIGMAPS, ADDON_NAMESPACE, DRIFT_NAME);
const MANAGER = `${ADDON_NAMESPACE}/${ADDON_MANAGER_NAME}`;

export interface ProofOptions {
  /** How long addon-manager may take to put the change back, ms; default 90 s. */
  readonly limitMs?: number;
  /** Told what is being waited for. */
  readonly note?: (text: string) => void;
  readonly signal?: AbortSignal;
}

/**
 * Changes the drift ConfigMap and waits until addon-manager has put it back; records which pod did.
 *
 * @returns how long it took, ms, and the pod.
 * @throws ChaosError when there is no addon-manager of ours running, it did not put the change back in time, it
 *   was restarted meanwhile, or the signal came.
 */
export async function proveAddonManager(
  transport: Transport,
  clock: Clock,
  options: ProofOptions = {},
): Promise<{ readonly repairedAfterMs: number; readonly podUid: string }> {
  const { limitMs = PROOF_LIMIT_MS, note, signal } = options;
  const before = await managerInstance(transport);
  if ("problem" in before) throw new ChaosError(`${before.problem}. ${remedy(before.state)}`);
  const drifted = `drifted-${randomBytes(4).toString("hex")}`;
  note?.(`changed ConfigMap ${DRIFT_NAME}; addon-manager puts it back within a minute`);
  const startedAt = clock.now();
  await writeState(transport, drifted);
  const repaired = await pollUntil(
    clock,
    { everyMs: LOOK_EVERY_MS, limitMs, ...(signal === undefined ? {} : { signal }) },
    async () => ((await readState(transport)) === RECONCILED ? clock.now() - startedAt : undefined),
  );
  if (repaired === undefined) {
    // Left as addon-manager would have it: what is wrong is with addon-manager, and said below.
    await writeState(transport, RECONCILED);
    if (signal?.aborted === true) throw interrupted();
    throw new ChaosError(
      `addon-manager is not at work: ConfigMap ${ADDON_NAMESPACE}/${DRIFT_NAME} was changed on purpose and not put back within ${Math.round(limitMs / 1000)} s. ` +
        `kubectl -n ${ADDON_NAMESPACE} logs deployment/${ADDON_MANAGER_NAME} says what it does; \`chaos cluster up --addons\` puts it right`,
    );
  }
  const after = await managerInstance(transport);
  if (!("podUid" in after) || !isSame(before, after)) {
    throw new ChaosError(
      `addon-manager (${MANAGER}) was restarted while it was being proven: so it cannot be said which one put the change back. Prove it again`,
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
  return new ChaosError("interrupted while addon-manager was being proven", {
    exitCode: ExitCode.interrupted,
  });
}

async function readState(transport: Transport): Promise<string | undefined> {
  return (await getOrUndefined<ConfigMap>(transport, DRIFT_PATH))?.data?.["state"];
}

/** One that is not there is addon-manager's to make: then that is what is waited for. */
async function writeState(transport: Transport, state: string): Promise<void> {
  try {
    await patch(transport, DRIFT_PATH, { data: { state } }, { fieldManager: MANAGED_BY });
  } catch (error) {
    if (!(error instanceof ApiError && error.status === 404)) throw error;
  }
}

/** `absent`: no addon-manager of ours. `not-running`: no ready pod of it. `unproven`: it runs, and was never seen at work. */
export type AddonManagerState = "absent" | "unproven" | "proven" | "not-running";

/** Whether the addon-manager that runs now is the one that was seen to put a change back. Changes nothing. */
export async function addonManagerProof(
  transport: Transport,
): Promise<{ readonly state: AddonManagerState; readonly podUid?: string; readonly detail: string }> {
  const instance = await managerInstance(transport);
  if ("problem" in instance) return { state: instance.state, detail: instance.problem };
  const { podUid } = instance;
  const proof = (await readRecord(transport))?.proof;
  if (proof === undefined)
    return { state: "unproven", podUid, detail: `addon-manager (${MANAGER}) runs and was never proven` };
  if (!isSame(proof, instance)) {
    return {
      state: "unproven",
      podUid,
      detail: `addon-manager (${MANAGER}) was started anew since it was proven at ${proof.provenAt}`,
    };
  }
  const detail = `addon-manager put a change back ${(proof.repairedAfterMs / 1000).toFixed(1)} s after it was made (proven at ${proof.provenAt})`;
  return { state: "proven", podUid, detail };
}

type Instance = Pick<Proof, "podUid" | "restartCount">;

function isSame(a: Instance, b: Instance): boolean {
  return a.podUid === b.podUid && a.restartCount === b.restartCount;
}

function remedy(state: AddonManagerState): string {
  return state === "absent"
    ? "`chaos cluster up --addons` installs one, with the study's add-ons"
    : `kubectl -n ${ADDON_NAMESPACE} describe pods -l ${selectorString(ADDON_MANAGER_LABELS)} says why`;
}

/** The addon-manager that runs, ready. */
async function managerInstance(
  transport: Transport,
): Promise<Instance | { readonly state: "absent" | "not-running"; readonly problem: string }> {
  const path = resourcePath(DEPLOYMENTS, ADDON_NAMESPACE, ADDON_MANAGER_NAME);
  const deployment = await getOrUndefined<KubeObject>(transport, path);
  if (deployment === undefined || !isOwn(deployment))
    return { state: "absent", problem: `no addon-manager of ours is installed (Deployment ${MANAGER})` };
  const { items } = await list<Pod>(transport, resourcePath(PODS, ADDON_NAMESPACE), {
    labelSelector: selectorString(ADDON_MANAGER_LABELS),
  });
  const pod = items.find((each) => isReady(each) && !isTerminating(each));
  if (pod === undefined)
    return { state: "not-running", problem: `no pod of addon-manager (${MANAGER}) is ready` };
  const restarts = (pod.status?.containerStatuses ?? []).map(({ restartCount }) => restartCount);
  return { podUid: pod.metadata.uid, restartCount: restarts.reduce((sum, each) => sum + each, 0) };
}
