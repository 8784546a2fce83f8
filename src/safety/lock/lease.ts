import { hostname } from "node:os";
import type { Clock } from "../../common/clock.js";
import { messageOf, RefusedError } from "../../common/errors.js";
import { create, getOrUndefined, LEASES, remove, replace, resourcePath } from "../../kube/api.js";
import type { Lease } from "../../kube/objects.js";
import { ApiError, type Transport } from "../../kube/transport.js";
import { MANAGED_BY, MANAGED_BY_LABEL, RUN_LABEL } from "../../own/manifest.js";
import { LOCK_NAME, LOCK_NAMESPACE } from "../../own/own-names.js";

export const LOCK_PATH = resourcePath(LEASES, LOCK_NAMESPACE, LOCK_NAME);

/** How often the holder says that it is there, ms. */
export const RENEW_EVERY_MS = 15_000;

/** The lock, held. */
export interface HeldLock {
  /** Aborted when somebody else holds it; its reason says who. Whoever harms something stops then. */
  readonly lost: AbortSignal;
  /** After it the Lease may be removed: nothing writes it again. */
  stopRenewing(): Promise<void>;
}

/** Who holds the lock, for messages; undefined: nobody, or the run (or the several runs) `ownId`. */
export async function lockHolder(transport: Transport, ownId?: string): Promise<string | undefined> {
  const lease = await getOrUndefined<Lease>(transport, LOCK_PATH);
  if (lease === undefined || (ownId !== undefined && lease.spec?.holderIdentity === identityOf(ownId)))
    return undefined;
  return describe(lease);
}

/** How a runner of this machine calls itself in the Lease. */
function identityOf(runId: string): string {
  return `${runId}@${hostname()}`;
}

function describe(lease: Lease): string {
  const { holderIdentity, renewTime } = lease.spec ?? {};
  return `${holderIdentity ?? "somebody"} (last heard of at ${renewTime ?? "an unknown time"})`;
}

/** The time as Leases have it (MicroTime). */
export function microTime(clock: Clock): string {
  return clock.wall().toISOString().replace("Z", "000Z");
}

/** Makes the lock's Lease. Rejects with ApiError (409: it is there) or ApiUnreachableError. */
export async function createLease(
  transport: Transport,
  runId: string,
  spec: NonNullable<Lease["spec"]>,
): Promise<Lease> {
  return await create<Lease>(transport, resourcePath(LEASES, LOCK_NAMESPACE), {
    apiVersion: "coordination.k8s.io/v1",
    kind: "Lease",
    metadata: {
      name: LOCK_NAME,
      namespace: LOCK_NAMESPACE,
      labels: { [MANAGED_BY_LABEL]: MANAGED_BY, [RUN_LABEL]: runId },
    },
    spec,
  });
}

/**
 * Takes the cluster's lock, a Lease that is made for the run and deleted after it. A lock that is there is
 * never taken over here: its holder may have left damage, which `chaos restore` undoes, with the lock.
 *
 * @param durationMs how long the holder may be silent: longer than window and recovery together, so that an
 * API server that was itself taken down does not lose the lock.
 * @throws RefusedError with who holds it.
 */
export async function acquireLock(
  transport: Transport,
  options: {
    readonly runId: string;
    readonly durationMs: number;
    readonly clock: Clock;
    readonly warn: (text: string) => void;
  },
): Promise<HeldLock> {
  const { runId, clock } = options;
  const holderIdentity = identityOf(runId);
  let lease: Lease;
  try {
    lease = await createLease(transport, runId, {
      holderIdentity,
      leaseDurationSeconds: Math.ceil(options.durationMs / 1000),
      acquireTime: microTime(clock),
      renewTime: microTime(clock),
    });
  } catch (error) {
    if (!(error instanceof ApiError && error.status === 409)) throw error;
    const holder = await lockHolder(transport);
    throw new RefusedError(
      `another run holds the lock of this cluster: ${holder ?? "it was released just now; try again"}. ` +
        `If that run is gone, \`chaos restore\` undoes what it left and removes its lock.`,
      { cause: error },
    );
  }
  let stopped = false;
  const stop = new AbortController();
  const lost = new AbortController();
  const renewing = (async () => {
    while (!stopped) {
      await clock.sleep(RENEW_EVERY_MS, stop.signal);
      if (stopped) return;
      try {
        lease = await replace<Lease>(transport, LOCK_PATH, {
          ...lease,
          spec: { ...lease.spec, renewTime: microTime(clock) },
        });
      } catch (error) {
        // A server that cannot be reached is not a lost lock.
        options.warn(`the lock was not renewed: ${messageOf(error)}`);
        if (!(error instanceof ApiError) || (error.status !== 409 && error.status !== 404)) continue;
        const found = await getOrUndefined<Lease>(transport, LOCK_PATH).catch(() => lease);
        if (found?.spec?.holderIdentity === holderIdentity) lease = found;
        else {
          lost.abort(found === undefined ? "nobody: it was deleted" : describe(found));
          return;
        }
      }
    }
  })();
  return {
    lost: lost.signal,
    stopRenewing: async () => {
      stopped = true;
      stop.abort();
      await renewing;
    },
  };
}

/**
 * Does something to the cluster under its lock, which is given back afterwards, whatever came of the work.
 *
 * @throws RefusedError when somebody else holds it; what the work throws.
 */
export async function underLock<T>(
  transport: Transport,
  options: Parameters<typeof acquireLock>[1],
  work: (lost: AbortSignal) => Promise<T>,
): Promise<T> {
  const lock = await acquireLock(transport, options);
  try {
    return await work(lock.lost);
  } finally {
    await lock.stopRenewing();
    const live = await getOrUndefined<Lease>(transport, LOCK_PATH);
    if (live?.metadata.labels?.[RUN_LABEL] === options.runId)
      await remove(transport, LOCK_PATH, { uid: live.metadata.uid });
  }
}
