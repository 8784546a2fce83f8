import type { ClusterHandle } from "../clusters/provider.js";
import { systemClock } from "../common/clock.js";
import { ChaosError, ExitCode, messageOf } from "../common/errors.js";
import { orInterrupted } from "../common/interrupted.js";
import { newRunId } from "../common/run-id.js";
import { connect, type Connection } from "../kube/connect.js";
import { namespaceState } from "../own/namespaces.js";
import { NODE_ACCESS_NAMESPACE } from "../own/own-names.js";
import { recordNamespace } from "../safety/journal/entries.js";
import { type Journal, type PendingUndo } from "../safety/journal/journal.js";
import { openJournal } from "../safety/journal/open.js";
import type { HeldLock } from "../safety/lock/lease.js";
import { restoreCommand } from "../safety/journal/unfinished.js";
import { mayTouch } from "../safety/may-touch.js";
import type { Watchdog } from "../safety/watchdog.js";
import type { RunView } from "../ui/base.js";
import { lockCluster } from "./phases/lock.js";
import { keptWords } from "./phases/preflight.js";
import { unlessRestored } from "./not-restored.js";
import { look, settle, SETTLE_LIMIT_MS } from "./phases/settle.js";
import { REMOVE_LIMIT_MS, removeOwn } from "./phases/tear-down.js";

export interface SessionOptions {
  readonly handle: ClusterHandle;
  /** What the runs share besides the probers' namespace: the applications', unless they stay, and the node access's. */
  readonly namespaces: readonly string[];
  readonly view: RunView;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly toolVersion: string;
  /** Called before a cluster that is not local is changed: whether it was named and confirmed. */
  readonly confirm: () => Promise<boolean>;
  /** The command line that names and confirms a context. */
  readonly allowing: (context: string) => string;
  /** Aborted by the first signal: nothing is begun any more. */
  readonly interrupted?: AbortSignal;
  /** Aborted when the user ends the restore, too; its reason is a sentence. */
  readonly abandoned?: AbortSignal;
  /** How long all runs together may take, ms: the lock lasts this long without being renewed. */
  readonly durationMs: number;
  readonly watchdog?: Watchdog;
  /** For probers alone, without runs: a part of its id, and the step that removes everything. */
  readonly purpose?: { readonly name: string; readonly removing: string };
}

/**
 * If a pod was replaced while kube-proxy was down, its connections stay in the kernel's connection tracking for 120 s
 * (nf_conntrack_tcp_timeout_syn_sent). A new connection from the same port is then sent to the deleted pod.
 */
const STALE_CONNECTIONS_MS = 125_000;

/**
 * Several runs, one after the other on one cluster. They share the lock, the guestbook and the probers. The session has
 * its own journal for these, so that they are removed even if one of the runs is killed.
 */
export class Session {
  /** The id of the session's journal. */
  readonly id: string;
  /** Kept from the first run to the last, so that no one else starts a run in between. */
  readonly lock: HeldLock;
  readonly #connection: Connection;
  readonly #journal: Journal;
  readonly #made: PendingUndo[];
  readonly #last: readonly PendingUndo[];
  readonly #options: SessionOptions;
  /** What had not settled before the first run: later waits ignore it. */
  readonly #unsettled: readonly string[];
  readonly #clock = systemClock();

  private constructor(options: SessionOptions, parts: SessionParts) {
    this.id = parts.id;
    this.lock = parts.lock;
    this.#connection = parts.connection;
    this.#journal = parts.journal;
    this.#made = parts.made;
    this.#last = parts.last;
    this.#unsettled = parts.unsettled;
    this.#options = options;
  }

  /** @throws ApiUnreachableError, ApiError, ChaosError (no journal, no lock) before anything was attacked. */
  static async open(options: SessionOptions): Promise<Session> {
    const { handle, toolVersion } = options;
    const id = newRunId(new Date(), options.purpose?.name ?? "session");
    const connection = await connect({
      kubeconfigPath: handle.kubeconfigPath,
      context: handle.context,
      userAgent: `kube-system-chaos/${toolVersion} (${id})`,
      signal: options.interrupted,
    });
    try {
      return await Session.#lock(options, id, connection);
    } catch (error) {
      connection.transport.close();
      throw error;
    }
  }

