import { get, NAMESPACES, resourcePath } from "../cluster/api.js";
import { connect, type Connection } from "../cluster/connect.js";
import type { Namespace } from "../cluster/objects.js";
import type { ClusterHandle } from "../cluster/provider.js";
import { messageOf } from "../errors.js";
import { PROBER_NAMESPACE } from "../probes/prober-manifests.js";
import type { RunView } from "../ui/view.js";
import { systemClock } from "./clock.js";
import { removedNamespaces } from "./deploy.js";
import type { Journal, PendingUndo } from "./journal.js";
import { openJournal } from "./open-journal.js";
import { recordNamespace } from "./own-namespace.js";
import { namespacesOf, undoTogether } from "./restore.js";
import { newRunId } from "./run.js";
import { look, settle, SETTLE_LIMIT_MS } from "./settle.js";

export interface SessionOptions {
  readonly handle: ClusterHandle;
  /** Namespaces of the applications that the runs deploy; one that stays is not among them. */
  readonly applications: readonly string[];
  readonly view: RunView;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly toolVersion: string;
}

/**
 * Connections to a pod that was replaced while kube-proxy was away stay in the kernel's connection tracking for 120 s
 * (nf_conntrack_tcp_timeout_syn_sent); a new one that happens to have the same port follows them into nothing.
 */
const STALE_CONNECTIONS_MS = 125_000;

/**
 * Several runs, one after the other on one cluster: they share the guestbook and the probers, which are in a
 * journal of the session's own, so that they are removed also when one of the runs is killed.
 */
export class Session {
  /** The id of the session's journal. */
  readonly id: string;
  readonly #connection: Connection;
  readonly #journal: Journal;
  readonly #made: PendingUndo[];
  readonly #view: RunView;
  /** What was not at rest before the first run is not waited for after the others. */
  readonly #restless: readonly string[];
  readonly #clock = systemClock();

  private constructor(
    parts: { id: string; connection: Connection; journal: Journal; restless: readonly string[] },
    made: PendingUndo[],
    view: RunView,
  ) {
    this.id = parts.id;
    this.#connection = parts.connection;
    this.#journal = parts.journal;
    this.#restless = parts.restless;
    this.#made = made;
    this.#view = view;
  }

  /** @throws ApiUnreachableError, ApiError, ChaosError (no journal) before anything was touched. */
  static async open(options: SessionOptions): Promise<Session> {
    const { handle, env, toolVersion } = options;
    const startedAt = new Date();
    const id = newRunId(startedAt, "session");
    const connection = await connect({
      ...(handle.kubeconfigPath === undefined ? {} : { kubeconfigPath: handle.kubeconfigPath }),
      context: handle.context,
      userAgent: `kube-system-chaos/${toolVersion} (${id})`,
    });
    const { transport } = connection;
    const { metadata } = await get<Namespace>(transport, resourcePath(NAMESPACES, undefined, "kube-system"));
    const clusterUid = metadata.uid;
    const about = { runId: id, experiment: "session", clusterUid, toolVersion, startedAt };
    const journal = await openJournal(connection, env, about);
    const made: PendingUndo[] = [];
    for (const name of new Set([PROBER_NAMESPACE, ...options.applications]))
      await recordNamespace({ journal, made }, name);
    const restless = await look(transport);
    return new Session({ id, connection, journal, restless }, made, options.view);
  }

  /** Waits between two runs until the cluster has come to rest. What has not is said; the next run's own checks decide. */
  async settle(signal: AbortSignal, replacedPod: boolean): Promise<void> {
    if (replacedPod) {
      await this.#view.step(
        `wait ${STALE_CONNECTIONS_MS / 1000} s for stale connections to the replaced pod to be forgotten`,
        async () => await this.#clock.sleep(STALE_CONNECTIONS_MS, signal),
      );
    }
    const left = await this.#view.step(
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
      this.#view.warn(`not at rest after ${SETTLE_LIMIT_MS / 60_000} minutes: ${left.join(", ")}`);
  }

  /** Removes what the runs shared. @returns whether all of it is gone. */
  async close(): Promise<boolean> {
    const { transport } = this.#connection;
    const journal = this.#journal;
    try {
      return await this.#view.step("remove what the runs shared", async () => {
        const failures = await undoTogether(transport, this.#made, async (seq, undone) => {
          await journal.restored(seq, undone.how, undone.by);
        });
        for (const { error } of failures) this.#view.warn(`not removed: ${error}`);
        await removedNamespaces(transport, this.#clock, namespacesOf(this.#made));
        if (failures.length === 0) await journal.finish();
        else await journal.close();
        return failures.length === 0;
      });
    } catch (error) {
      await journal.close();
      this.#view.warn(`${messageOf(error)}; \`chaos restore ${this.id}\` removes the rest`);
      return false;
    } finally {
      transport.close();
    }
  }
}
