import type { Clock } from "../../common/clock.js";
import { getOrUndefined, remove } from "../../kube/api.js";
import type { Lease } from "../../kube/objects.js";
import type { Transport } from "../../kube/transport.js";
import { isOwn } from "../../own/manifest.js";
import { LOCK_PATH } from "./lease.js";
import { holderOf, renewsTheLock } from "./liveness.js";

/**
 * Takes a lock away for which there is no journal, neither here nor in the cluster: a run writes its journal's copy
 * before it harms anything, so there is nothing to be put back. One that is still renewed stays.
 *
 * @returns what was done, and whether its holder is alive; undefined: there is no lock of ours.
 */
export async function takeAwayOrphanedLock(
  transport: Transport,
  options: { readonly clock: Clock; readonly note: (text: string) => void; readonly dryRun: boolean },
): Promise<{ readonly text: string; readonly alive: boolean } | undefined> {
  const lease = await getOrUndefined<Lease>(transport, LOCK_PATH);
  if (lease === undefined || !isOwn(lease)) return undefined;
  const holder = holderOf(lease);
  const renewer = await renewsTheLock(transport, options.clock, options);
  if (renewer !== undefined) return { text: `the lock is held by ${renewer}, which goes on`, alive: true };
  if (options.dryRun) return { text: `the lock of ${holder}, which is gone, would be removed`, alive: false };
  await remove(transport, LOCK_PATH, { uid: lease.metadata.uid });
  return {
    text: `the lock of ${holder}, which is gone and had harmed nothing yet, was removed`,
    alive: false,
  };
}