  static async #lock(options: SessionOptions, id: string, connection: Connection): Promise<Session> {
    const { env, toolVersion, view, watchdog } = options;
    const { transport } = connection;
    // Every run would refuse this, too, but only after the lock and a namespace were created.
    const { interrupted = new AbortController().signal } = options;
    const [clusterUid, unsettled] = await orInterrupted(
      interrupted,
      async () =>
        [
          await mayTouch(connection, options),
          // Nothing settles between the runs of a session that has none.
          options.purpose === undefined ? await look(transport) : [],
        ] as const,
    );
    const blind = unsettled.filter((each) => each.includes("HTTP 403"));
    if (blind.length > 0) {
      view.warn(
        `cannot check whether the cluster settles between two runs: ${blind.join("; ")}. \`chaos rbac --several\` prints the missing permission`,
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
      restoreWith: restoreCommand(options.handle),
    }).catch(async (error: unknown) => {
      throw await unlessRestored(error, journal, id);
    });
    for (const name of new Set(options.namespaces)) {
      if (name !== NODE_ACCESS_NAMESPACE && (await namespaceState(transport, name)) === "own")
        view.warn(keptWords(name));
      await recordNamespace({ transport, journal, made }, name);
    }
    return new Session(options, { id, connection, journal, unsettled, made, last, lock });
  }

  /** Waits between two runs until the cluster has settled. Reports what has not; the next run's own checks decide. */
  async settle(signal: AbortSignal, replacedPod: boolean): Promise<void> {
    if (replacedPod) {
      await this.#options.view.step(
        `wait ${STALE_CONNECTIONS_MS / 1000} s until stale connections to the replaced pod have expired`,
        async () => await this.#clock.sleep(STALE_CONNECTIONS_MS, signal),
      );
    }
    const left = await this.#options.view.step(
      "wait until the cluster has settled",
      async (note) =>
        await settle(this.#connection.transport, this.#clock, {
          limitMs: SETTLE_LIMIT_MS,
          signal,
          note,
          ignored: this.#unsettled,
        }),
    );
    if (left.length > 0 && !signal.aborted)
      this.#options.view.warn(
        `timed out after ${SETTLE_LIMIT_MS / 60_000} minutes waiting for the cluster to settle: ${left.join(", ")}`,
      );
  }

  /**
   * Removes what the runs shared. If one of them left damage, the lock and the journals' copies stay until
   * `chaos restore` has restored it.
   *
   * @returns whether everything was removed.
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
    const { abandoned } = this.#options;
    try {
      const title = this.#options.purpose?.removing ?? "remove what the runs shared";
      return await this.#options.view.step(title, async () => {
        const problems: string[] = [];
        await removeOwn([...this.#made, ...this.#last], problems, {
          transport,
          clock: this.#clock,
          report: async (seq, { how, by }) => await journal.restored(seq, how, by),
          whole,
          ...(abandoned === undefined
            ? {}
            : { retry: { clock: this.#clock, limitMs: REMOVE_LIMIT_MS, signal: abandoned } }),
          stopRenewing: async () => await this.lock.stopRenewing(),
        });
        for (const text of problems)
          this.#options.view.warn(`${text}. \`chaos restore ${this.id}\` removes the rest`);
        if (problems.length === 0) await journal.finish();
        else await journal.close();
        return problems.length === 0;
      });
    } catch (error) {
      await journal.close();
      this.#options.view.warn(`${messageOf(error)}. \`chaos restore ${this.id}\` removes the rest`);
      return false;
    } finally {
      await this.lock.stopRenewing();
      this.#options.watchdog?.release(journal.folder);
      transport.close();
    }
  }
}

/**
 * A session without runs: deploys probers, does the work and removes them.
 *
 * @param onJournal is called with the id that `chaos restore` takes, before anything is created.
 * @throws ChaosError (exit 5) when something could not be removed; the errors of `Session.open` and of the work.
 */
export async function withSession<T>(
  options: SessionOptions,
  onJournal: ((id: string) => void) | undefined,
  work: (session: Session) => Promise<T>,
): Promise<T> {
  const session = await Session.open(options);
  onJournal?.(session.id);
  let failed: { readonly error: unknown } | undefined;
  let done: { readonly value: T } | undefined;
  try {
    done = { value: await work(session) };
  } catch (error) {
    failed = { error };
  }
  if (!(await session.close({ whole: true }))) {
    const before = failed === undefined ? "" : `. Before that: ${messageOf(failed.error)}`;
    throw new ChaosError(
      `the probers could not be removed: \`chaos restore ${session.id}\` removes them${before}`,
      { exitCode: ExitCode.notRestored, cause: failed?.error },
    );
  }
  if (done === undefined) throw failed?.error;
  return done.value;
}

interface SessionParts {
  readonly id: string;
  readonly connection: Connection;
  readonly journal: Journal;
  readonly unsettled: readonly string[];
  readonly made: PendingUndo[];
  readonly last: readonly PendingUndo[];
  readonly lock: HeldLock;
}
