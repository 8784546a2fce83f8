import type { Clock } from "../../common/clock.js";
import { getOrUndefined, remove } from "../../kube/api.js";
import type { Lease } from "../../kube/objects.js";
import type { Transport } from "../../kube/transport.js";
import { isOwn } from "../../own/manifest.js";
import { foreignLockWords, LOCK_PATH } from "./lease.js";
import { holderOf, renewsTheLock } from "./liveness.js";

/**
 * Removes a lock that has no journal, neither on this machine nor in the cluster. A run writes its journal's copy before
 * it attacks anything, so there is nothing to undo. A lock that is still renewed stays.
 *
 * @returns what was done, and whether the holder is (or may be) alive; undefined: there is no lock.
 */
export async function removeOrphanedLock(
  transport: Transport,
  options: { readonly clock: Clock; readonly note: (text: string) => void; readonly dryRun: boolean },
): Promise<{ readonly text: string; readonly alive: boolean } | undefined> {
  const lease = await getOrUndefined<Lease>(transport, LOCK_PATH);
  if (lease === undefined) return undefined;
  if (!isOwn(lease)) return { text: foreignLockWords(lease), alive: true };
  const holder = holderOf(lease);
  const renewer = await renewsTheLock(transport, options.clock, options);
  if (renewer !== undefined)
    return {
      text: `the lock was not removed: ${renewer} still renews it. End that run on its machine with Ctrl-C or SIGTERM`,
      alive: true,
    };
  if (options.dryRun)
    return { text: `the lock of ${holder} would be removed: nobody renews it`, alive: false };
  await remove(transport, LOCK_PATH, { uid: lease.metadata.uid });
  return {
    text: `the lock of ${holder} was removed: nobody renews it, and that run had attacked nothing yet`,
    alive: false,
  };
}
