/** The switch's main loop: watches the Lease, and restores when nobody has renewed it for too long. */
import type { Clock } from "../../common/clock.js";
import { messageOf } from "../../common/errors.js";
import { missingPermissions } from "../../kube/access-review.js";
import { getOrUndefined } from "../../kube/api.js";
import type { Lease } from "../../kube/objects.js";
import { describePermission } from "../../kube/permission.js";
import type { Transport } from "../../kube/transport.js";
import { copiesInCluster } from "../journal/cluster-copy.js";
import { LOCK_PATH, RENEW_EVERY_MS } from "../lock/lease.js";
import { holderOf } from "../lock/liveness.js";
import { DeadManLock } from "./dead-man-lock.js";
import { removeSwitch, restoreEverything } from "./restoration.js";
import { type DeadManSettings, STALE_AFTER_MS } from "./settings.js";
import { FIRST_VIGIL, type Poll, type Vigil, watched } from "./vigil.js";

/** Between two polls of the Lease, ms. */
const POLL_EVERY_MS = 5_000;

/** How long one answer may take, ms. An API server without etcd does not refuse a request, it hangs. */
const ANSWER_LIMIT_MS = 4_000;
const LIMITS = { staleAfterMs: STALE_AFTER_MS, gapMs: POLL_EVERY_MS + 2 * ANSWER_LIMIT_MS };

/** The switch is ready only if its last poll is not older than this, ms. */
const READY_FOR_MS = 30_000;

/** Between two attempts to restore, ms. */
const FIRST_BACKOFF_MS = 2_000;
const BACKOFF_CAP_MS = 60_000;

export interface DeadManTools {
  readonly transport: Transport;
  readonly clock: Clock;
  readonly settings: Pick<DeadManSettings, "runId" | "rights">;
  /** One line of its log, without a time. */
  readonly log: (text: string) => void;
}

export class DeadMan {
  readonly #tools: DeadManTools;
  #vigil: Vigil = FIRST_VIGIL;
  #lease: Lease | undefined;
  #allowed = false;
  #copySeen = false;
  #polledAtMs: number | undefined;
  #said = "";
  #problem = "it has not read the lock yet";

  constructor(tools: DeadManTools) {
    this.#tools = tools;
  }

