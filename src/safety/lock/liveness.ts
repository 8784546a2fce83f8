/** Whether the runner of an unfinished run is still there: then nothing is to be restored, it does so itself. */
import { existsSync, readFileSync } from "node:fs";
import { hostname } from "node:os";
import type { Clock } from "../../common/clock.js";
import { pollUntil } from "../../common/clock.js";
import { getOrUndefined } from "../../kube/api.js";
import type { Lease } from "../../kube/objects.js";
import type { Transport } from "../../kube/transport.js";
import type { JournalOpen } from "../journal/journal.js";
import { LOCK_PATH, RENEW_EVERY_MS } from "./lease.js";

/** Three renewals missed, while the API server answers us: whoever held it is gone, or cut off from the cluster. */
const SILENT_MS = 3 * RENEW_EVERY_MS + 5_000;
const LOOK_EVERY_MS = 1_000;

/**
 * Whether a process of this machine is one of ours. Process ids are used again, so where the system shows a
 * process's command line it must be one of ours; one that has ended and was not waited for shows none.
 */
export function isOurProcess(pid: number): boolean {
  try {
    process.kill(pid, 0);
    const commandLine = `/proc/${pid}/cmdline`;
    return !existsSync(commandLine) || /chaos|cli\.(js|ts)/.test(readFileSync(commandLine, "utf8"));
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** Whether it is on this machine, where its process can be looked at. */
export function isLocalRunner({ host }: Pick<JournalOpen, "host">): boolean {
  return host === hostname();
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
