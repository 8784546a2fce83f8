import type { ClusterHandle } from "../clusters/provider.js";
import { systemClock } from "../common/clock.js";
import { messageOf } from "../common/errors.js";
import { newRunId } from "../common/run-id.js";
import { connect, type Connection } from "../kube/connect.js";
import { recordNamespace } from "../safety/journal/entries.js";
import { type Journal, type PendingUndo } from "../safety/journal/journal.js";
import { openJournal } from "../safety/journal/open.js";
import type { HeldLock } from "../safety/lock/lease.js";
import { mayTouch } from "../safety/may-touch.js";
import type { Watchdog } from "../safety/watchdog.js";
import type { RunView } from "../ui/base.js";
import { lockCluster } from "./phases/lock.js";
import { look, settle, SETTLE_LIMIT_MS } from "./phases/settle.js";
import { removeOwn } from "./phases/tear-down.js";

export interface SessionOptions {
  readonly handle: ClusterHandle;
  /** Namespaces of the applications that the runs deploy; one that stays is not among them. */
  readonly applications: readonly string[];
  readonly view: RunView;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly toolVersion: string;
  /** Asked before a cluster is touched that is not local: whether it was named and confirmed. */
  readonly confirm: () => Promise<boolean>;
  /** How long all of the runs may take together, ms: so long the lock's holder may be silent. */
  readonly durationMs: number;
  readonly watchdog?: Watchdog;
}

/**
 * Connections to a pod that was replaced while kube-proxy was away stay in the kernel's connection tracking for 120 s
 * (nf_conntrack_tcp_timeout_syn_sent); a new one that happens to have the same port follows them into nothing.
 */
const STALE_CONNECTIONS_MS = 125_000;

/**
 * Several runs, one after the other on one cluster: they share the lock, the guestbook and the probers, which are in a
 * journal of the session's own, so that they are removed also when one of the runs is killed.
 */
export class Session {
  /** The id of the session's journal. */
  readonly id: string;
  /** Held from the first run to the last: nobody comes in between two of them. */
  readonly lock: HeldLock;
  readonly #connection: Connection;
  readonly #journal: Journal;
  readonly #made: PendingUndo[];
  readonly #last: readonly PendingUndo[];
  readonly #options: SessionOptions;
  /** What was not at rest before the first run is not waited for after the others. */
  readonly #restless: readonly string[];
  readonly #clock = systemClock();

  private constructor(options: SessionOptions, parts: SessionParts) {
    this.id = parts.id;
    this.lock = parts.lock;
    this.#connection = parts.connection;
    this.#journal = parts.journal;
    this.#made = parts.made;
    this.#last = parts.last;
    this.#restless = parts.restless;
    this.#options = options;
  }

  /** @throws ApiUnreachableError, ApiError, ChaosError (no journal, no lock) before anything was harmed. */
  static async open(options: SessionOptions): Promise<Session> {
    const { handle, toolVersion } = options;
    const id = newRunId(new Date(), "session");
    const connection = await connect({
      kubeconfigPath: handle.kubeconfigPath,
      context: handle.context,
      userAgent: `kube-system-chaos/${toolVersion} (${id})`,
    });
    try {
      return await Session.#hold(options, id, connection);
    } catch (error) {
      connection.transport.close();
      throw error;
    }
  }

  static async #hold(options: SessionOptions, id: string, connection: Connection): Promise<Session> {
    const { env, toolVersion, view, watchdog } = options;
    const { transport } = connection;
    // What every run of it would refuse, too, but only after the lock and a namespace were made.
    const clusterUid = await mayTouch(connection, options);
    const restless = await look(transport);
    const blind = restless.filter((each) => each.includes("HTTP 403"));
    if (blind.length > 0) {
      view.warn(
        `whether the cluster comes to rest between two runs cannot be seen (${blind.join("; ")}): \`chaos rbac --several\` prints the right`,
      );
    }
    const about = { runId: id, experiment: "session", clusterUid, toolVersion, startedAt: new Date() };
    const guard = { env, ...(watchdog === undefined ? {} : { watchdog }) };
    const journal = await openJournal(connection, guard, about);
    const made: PendingUndo[] = [];
    const holding = { runId: id, transport, clock: systemClock(), journal, made };
    const { lock, last } = await lockCluster(holding, {
      durationMs: options.durationMs,
      warn: (text) => view.warn(text),
    });
    for (const name of new Set(options.applications))
      await recordNamespace({ transport, journal, made }, name);
    return new Session(options, { id, connection, journal, restless, made, last, lock });
  }

  /** Waits between two runs until the cluster has come to rest. What has not is said; the next run's own checks decide. */
  async settle(signal: AbortSignal, replacedPod: boolean): Promise<void> {
    if (replacedPod) {
      await this.#options.view.step(
        `wait ${STALE_CONNECTIONS_MS / 1000} s for stale connections to the replaced pod to be forgotten`,
        async () => await this.#clock.sleep(STALE_CONNECTIONS_MS, signal),
      );
    }
    const left = await this.#options.view.step(
      "wait until the cluster has come to rest",
      async (note) =>
        await settle(this.#connection.transport, this.#clock, {
          limitMs: SETTLE_LIMIT_MS,
          signal,
          note,
          ignored: this.#restless,
        }),
    );
    if (left.length > 0 && !signal.aborted)
      this.#options.view.warn(`not at rest after ${SETTLE_LIMIT_MS / 60_000} minutes: ${left.join(", ")}`);
  }

  /**
   * Removes what the runs shared. Where one of them has left damage, the lock and the journals' copies stay, until
   * `chaos restore` has put that right.
   *
   * @returns whether all of it is gone.
   */
  async close({ whole }: { readonly whole: boolean }): Promise<boolean> {
    if (!whole) {
      await this.lock.stopRenewing();
      await this.#journal.close();
      this.#options.watchdog?.release(this.#journal.folder);
      this.#connection.transport.close();
      return false;
    }
    const { transport } = this.#connection;
    const journal = this.#journal;
    try {
      return await this.#options.view.step("remove what the runs shared", async () => {
        const problems: string[] = [];
        await removeOwn([...this.#made, ...this.#last], problems, {
          transport,
          clock: this.#clock,
          report: async (seq, { how, by }) => await journal.restored(seq, how, by),
          whole,
          stopRenewing: async () => await this.lock.stopRenewing(),
        });
        for (const text of problems)
          this.#options.view.warn(`${text}; \`chaos restore ${this.id}\` removes the rest`);
        if (problems.length === 0) await journal.finish();
        else await journal.close();
        return problems.length === 0;
      });
    } catch (error) {
      await journal.close();
      this.#options.view.warn(`${messageOf(error)}; \`chaos restore ${this.id}\` removes the rest`);
      return false;
    } finally {
      await this.lock.stopRenewing();
      this.#options.watchdog?.release(journal.folder);
      transport.close();
    }
  }
}

interface SessionParts {
  readonly id: string;
  readonly connection: Connection;
  readonly journal: Journal;
  readonly restless: readonly string[];
  readonly made: PendingUndo[];
  readonly last: readonly PendingUndo[];
  readonly lock: HeldLock;
}