  /** Why the switch could not restore now; undefined: it watches and has every right it needs. */
  get notReady(): string | undefined {
    if (!this.#allowed || !this.#copySeen || this.#polledAtMs === undefined) return this.#problem;
    const agoMs = this.#tools.clock.now() - this.#polledAtMs;
    return agoMs <= READY_FOR_MS
      ? undefined
      : `the API server does not answer: its last answer is ${Math.round(agoMs / 1000)} s old`;
  }

  /** Watches until the signal. An error does not end it: it is logged, and the step is retried. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        await this.#step(signal);
      } catch (error) {
        this.#say(`failed, will retry: ${messageOf(error)}`);
        this.#problem = messageOf(error);
        this.#vigil = watched(this.#vigil, { seen: "unknown" }, this.#tools.clock.now(), LIMITS).vigil;
      }
      await this.#tools.clock.sleep(POLL_EVERY_MS, signal);
    }
  }

  async #step(signal: AbortSignal): Promise<void> {
    const poll = await this.#poll();
    const { clock } = this.#tools;
    const { vigil, verdict } = watched(this.#vigil, poll, clock.now(), LIMITS);
    this.#vigil = vigil;
    this.#polledAtMs = clock.now();
    await this.#checkRights();
    if (verdict === "finished") {
      this.#say("no lock and no copy of a journal: the run is over, nothing to do");
      await removeSwitch(this.#tools.transport, this.#tools.settings.runId);
    } else if (verdict === "watch") this.#say(watching(this.#lease));
    else await this.#act(signal);
  }

  async #poll(): Promise<Poll> {
    const { transport, settings } = this.#tools;
    const once = { retry: false, timeoutMs: ANSWER_LIMIT_MS } as const;
    this.#lease = await getOrUndefined<Lease>(transport, LOCK_PATH, once);
    if (this.#copySeen && this.#lease !== undefined) return { seen: "lease", mark: markOf(this.#lease) };
    const copies = await copiesInCluster(transport, once);
    const own = copies.find(({ runId }) => runId === settings.runId);
    this.#copySeen ||= own !== undefined && "text" in own;
    if (!this.#copySeen)
      this.#problem = own?.error?.message ?? `the cluster has no copy of the journal of ${settings.runId}`;
    if (this.#lease !== undefined) return { seen: "lease", mark: markOf(this.#lease) };
    return { seen: copies.length > 0 ? "copies" : "nothing" };
  }

  /** Asks until everything is allowed: a new Role takes a moment to apply on every API server. */
  async #checkRights(): Promise<void> {
    if (this.#allowed) return;
    const { transport, settings } = this.#tools;
    const missing = await missingPermissions(transport, settings.rights);
    this.#allowed = missing.length === 0;
    if (!this.#allowed) this.#problem = `missing permissions: ${missing.map(describePermission).join("; ")}`;
  }

  /** Takes the lock over and restores. Retries until everything is done or someone else takes the lock. */
  async #act(signal: AbortSignal): Promise<void> {
    const { transport, clock, log, settings } = this.#tools;
    log(
      this.#lease === undefined
        ? `no lock, but a copy of a journal, for ${STALE_AFTER_MS / 1000} s: nobody is restoring the run`
        : `${holderOf(this.#lease)} has not renewed its lock for ${STALE_AFTER_MS / 1000} s: it has exited or cannot reach the API server`,
    );
    // Whatever the result, the next poll starts a new count.
    this.#vigil = FIRST_VIGIL;
    const lock = await DeadManLock.take({ transport, clock, runId: settings.runId }, this.#lease);
    if (lock === undefined) {
      log("someone else wrote the lock first: watching again");
      return;
    }
    log("took over the lock; undoing the changes of the run");
    for (
      let backoffMs = FIRST_BACKOFF_MS;
      !signal.aborted;
      backoffMs = Math.min(2 * backoffMs, BACKOFF_CAP_MS)
    ) {
      const outcome = await this.#try(lock, signal);
      if (outcome === "finished" || signal.aborted) return;
      if (outcome === "lost" || !(await this.#pause(lock, backoffMs, signal))) {
        log("someone else has taken the lock: watching again");
        return;
      }
    }
  }

  async #try(lock: DeadManLock, signal: AbortSignal): Promise<"finished" | "lost" | "again"> {
    const { transport, clock, log } = this.#tools;
    try {
      const outcome = await restoreEverything({ transport, clock, lock, log, signal });
      if (typeof outcome === "string") return outcome;
      for (const problem of outcome.problems) log(`failed, will retry: ${problem}`);
    } catch (error) {
      log(`failed, will retry: ${messageOf(error)}`);
    }
    return "again";
  }

  /** @returns false when the lock was lost during the pause. */
  async #pause(lock: DeadManLock, ms: number, signal: AbortSignal): Promise<boolean> {
    const { clock, log } = this.#tools;
    const end = clock.now() + ms;
    while (clock.now() < end && !signal.aborted) {
      await clock.sleep(Math.min(RENEW_EVERY_MS, end - clock.now()), signal);
      try {
        if (!(await lock.keep())) return false;
      } catch (error) {
        // The lock is not lost when the API server does not answer.
        log(`could not renew the lock: ${messageOf(error)}`);
      }
    }
    return true;
  }

  /** Logs a text unless it is the same as the last one. */
  #say(text: string): void {
    if (text === this.#said) return;
    this.#said = text;
    this.#tools.log(text);
  }
}

/** Differs after each renewal, and for each Lease. */
function markOf({ metadata, spec }: Lease): string {
  return [metadata.uid, spec?.holderIdentity, spec?.renewTime].join(" ");
}

function watching(lease: Lease | undefined): string {
  return lease === undefined ? "watching: no lock, but a copy of a journal" : `watching ${holderOf(lease)}`;
}
