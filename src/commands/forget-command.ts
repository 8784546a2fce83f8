/** `chaos restore --forget RUN`: closes a run that cannot be restored, after saying what stays behind. */
import { rename, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { ChaosError, ExitCode, messageOf, RefusedError } from "../common/errors.js";
import { makeFolder } from "../common/make-folder.js";
import { livenessOf } from "../common/process-identity.js";
import { getOrUndefined, remove } from "../kube/api.js";
import { sanitised } from "../kube/declared.js";
import type { KubeObject } from "../kube/objects.js";
import type { Connection } from "../kube/connect.js";
import { ApiError, ApiUnreachableError } from "../kube/transport.js";
import { carries, MANAGED_BY, MANAGED_BY_LABEL, RUN_LABEL } from "../own/manifest.js";
import { PROBER_NAMESPACE } from "../own/own-names.js";
import { copyPath, copyPlace } from "../safety/journal/cluster-copy.js";
import {
  Journal,
  JOURNAL_FILE,
  journalRoot,
  type JournalState,
  type PendingUndo,
  type Undo,
  type UnreadableJournalError,
} from "../safety/journal/journal.js";
import { implausibleIn } from "../safety/journal/plausible.js";
import { clusterUidOf, IN_CLUSTER } from "../safety/journal/unfinished.js";
import { LOCK_PATH } from "../safety/lock/lease.js";
import { claimRestore } from "../safety/restore/claim.js";
import { connectedFor, connectionOf, kubectlLine, type Where } from "../safety/restore/connection.js";
import { find, findUnfinished, isOf } from "../safety/restore/find.js";
import type { RestoreOptions } from "../safety/restore/options.js";
import { clockOf, DELETE_LOCK, refuseLiveLock, stillRunning } from "../safety/restore/restore-one.js";
import { byHand } from "./by-hand.js";

/** How long the cluster may take to answer, ms: it may be gone. */
const ANSWER_LIMIT_MS = 5_000;

type ForgetOptions = Omit<RestoreOptions, "all" | "dryRun" | "runId"> & { readonly runId: string };

/**
 * @returns exit code 5 when the run's copy or lock in the cluster could not be removed.
 * @throws RefusedError when the user does not consent, or the run is still running; UsageError when there is no such run.
 */
export async function forget(options: ForgetOptions): Promise<ExitCode> {
  const { runId, view } = options;
  const subject = await subjectOf(options);
  const { run, damaged, where, away } = subject;
  await refuseRunning(subject, options);
  const lines = await leftBehind(subject, options.env);
  view.result([`run ${runId} would be forgotten. What it may leave behind, and how to undo it:`, ...lines], {
    runId,
    left: (run ?? damaged)?.pending,
  });
  await consent(options);
  const kept =
    away === undefined ? await connectedFor(where, `forget ${runId}`, releasing(runId, where)) : [];
  if (away !== undefined)
    view.warn(`the run's copy and lock in the cluster stay, if that cluster still exists: ${away}`);
  for (const each of kept) view.warn(each);
  if (!subject.inCluster) await closeHere(subject, options);
  view.info(`run ${runId} is forgotten`);
  return kept.length === 0 ? ExitCode.asExpected : ExitCode.notRestored;
}

/** The run to forget: its journal, or why it cannot be read. */
interface Subject {
  readonly run?: JournalState;
  readonly damaged?: UnreadableJournalError;
  readonly where: Where;
  /** Whether its journal is only in the cluster. */
  readonly inCluster: boolean;
  /** Why its cluster cannot be used; undefined: it answers. */
  readonly away: string | undefined;
}

async function subjectOf(options: ForgetOptions): Promise<Subject> {
  const { runId } = options;
  const found = await findUnfinished({ ...options, all: false, dryRun: false });
  const damaged = found.unreadable.find((each) => isOf(each, runId));
  if (damaged !== undefined) {
    const inCluster = damaged.folder === copyPlace(runId);
    // The folder of a damaged journal of this machine is in the one of its cluster.
    const uid = inCluster ? undefined : basename(dirname(damaged.folder));
    return { damaged, where: options, inCluster, away: await whyAway(options, uid) };
  }
  const run = find(found, runId);
  const inCluster = run.folder === IN_CLUSTER;
  const where = connectionOf(run, options);
  return { run, where, inCluster, away: await whyAway(where, inCluster ? undefined : run.open.clusterUid) };
}

async function consent({ runId, yes = false, ask }: ForgetOptions): Promise<void> {
  if (yes || (await ask?.(`Forget run ${runId} and leave this behind?`)) === true) return;
  throw new RefusedError(
    `run ${runId} was not forgotten: this needs your consent. Undo what is listed above, then add --yes`,
  );
}

/** Why the run's cluster cannot be used. Without a uid the named cluster is meant. */
async function whyAway(where: Where, clusterUid: string | undefined): Promise<string | undefined> {
  try {
    const uid = await connectedFor(
      where,
      "restore",
      async ({ transport }) => await clusterUidOf(transport, { retry: false, timeoutMs: ANSWER_LIMIT_MS }),
    );
    return clusterUid === undefined || uid === clusterUid
      ? undefined
      : "another cluster answers in its place";
  } catch (error) {
    if (error instanceof ChaosError || error instanceof ApiError || error instanceof ApiUnreachableError)
      return messageOf(error);
    throw error;
  }
}

async function refuseRunning(
  { run, where, away, inCluster }: Subject,
  options: ForgetOptions,
): Promise<void> {
  const liveness = run === undefined || inCluster ? "unknown" : await livenessOf(run.open);
  if (run !== undefined && liveness === "alive") throw stillRunning(run.open);
  if (away !== undefined || liveness === "ended") return;
  const note = (text: string): void => options.view.info(text);
  await connectedFor(where, "restore", async ({ transport }) => {
    await refuseLiveLock(transport, { clock: clockOf(options), note, where });
  });
}

/** Also writes the workloads as they were into files, which the commands name. */
async function leftBehind(
  { run, damaged, inCluster, where }: Subject,
  env: RestoreOptions["env"],
): Promise<string[]> {
  if (run === undefined) {
    const { folder = "", pending = [] } = damaged ?? {};
    const known = inCluster ? [] : await linesOf(pending, { folder, where, foreign: false });
    return [...known, `  more may be left, because ${messageOf(damaged)}`];
  }
  const { open, pending } = run;
  const foreign = run.adopted || inCluster;
  const problem = foreign ? implausibleIn(run) : undefined;
  if (problem !== undefined) return [`  unknown: its copy in the cluster is not believed: ${problem}`];
  const folder = inCluster ? join(journalRoot(env), open.clusterUid, open.runId) : run.folder;
  const lines = await linesOf(pending, { folder, where, foreign });
  return lines.length === 0 ? ["  nothing: all its changes are undone"] : lines;
}

async function linesOf(
  pending: readonly PendingUndo[],
  place: { readonly folder: string; readonly where: Where; readonly foreign: boolean },
): Promise<string[]> {
  const lines: string[] = [];
  for (const { undo } of [...pending].reverse()) {
    const file = workloadFile(undo, place.folder);
    lines.push(...byHand(undo, { ...place, file }).map((each) => `  ${each}`));
    try {
      await saveWorkload(undo, file);
    } catch (error) {
      // The list is worth more than the file: the user must see it even if nothing can be written here.
      lines.push(
        `    could not write ${file}: ${messageOf(error)}. The journal ${place.folder} has the object`,
      );
    }
  }
  return lines;
}

/** The file for the workload as it was; empty: the undo needs none. */
function workloadFile(undo: Undo, folder: string): string {
  if (undo.action !== "restore-workload" || undo.onlyReplicas === true) return "";
  const { kind = "workload", metadata } = undo.object;
  return join(folder, `${kind.toLowerCase()}-${metadata.name}.json`);
}

async function saveWorkload(undo: Undo, file: string): Promise<void> {
  if (undo.action !== "restore-workload" || file === "") return;
  await makeFolder(dirname(file), { mode: 0o700 });
  await writeFile(file, `${JSON.stringify(sanitised(undo.object), null, 2)}\n`, { mode: 0o600 });
}

/** Removes what keeps other runs away. @returns what could not be removed, and how to remove it. */
const releasing =
  (runId: string, where: Where) =>
  async ({ transport }: Pick<Connection, "transport">): Promise<string[]> => {
    const own = { [MANAGED_BY_LABEL]: MANAGED_BY };
    const kept: string[] = [];
    for (const [path, labels, words] of [
      // By its name alone: someone may have written another run's label on it.
      [copyPath(runId), own, ["-n", PROBER_NAMESPACE, "delete", "secret", `journal-${runId}`]],
      [LOCK_PATH, { ...own, [RUN_LABEL]: runId }, DELETE_LOCK],
    ] as const) {
      try {
        const live = await getOrUndefined<KubeObject>(transport, path);
        if (live !== undefined && carries(live, labels))
          await remove(transport, path, { uid: live.metadata.uid });
      } catch (error) {
        if (!(error instanceof ApiError || error instanceof ApiUnreachableError)) throw error;
        kept.push(
          `could not remove ${path}: ${messageOf(error)}. Remove it with \`${kubectlLine(where, words)}\``,
        );
      }
    }
    return kept;
  };

async function closeHere({ run, damaged }: Subject, options: ForgetOptions): Promise<void> {
  if (run === undefined) {
    const file = join(damaged?.folder ?? "", JOURNAL_FILE);
    // Its readable lines stay readable for people, but it is no journal any more.
    return await rename(file, `${file}.forgotten`);
  }
  const note = (text: string): void => options.view.info(text);
  const claim = await claimRestore(run.folder, { clock: clockOf(options), note });
  try {
    await (await Journal.reopen(run)).finish();
  } finally {
    await claim.release();
  }
}
