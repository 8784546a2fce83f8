/** Finishes one unfinished run from its journal. */
import type { Clock } from "../../common/clock.js";
import { pollUntil } from "../../common/clock.js";
import { ChaosError, ExitCode, messageOf } from "../../common/errors.js";
import { type CallOptions, getOrUndefined } from "../../kube/api.js";
import type { KubeObject } from "../../kube/objects.js";
import { ApiError, ApiUnreachableError, type Transport } from "../../kube/transport.js";
import { openNodeAccess } from "../../nodes/access.js";
import { removedNamespaces } from "../../own/namespaces.js";
import { copyPath } from "../journal/cluster-copy.js";
import { isNodeUndo, type Journal, type JournalState, type PendingUndo } from "../journal/journal.js";
import { type Undone } from "../journal/undo.js";
import { clusterUidOf } from "../journal/unfinished.js";
import { entriesOf, namespacesOf, type Stages, stagesOf } from "./order.js";
import { type NotUndone, undoAll } from "./undo-entries.js";
import { READY_LIMIT_MS, waitUntilReady } from "./verify.js";
import { isScaledBy } from "./workload.js";

/** How long one entry is retried, ms. A terminating workload blocks its name until it is gone. */
const RETRY_LIMIT_MS = 60_000;

/** How long an entry on a node is retried while the API server does not answer, ms. Short: other entries may help. */
const NODE_RETRY_LIMIT_MS = 10_000;

/** Without etcd an API server goes into restart back-off and comes back minutes after etcd, ms. */
const API_LIMIT_MS = 7 * 60_000;
const API_EVERY_MS = 1_000;

/** An API server without etcd does not refuse a request, it hangs. */
const ASK_ONCE: CallOptions = { retry: false, timeoutMs: 5_000 };

export interface RestoreTools {
  readonly transport: Transport;
  readonly journal: Journal;
  readonly clock: Clock;
  /** Whether a command that the journal names may be run to reach a node. */
  readonly allowCommands: boolean;
  /** Nodes that may be other machines than the attacked ones, or may no longer exist. */
  readonly acceptNodes: readonly string[];
  readonly note: (text: string) => void;
}

/** The result of a restore. */
export interface Restored {
  readonly undone: readonly Undone[];
  readonly failed: readonly NotUndone[];
  /** Restored, but not working when the time was up. */
  readonly notReady: readonly string[];
}

/**
 * Whether the API server answers, and belongs to the run's cluster.
 *
 * @returns false: it does not answer, and the run's faults on nodes may be the reason.
 * @throws ApiUnreachableError when it does not answer and no fault on a node can be the reason, ChaosError when it
 * belongs to another cluster.
 */
export async function checkCluster(run: JournalState, transport: Transport): Promise<boolean> {
  const onNodes = run.pending.some(({ undo }) => isNodeUndo(undo));
  try {
    // A fault on a node may be the reason. It is undone first, and the API server is asked again later.
    await assertSameCluster(run, transport, onNodes ? ASK_ONCE : {});
    return true;
  } catch (error) {
    if (isAway(error) && onNodes) return false;
    throw error;
  }
}

/** No answer, or a 5xx: etcd is away, or the server has just started. */
function isAway(error: unknown): boolean {
  return error instanceof ApiUnreachableError || (error instanceof ApiError && error.status >= 500);
}

async function assertSameCluster(
  { open }: JournalState,
  transport: Transport,
  call: CallOptions,
): Promise<void> {
  const uid = await clusterUidOf(transport, call);
  if (uid === open.clusterUid) return;
  throw new ChaosError(
    `cannot restore run ${open.runId}: it was on another cluster (kube-system has uid ${uid} here, ${open.clusterUid} there). ` +
      `Name the right cluster with --context. If that cluster no longer exists, close the run with \`chaos restore --forget ${open.runId}\``,
    { exitCode: ExitCode.preflightRefused },
  );
}

/**
 * Undoes the changes of a run: first the faults on nodes, because one of them may be why the API server does not answer;
 * then everything else, from the last to the first. Then waits until everything works.
 *
 * @param apiAnswers the result of `checkCluster`.
 * @throws Error when the API server does not come back within 7 minutes, ChaosError when another cluster's answers.
 */
export async function restoreRun(
  run: JournalState,
  tools: RestoreTools,
  apiAnswers: boolean,
): Promise<Restored> {
  return await new Restoring(run, tools).all(apiAnswers);
}

class Restoring {
  readonly #run: JournalState;
  readonly #tools: RestoreTools;
  readonly #undone: Undone[] = [];
  readonly #done = new Set<number>();

