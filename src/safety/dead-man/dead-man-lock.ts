/** The lock while the switch has it. A runner that comes back sees that the lock is lost and stops; so does a restore. */
import type { Clock } from "../../common/clock.js";
import { getOrUndefined, remove, replace } from "../../kube/api.js";
import type { Lease } from "../../kube/objects.js";
import { ApiError, type Transport } from "../../kube/transport.js";
import { createLease, LOCK_PATH, microTime, RENEW_EVERY_MS } from "../lock/lease.js";
import { holderOf } from "../lock/liveness.js";

interface DeadManLockTools {
  readonly transport: Transport;
  readonly clock: Clock;
  readonly runId: string;
}

/** The holder identity of a run's switch. */
function deadManHolder(runId: string): string {
  return `dead-man@${runId}`;
}

export class DeadManLock {
  readonly #tools: DeadManLockTools;
  #lease: Lease;
  #renewedAtMs: number;

  private constructor(tools: DeadManLockTools, lease: Lease) {
    this.#tools = tools;
    this.#lease = lease;
    this.#renewedAtMs = tools.clock.now();
  }

  /**
   * Takes the lock over if nobody has written it since `seen` was read: a holder that still writes is alive.
   *
   * @param seen undefined: there was no Lease.
   * @returns undefined when someone else wrote the lock first.
   * @throws ApiError, ApiUnreachableError otherwise.
   */
  static async take(tools: DeadManLockTools, seen: Lease | undefined): Promise<DeadManLock | undefined> {
    const { transport, clock, runId } = tools;
    const holderIdentity = deadManHolder(runId);
    const time = microTime(clock);
    try {
      if (seen !== undefined) {
        const spec = { ...seen.spec, holderIdentity, acquireTime: time, renewTime: time };
        return new DeadManLock(tools, await replace<Lease>(transport, LOCK_PATH, { ...seen, spec }));
      }
      const spec = { holderIdentity, acquireTime: time, renewTime: time };
      return new DeadManLock(tools, await createLease(transport, runId, spec));
    } catch (error) {
      if (isConflict(error)) return undefined;
      throw error;
    }
  }

  /**
   * Renews the lock when it is time to.
   *
   * @returns false when someone else has the lock or has deleted it.
   * @throws ApiError, ApiUnreachableError when this is unknown.
   */
  async keep(): Promise<boolean> {
    const { transport, clock, runId } = this.#tools;
    if (clock.now() - this.#renewedAtMs < RENEW_EVERY_MS) return true;
    try {
      const spec = { ...this.#lease.spec, renewTime: microTime(clock) };
      this.#lease = await replace<Lease>(transport, LOCK_PATH, { ...this.#lease, spec });
    } catch (error) {
      if (!isConflict(error)) throw error;
      // The conflict can come from the switch's own renewal whose answer was lost.
      const found = await getOrUndefined<Lease>(transport, LOCK_PATH);
      if (found === undefined || holderOf(found) !== deadManHolder(runId)) return false;
      this.#lease = found;
    }
    this.#renewedAtMs = clock.now();
    return true;
  }

  /** Deletes the lock, by its uid. */
  async release(): Promise<void> {
    await remove(this.#tools.transport, LOCK_PATH, { uid: this.#lease.metadata.uid });
  }
}

/** Changed (409) or deleted (404) since it was read. */
function isConflict(error: unknown): boolean {
  return error instanceof ApiError && (error.status === 409 || error.status === 404);
}
