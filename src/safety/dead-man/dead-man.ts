/** The switch itself: watches the Lease, and acts when it has been silent for too long. */
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
import { restoreEverything } from "./restoration.js";
import { type DeadManSettings, STALE_AFTER_MS } from "./settings.js";
import { FIRST_VIGIL, type Look, type Vigil, watched } from "./vigil.js";

/** Between two looks at the Lease, ms. */
const LOOK_EVERY_MS = 5_000;

/** One answer to a look may take so long, ms: an API server without its store does not refuse, it hangs. */
const ANSWER_LIMIT_MS = 4_000;
const LIMITS = { staleAfterMs: STALE_AFTER_MS, gapMs: LOOK_EVERY_MS + 2 * ANSWER_LIMIT_MS };

/** Looks that are older than this are no watching, ms. */
const READY_FOR_MS = 30_000;

/** Between two tries to put things back, ms. */
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
  #lookedAtMs: number | undefined;
  #said = "";
  #problem = "it has not looked yet";

  constructor(tools: DeadManTools) {
    this.#tools = tools;
  }

  /** Why it could not act at this moment; undefined: it watches, and may do all that it would have to. */
  get notReady(): string | undefined {
    if (!this.#allowed || !this.#copySeen || this.#lookedAtMs === undefined) return this.#problem;
    const agoMs = this.#tools.clock.now() - this.#lookedAtMs;
    return agoMs <= READY_FOR_MS
      ? undefined
      : `the last answer of the API server is ${Math.round(agoMs / 1000)} s old`;
  }

  /** Watches until the signal comes. Nothing ends it before: an error is said, and what failed is tried again. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        await this.#step(signal);
      } catch (error) {
        this.#say(`not done, and tried again: ${messageOf(error)}`);
        this.#problem = messageOf(error);
        this.#vigil = watched(this.#vigil, { seen: "unknown" }, this.#tools.clock.now(), LIMITS).vigil;
      }
      await this.#tools.clock.sleep(LOOK_EVERY_MS, signal);
    }
  }

  async #step(signal: AbortSignal): Promise<void> {
    const look = await this.#look();
    const { clock } = this.#tools;
    const { vigil, verdict } = watched(this.#vigil, look, clock.now(), LIMITS);
    this.#vigil = vigil;
    this.#lookedAtMs = clock.now();
    await this.#checkRights();
    if (verdict === "finished")
      this.#say("no lock and no journal's copy: the run is over, there is nothing to do");
    else if (verdict === "watch") this.#say(watching(this.#lease));
    else await this.#act(signal);
  }

  async #look(): Promise<Look> {
    const { transport, settings } = this.#tools;
    const once = { retry: false, timeoutMs: ANSWER_LIMIT_MS } as const;
    this.#lease = await getOrUndefined<Lease>(transport, LOCK_PATH, once);
    if (this.#copySeen && this.#lease !== undefined) return { seen: "lease", mark: markOf(this.#lease) };
    const copies = await copiesInCluster(transport, once);
    const own = copies.find(({ runId }) => runId === settings.runId);
    this.#copySeen ||= own !== undefined && "text" in own;
    if (!this.#copySeen)
      this.#problem = own?.error?.message ?? `there is no copy of the journal of ${settings.runId}`;
    if (this.#lease !== undefined) return { seen: "lease", mark: markOf(this.#lease) };
    return { seen: copies.length > 0 ? "copies" : "nothing" };
  }

  /** Asked until all of it is allowed: a Role takes a moment to be known everywhere. */
  async #checkRights(): Promise<void> {
    if (this.#allowed) return;
    const { transport, settings } = this.#tools;
    const missing = await missingPermissions(transport, settings.rights);
    this.#allowed = missing.length === 0;
    if (!this.#allowed) this.#problem = `missing rights: ${missing.map(describePermission).join("; ")}`;
  }

  /** Takes the lock over and puts things back, again and again until all of it is done or somebody else goes on. */
  async #act(signal: AbortSignal): Promise<void> {
    const { transport, clock, log, settings } = this.#tools;
    log(
      this.#lease === undefined
        ? `there is no lock, but a journal's copy, for ${STALE_AFTER_MS / 1000} s: nobody is at work`
        : `${holderOf(this.#lease)} has not renewed its lock for ${STALE_AFTER_MS / 1000} s: it is gone, or cut off`,
    );
    // Whatever comes of it, what is seen next is judged anew.
    this.#vigil = FIRST_VIGIL;
    const hold = await DeadManLock.take({ transport, clock, runId: settings.runId }, this.#lease);
    if (hold === undefined) {
      log("somebody has written the lock in this moment: watching again");
      return;
    }
    log("the lock is taken over; putting back what the run had changed");
    for (
      let backoffMs = FIRST_BACKOFF_MS;
      !signal.aborted;
      backoffMs = Math.min(2 * backoffMs, BACKOFF_CAP_MS)
    ) {
      const outcome = await this.#try(hold, signal);
      if (outcome === "finished" || signal.aborted) return;
      if (outcome === "lost" || !(await this.#pause(hold, backoffMs, signal))) {
        log("somebody else holds the lock: watching again");
        return;
      }
    }
  }

  async #try(hold: DeadManLock, signal: AbortSignal): Promise<"finished" | "lost" | "again"> {
    const { transport, clock, log } = this.#tools;
    try {
      const outcome = await restoreEverything({ transport, clock, hold, log, signal });
      if (typeof outcome === "string") return outcome;
      for (const problem of outcome.problems) log(`not done, and tried again: ${problem}`);
    } catch (error) {
      log(`not done, and tried again: ${messageOf(error)}`);
    }
    return "again";
  }

  /** @returns false when the lock was lost meanwhile. */
  async #pause(hold: DeadManLock, ms: number, signal: AbortSignal): Promise<boolean> {
    const { clock, log } = this.#tools;
    const end = clock.now() + ms;
    while (clock.now() < end && !signal.aborted) {
      await clock.sleep(Math.min(RENEW_EVERY_MS, end - clock.now()), signal);
      try {
        if (!(await hold.keep())) return false;
      } catch (error) {
        // An API server that does not answer has not given the lock to anybody.
        log(`the lock was not renewed: ${messageOf(error)}`);
      }
    }
    return true;
  }

  /** Says something when it is something else than the last time. */
  #say(text: string): void {
    if (text === this.#said) return;
    this.#said = text;
    this.#tools.log(text);
  }
}

/** Another one after each renewal, and for each Lease. */
function markOf({ metadata, spec }: Lease): string {
  return [metadata.uid, spec?.holderIdentity, spec?.renewTime].join(" ");
}

function watching(lease: Lease | undefined): string {
  return lease === undefined
    ? "there is no lock, but a journal's copy: watching"
    : `watching ${holderOf(lease)}`;
}