  constructor(run: JournalState, tools: RestoreTools) {
    this.#run = run;
    this.#tools = tools;
  }

  async all(apiAnswers: boolean): Promise<Restored> {
    const { transport, clock, note } = this.#tools;
    const { pending, intents } = this.#run;
    const stages = stagesOf(pending);
    const { refused, onNodes } = this.#accessible(stages.onNodes);
    if (!apiAnswers && refused[0] !== undefined) throw new Error(refused[0].error);
    let failed = await this.#undo(onNodes, apiAnswers ? RETRY_LIMIT_MS : NODE_RETRY_LIMIT_MS);
    if (!apiAnswers) {
      await this.#waitForApi();
      // These entries need the API server, which answers now.
      failed = await this.#undo(
        onNodes.filter(({ seq }) => !this.#done.has(seq)),
        RETRY_LIMIT_MS,
      );
    }
    const elsewhere = await this.#restoredElsewhere();
    const first = entriesOf(stages, "workloads", "deadMan");
    failed = [...refused, ...failed, ...(await this.#undo(first, RETRY_LIMIT_MS, elsewhere))];
    const failedUndos = new Set(failed.map(({ undo }) => undo));
    const notReady = await waitUntilReady(transport, clock, {
      entries: intents.map(({ undo }) => undo).filter((undo) => !failedUndos.has(undo)),
      limitMs: elsewhere ? 0 : READY_LIMIT_MS,
      note,
    });
    const complete = failed.length === 0 && (notReady.length === 0 || elsewhere);
    // These stay until the target works, so that no other run starts before.
    if (complete) failed.push(...(await this.#undo(entriesOf(stages, "copy", "lock"), RETRY_LIMIT_MS)));
    // Includes namespaces that the run itself deleted before it died.
    await removedNamespaces(transport, clock, namespacesOf(intents));
    return { undone: this.#undone, failed, notReady: elsewhere ? [] : notReady };
  }

  /**
   * The run had a copy of its journal in the cluster, and the copy is gone: another restore has removed it after undoing
   * everything. Differences since then are foreign changes and stay. Exception: this run still has a workload scaled
   * down. Then someone deleted the copy with its namespace, and nothing was restored.
   */
  async #restoredElsewhere(): Promise<boolean> {
    const { copied, open, pending } = this.#run;
    const { transport } = this.#tools;
    if (!copied || (await getOrUndefined(transport, copyPath(open.runId))) !== undefined) return false;
    for (const { undo } of pending) {
      if (undo.action !== "restore-workload") continue;
      const live = await getOrUndefined<KubeObject>(transport, undo.path);
      if (live !== undefined && isScaledBy(live, open.runId)) return false;
    }
    return true;
  }

  /** Splits the entries on nodes by whether their access is allowed. A retry does not help a refused one. */
  #accessible(entries: Stages["onNodes"]): {
    readonly refused: readonly NotUndone[];
    readonly onNodes: Stages["onNodes"];
  } {
    const { transport, allowCommands } = this.#tools;
    const refused: NotUndone[] = [];
    const onNodes = entries.filter(({ seq, undo }) => {
      try {
        openNodeAccess(undo.access, { transport, allowCommands, foreign: this.#run.adopted });
        return true;
      } catch (error) {
        refused.push({ seq, undo, error: messageOf(error), isFinal: true });
        return false;
      }
    });
    return { refused, onNodes };
  }

  async #undo(entries: readonly PendingUndo[], limitMs: number, onlyIfGone = false): Promise<NotUndone[]> {
    const { transport, journal, clock, allowCommands, acceptNodes, note } = this.#tools;
    return await undoAll(
      transport,
      entries,
      async (seq, undone) => {
        this.#undone.push(undone);
        note(`${undone.object.kind} ${undone.object.name}`);
        this.#done.add(seq);
        await journal.restored(seq, undone.how, undone.by);
      },
      { clock, limitMs },
      { allowCommands, acceptNodes, onlyIfGone, foreign: this.#run.adopted },
    );
  }

  /** @throws Error when the API server does not come back, ChaosError when another cluster's answers. */
  async #waitForApi(): Promise<void> {
    const { clock, note, transport } = this.#tools;
    const startedAt = clock.now();
    let last: unknown;
    const back = await pollUntil(clock, { everyMs: API_EVERY_MS, limitMs: API_LIMIT_MS }, async () => {
      note(`wait for the API server (${Math.round((clock.now() - startedAt) / 1000)} s)`);
      try {
        await assertSameCluster(this.#run, transport, ASK_ONCE);
        return true;
      } catch (error) {
        if (!isAway(error)) throw error;
        last = error;
        return undefined;
      }
    });
    if (back !== true) throw last;
  }
}
