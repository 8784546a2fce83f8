import { MANAGED_BY, MANAGED_BY_LABEL } from "../application/manifest.js";
import { NAMESPACES, resourcePath } from "../cluster/api.js";
import type { Journal, PendingUndo } from "./journal.js";

/** Writes into the journal that a namespace of ours is removed again; called before it is made. */
export async function recordNamespace(
  { journal, made }: { readonly journal: Pick<Journal, "intent">; readonly made: PendingUndo[] },
  name: string,
): Promise<void> {
  const undo = {
    action: "remove",
    path: resourcePath(NAMESPACES, undefined, name),
    object: { kind: "Namespace", name },
    labels: { [MANAGED_BY_LABEL]: MANAGED_BY },
  } as const;
  made.push({ seq: await journal.intent(undo), undo });
}
