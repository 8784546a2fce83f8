/** Writing entries of the journal down, and that they were undone. */
import { messageOf } from "../../common/errors.js";
import type { RunEventBody } from "../../evidence/events.js";
import { NAMESPACES, resourcePath } from "../../kube/api.js";
import type { Transport } from "../../kube/transport-types.js";
import { MANAGED_BY, MANAGED_BY_LABEL } from "../../own/manifest.js";
import { namespaceState } from "../../own/namespaces.js";
import type { Journal, PendingUndo, Undo } from "./journal.js";
import type { Undone } from "./undo.js";

/**
 * Writes down how something is undone, and keeps it among the entries of its like.
 *
 * @returns the entry's number.
 * @throws what `Journal.intent` throws: then nothing may be done.
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

/** What is undone is undone, also where the journal cannot say so: a restore will find it in its place. */
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

/** The warning's text where a record could not be kept, and nothing depends on it. */
export function notWritten(error: unknown): string {
  return `the journal could not be written: ${messageOf(error)}`;
}

/**
 * Writes into the journal how a namespace of ours is cleared away again, before anything is made in it: a prepared one
 * is emptied, any other is removed.
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
