/** Whether the runner of an unfinished run is still alive. A live runner restores its run itself. */
import type { Clock } from "../../common/clock.js";
import { pollUntil } from "../../common/clock.js";
import { getOrUndefined } from "../../kube/api.js";
import type { Lease } from "../../kube/objects.js";
import type { Transport } from "../../kube/transport.js";
import { LOCK_PATH, RENEW_EVERY_MS } from "./lease.js";

/** Three missed renewals while the API server answers: the holder has exited or cannot reach the cluster. */
export const SILENT_MS = 3 * RENEW_EVERY_MS + 5_000;
const POLL_EVERY_MS = 1_000;

/**
 * Whether a runner on another machine still renews the lock. Watches the Lease for 50 s by the local clock: the times in
 * the Lease come from another machine's clock.
 *
 * @returns the holder that renews it; undefined: nobody does, or there is no lock.
 */
export async function renewsTheLock(
  transport: Transport,
  clock: Clock,
  options: { readonly note: (text: string) => void },
): Promise<string | undefined> {
  const first = await getOrUndefined<Lease>(transport, LOCK_PATH);
  if (first === undefined) return undefined;
  options.note(
    `check whether ${holderOf(first)} still renews its lock (up to ${Math.round(SILENT_MS / 1000)} s)`,
  );
  return await pollUntil(clock, { everyMs: POLL_EVERY_MS, limitMs: SILENT_MS }, async () => {
    const now = await getOrUndefined<Lease>(transport, LOCK_PATH);
    return now !== undefined && now.spec?.renewTime !== first.spec?.renewTime ? holderOf(now) : undefined;
  });
}

/** "RUN@HOST", from the Lease. */
export function holderOf(lease: Lease): string {
  return lease.spec?.holderIdentity ?? "an unknown holder";
}
