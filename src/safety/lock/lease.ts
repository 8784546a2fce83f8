import { hostname } from "node:os";
import type { Clock } from "../../common/clock.js";
import { messageOf, RefusedError } from "../../common/errors.js";
import { create, getOrUndefined, LEASES, remove, replace, resourcePath } from "../../kube/api.js";
import type { Lease } from "../../kube/objects.js";
import { ApiError, type Transport } from "../../kube/transport.js";
import { isOwn, MANAGED_BY, MANAGED_BY_LABEL, RUN_LABEL } from "../../own/manifest.js";
import { LOCK_NAME, LOCK_NAMESPACE, PROBER_NAMESPACE } from "../../own/own-names.js";

export const LOCK_PATH = resourcePath(LEASES, LOCK_NAMESPACE, LOCK_NAME);

/** How often the holder renews the lock, ms. */
export const RENEW_EVERY_MS = 15_000;

/** The lock after it was acquired. */
export interface HeldLock {
  /** Aborted when someone else has the lock; the reason names them. The attack must then stop. */
  readonly lost: AbortSignal;
  /** Afterwards nothing writes the Lease, so it can be deleted. */
  stopRenewing(): Promise<void>;
}

/** The lock's holder, for messages; undefined: there is no lock, or it belongs to the run (or session) `ownId`. */
export async function lockHolder(transport: Transport, ownId?: string): Promise<string | undefined> {
  const lease = await othersLock(transport, ownId);
  return lease === undefined ? undefined : describe(lease);
}

async function othersLock(transport: Transport, ownId: string | undefined): Promise<Lease | undefined> {
  const lease = await getOrUndefined<Lease>(transport, LOCK_PATH);
  const isOurs = ownId !== undefined && lease?.spec?.holderIdentity === identityOf(ownId);
  return isOurs ? undefined : lease;
}

/**
 * Who holds the lock, and what to do; undefined: there is no lock, or it belongs to the run (or session) `ownId`.
 *
 * @param restoreWith the command that restores the cluster's unfinished runs and removes their lock.
 */
export async function lockProblem(
  transport: Transport,
  {
    restoreWith = "chaos restore --all --context NAME",
    ownId,
  }: { restoreWith?: string; ownId?: string } = {},
): Promise<string | undefined> {
  const lease = await othersLock(transport, ownId);
  if (lease === undefined) return undefined;
  const holder = describe(lease);
  if (!isOwn(lease)) return `${holder}. ${foreignLockWords(lease)}`;
  if (holder.startsWith("dead-man@"))
    return `${holder}: the dead-man's switch of a run is restoring the cluster. Wait until the namespace ${PROBER_NAMESPACE} is gone`;
  return `${holder}. After that run's process has exited, undo its changes and remove its lock with \`${restoreWith}\``;
}

/** Someone else's Lease of that name: this tool does not remove it. Pure. */
export function foreignLockWords({ metadata }: Pick<Lease, "metadata">): string {
  return (
    `The Lease ${LOCK_NAMESPACE}/${metadata.name} has no label of this tool, so this tool does not remove it. If nobody uses it, ` +
    `remove it with \`kubectl -n ${LOCK_NAMESPACE} delete lease ${metadata.name}\``
  );
}

/** The holder identity of a runner on this machine. */
function identityOf(runId: string): string {
  return `${runId}@${hostname()}`;
}

function describe(lease: Lease): string {
  const { holderIdentity, renewTime } = lease.spec ?? {};
  return `${holderIdentity ?? "an unknown holder"} (last renewed at ${renewTime ?? "an unknown time"})`;
}

/** The time in the format of a Lease (MicroTime). */
export function microTime(clock: Clock): string {
  return clock.wall().toISOString().replace("Z", "000Z");
}

/** Creates the lock's Lease. Rejects with ApiError (409: it already exists) or ApiUnreachableError. */
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
 * Acquires the cluster's lock: a Lease that is created for the run and deleted after it. An existing lock is never taken
 * over here: its holder may have left damage. `chaos restore` undoes the damage and removes the lock.
 *
 * @param durationMs how long the holder may go without renewing: longer than window and recovery together, so that the
 * lock is not lost when the API server itself is the target.
 * @throws RefusedError with the name of the holder.
 */
export async function acquireLock(
  transport: Transport,
  options: {
    readonly runId: string;
    readonly durationMs: number;
    readonly clock: Clock;
    readonly warn: (text: string) => void;
    /** As in `lockProblem`. */
    readonly restoreWith?: string | undefined;
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
    const { restoreWith } = options;
    const problem = await lockProblem(transport, restoreWith === undefined ? {} : { restoreWith });
    throw new RefusedError(
      problem === undefined
        ? "cannot lock this cluster: another run had locked it and has just removed its lock. Try again"
        : `cannot lock this cluster: it is locked by ${problem}`,
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
        // An unreachable API server does not mean that the lock is lost.
        options.warn(`could not renew the lock: ${messageOf(error)}`);
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
 * Acquires the lock, does the work, and removes the lock, even when the work fails.
 *
 * @throws RefusedError when someone else has the lock; any error of the work.
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
