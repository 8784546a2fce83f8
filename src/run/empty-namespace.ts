import type { Transport } from "../cluster/transport.js";
import type { Undo } from "./journal.js";
import type { Undone } from "./restore.js";

/** Removes what runs have made in a namespace that was prepared for them and stays. */
export async function emptyNamespace(
  transport: Transport,
  entry: Extract<Undo, { action: "empty" }>,
): Promise<Undone> {
  await Promise.resolve(transport);
  throw new Error(`${entry.object.name} cannot be emptied yet`);
}
