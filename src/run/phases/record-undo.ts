import { isControl, ATTACKS } from "../../experiment/attacks.js";
import { getOrUndefined } from "../../kube/api.js";
import type { KubeObject } from "../../kube/objects.js";
import { ChaosError } from "../../common/errors.js";
import { isNodeTarget, type Target } from "../../targets/target.js";
import { objectNameOf } from "../../safety/journal/describe.js";
import { notWritten, record } from "../../safety/journal/entries.js";
import { nodeUndos } from "../../safety/restore/undo-entries.js";
import { canComeBack } from "../../safety/restore/admission.js";
import type { RunState } from "../run-state.js";

/** Records in the journal, once each, which of the announced changes were made. */
export function noteActed(state: RunState): void {
  const { recorder, journal } = state.context;
  const waiting = new Map(state.pending.map(({ seq, undo }) => [objectNameOf(undo), seq]));
  recorder.onEvent((event) => {
    if (event.type !== "kill" || event.status === 0 || event.status >= 300) return;
    const seq = waiting.get(event.object.name);
    if (seq === undefined) return;
    waiting.delete(event.object.name);
    // The attack does not wait for this: without the record, a restore assumes that the change was made.
    journal.acted(seq).catch((error: unknown) => {
      recorder.emit({ type: "warning", text: notWritten(error) });
    });
  });
}

/** Records in the journal how to restore the target to its current state. */
export async function recordUndo(state: RunState): Promise<boolean> {
  const { journal, resolved, nodeAccess, runId, target, companions } = state.context;
  const { nodes } = state.measuring;
  if (isControl(resolved.attack)) return true;
  if (isNodeTarget(target)) {
    if (nodeAccess === undefined)
      throw new ChaosError(
        `cannot record how to restore ${target.name}: no access to node ${nodes.join(", ")}. Name a way with --node-access`,
      );
    try {
      for (const undo of await nodeUndos(target, nodes, nodeAccess, runId, resolved.attack.type))
        await record(journal, state.pending, undo);
      return true;
    } catch (error) {
      state.stopped("attack-failed", error);
      return false;
    }
  }
  // Workloads that are suppressed first are restored last.
  for (const workload of [...companions, target]) {
    if (!(await recordWorkload(state, workload))) return false;
  }
  return true;
}

async function recordWorkload(state: RunState, target: Target): Promise<boolean> {
  const { transport, journal } = state.context;
  const live = await getOrUndefined<KubeObject>(transport, target.path);
  if (live?.metadata.uid !== target.uid) {
    state.stopped("target-not-ready", `${target.kind} ${target.name} was replaced during the baseline`);
    return false;
  }
  const object = { ...live, apiVersion: "apps/v1", kind: target.kind };
  // Asked again: minutes have passed since preflight.
  const extent = extentOf(state, target);
  const stays = extent.onlyReplicas === true || extent.onlyIfGone === true;
  const { ok, detail } = await canComeBack(transport, { ...target, object }, stays);
  if (!ok) {
    state.stopped("attack-failed", detail);
    return false;
  }
  const { path, collection } = target;
  await record(journal, state.pending, { action: "restore-workload", path, collection, object, ...extent });
  return true;
}

/** How much of a workload the attack changes. Any other difference is a foreign change and is kept. */
function extentOf(
  state: RunState,
  target: Target,
): { readonly onlyIfGone?: true; readonly onlyReplicas?: true } {
  const { changes } = ATTACKS[state.context.resolved.attack.type];
  if (changes === "replicas" || target !== state.context.target) return { onlyReplicas: true };
  return changes === "pods" ? { onlyIfGone: true } : {};
}
