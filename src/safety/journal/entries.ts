/** Writes journal entries, and records that they are undone. */
import { messageOf } from "../../common/errors.js";
import type { RunEventBody } from "../../evidence/events.js";
import { NAMESPACES, resourcePath } from "../../kube/api.js";
import type { Transport } from "../../kube/transport-types.js";
import { MANAGED_BY, MANAGED_BY_LABEL } from "../../own/manifest.js";
import { namespaceState } from "../../own/namespaces.js";
import type { Journal, PendingUndo, Undo } from "./journal.js";
import type { Undone } from "./undo.js";

/**
 * Writes how a change is undone into the journal, and adds it to `entries`.
 *
 * @returns the entry's number.
 * @throws the errors of `Journal.intent`: then the change must not be made.
 */
export async function record(
  journal: Pick<Journal, "intent">,
  entries: PendingUndo[],
  undo: Undo,
): Promise<number> {
  const seq = await journal.intent(undo);
  entries.push({ seq, undo });
  return seq;
}

/** A failed write is only a warning: the change is undone, and a later restore finds nothing to do for it. */
export async function writeRestored(
  { journal, recorder }: { readonly journal: Pick<Journal, "restored">; readonly recorder: Emitter },
  seq: number,
  { how, by }: Undone,
): Promise<void> {
  try {
    await journal.restored(seq, how, by);
  } catch (error) {
    recorder.emit({ type: "warning", text: notWritten(error) });
  }
}

interface Emitter {
  emit(event: RunEventBody): unknown;
}

/** The warning when a record cannot be written and nothing depends on it. */
export function notWritten(error: unknown): string {
  return `could not write the journal: ${messageOf(error)}`;
}

/**
 * Writes into the journal how the tool's own namespace is cleaned up, before anything is created in it: a prepared
 * namespace is emptied, any other is removed.
 */
export async function recordNamespace(
  {
    transport,
    journal,
    made,
  }: {
    readonly transport: Transport;
    readonly journal: Pick<Journal, "intent">;
    readonly made: PendingUndo[];
  },
  name: string,
): Promise<void> {
  await record(journal, made, {
    action: (await namespaceState(transport, name)) === "prepared" ? "empty" : "remove",
    path: resourcePath(NAMESPACES, undefined, name),
    object: { kind: "Namespace", name },
    labels: { [MANAGED_BY_LABEL]: MANAGED_BY },
  });
}
