/** Whether the runner of an unfinished run is still there: then nothing is to be restored, it does so itself. */
import { hostname } from "node:os";
import type { Clock } from "../../common/clock.js";
import { pollUntil } from "../../common/clock.js";
import { pidNamespace } from "../../common/process-identity.js";
import { getOrUndefined } from "../../kube/api.js";
import type { Lease } from "../../kube/objects.js";
import type { Transport } from "../../kube/transport.js";
import type { JournalOpen } from "../journal/journal.js";
import { LOCK_PATH, RENEW_EVERY_MS } from "./lease.js";

/** Three renewals missed, while the API server answers us: whoever held it is gone, or cut off from the cluster. */
const SILENT_MS = 3 * RENEW_EVERY_MS + 5_000;
const LOOK_EVERY_MS = 1_000;

/** Whether the run's process is among those that can be looked at from here. */
export async function isLocalRunner({
  host,
  pidNamespace: of,
}: Pick<JournalOpen, "host" | "pidNamespace">): Promise<boolean> {
  // A container can have the machine's name (--network host), and a new one that of the one before.
  return host === hostname() && (of === undefined || of === (await pidNamespace()));
}

/**
 * Whether a runner of another machine still renews the lock: its Lease is watched for some 50 s, by our own clock, not
 * by the times in it.
 *
 * @returns who renews it; undefined: nobody, or there is no lock.
 */
export async function renewsTheLock(
  transport: Transport,
  clock: Clock,
  options: { readonly note: (text: string) => void },
): Promise<string | undefined> {
  const first = await getOrUndefined<Lease>(transport, LOCK_PATH);
  if (first === undefined) return undefined;
  options.note(`see whether ${holderOf(first)} is still there (up to ${Math.round(SILENT_MS / 1000)} s)`);
  return await pollUntil(clock, { everyMs: LOOK_EVERY_MS, limitMs: SILENT_MS }, async () => {
    const now = await getOrUndefined<Lease>(transport, LOCK_PATH);
    return now !== undefined && now.spec?.renewTime !== first.spec?.renewTime ? holderOf(now) : undefined;
  });
}

/** "RUN@HOST", as the Lease says. */
export function holderOf(lease: Lease): string {
  return lease.spec?.holderIdentity ?? "somebody";
}
