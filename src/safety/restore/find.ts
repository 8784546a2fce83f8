/** Finds unfinished runs: from the journals of this machine, and from the copies in a cluster. */
import { basename } from "node:path";
import { ChaosError, ExitCode, RefusedError, UsageError } from "../../common/errors.js";
import { explainSearch } from "../../kube/explain-connection.js";
import { ApiError, ApiUnreachableError } from "../../kube/transport.js";
import { copyPlace } from "../journal/cluster-copy.js";
import {
  journalRoot,
  type JournalState,
  unfinishedRuns,
  type UnfinishedRuns,
  type UnreadableJournalError,
} from "../journal/journal.js";
import { clusterUidOf, IN_CLUSTER, runsInCluster } from "../journal/unfinished.js";
import { connectedFor } from "./connection.js";
import type { RestoreOptions } from "./options.js";

/** The unfinished runs that were found. */
export interface Found extends UnfinishedRuns {
  /** Whether a cluster was searched, too. */
  readonly inCluster: boolean;
  /** Whether the cluster forbids the search: it may have runs of other machines. */
  readonly isForbidden?: boolean;
}

/**
 * The runs that a restore can apply to. When the cluster does not answer, those of this machine, with a warning.
 *
 * @throws RefusedError when the user named a cluster that cannot be searched, and this machine has no journal that could
 * be meant instead.
 */
export async function findUnfinished(options: RestoreOptions): Promise<Found> {
  const { runId, all } = options;
  const local = await unfinishedRuns(journalRoot(options.env));
  const named = isNamed(options);
  const unknown = runId !== undefined && !isKnown(local, runId);
  const isHere = !unknown && local.runs.length + local.unreadable.length > 0;
  const cluster = named || unknown ? await searchCluster(options, { named, isHere }) : undefined;
  if (cluster === undefined || cluster === "forbidden")
    return { ...local, inCluster: false, isForbidden: cluster === "forbidden" };
  return { ...merged(local, cluster, { onlyThere: named && all }), inCluster: true };
}

/** Whether the user named a cluster: then its runs are meant, from any machine. */
export function isNamed({ context, kubeconfigPath }: RestoreOptions): boolean {
  return context !== undefined || kubeconfigPath !== undefined;
}

function isKnown({ runs, unreadable }: UnfinishedRuns, runId: string): boolean {
  return runs.some(({ open }) => open.runId === runId) || unreadable.some((each) => isOf(each, runId));
}

/** Whether this is the run's journal, on this machine or in the cluster. */
export function isOf({ folder }: UnreadableJournalError, runId: string): boolean {
  return basename(folder) === runId || folder === copyPlace(runId);
}

interface InCluster extends UnfinishedRuns {
  readonly clusterUid: string;
}

/** The cluster could not be searched for runs. */
class NotSearchedError extends RefusedError {
  /** Whether the API server gave no answer: it may be down because of a run. */
  readonly isDown: boolean;
  readonly isForbidden: boolean;
  constructor(message: string, cause: ApiError | ApiUnreachableError) {
    super(message);
    this.isDown = cause instanceof ApiUnreachableError;
    this.isForbidden = cause instanceof ApiError && cause.status === 403;
  }
}

/**
 * @returns undefined when no cluster can be read, and the user named none or may mean a journal that is here; "forbidden"
 * when the user may not read it, but may mean a journal that is here.
 */
async function searchCluster(
  options: RestoreOptions,
  { named, isHere }: { readonly named: boolean; readonly isHere: boolean },
): Promise<InCluster | "forbidden" | undefined> {
  try {
    return await connectedFor(options, "restore", async (connection) => {
      const { transport } = connection;
      try {
        return { ...(await runsInCluster(transport)), clusterUid: await clusterUidOf(transport) };
      } catch (error) {
        if (!(error instanceof ApiError || error instanceof ApiUnreachableError)) throw error;
        // Without the cause, which would only repeat this.
        throw new NotSearchedError(explainSearch(error, connection), error);
      }
    });
  } catch (error) {
    if (!named && error instanceof UsageError) return undefined;
    if (!(error instanceof NotSearchedError)) throw error;
    // The API server may be down because of a run of this machine, whose journal is on this machine.
    if (error.isForbidden ? !isHere : named && !(error.isDown && isHere)) throw error;
    options.view.warn(`${error.message}. Until then only runs of this machine are found`);
    return error.isForbidden ? "forbidden" : undefined;
  }
}

/** The runs of this machine, and those of other machines from the cluster. */
function merged(
  local: UnfinishedRuns,
  cluster: InCluster,
  { onlyThere }: { readonly onlyThere: boolean },
): UnfinishedRuns {
  const here = local.runs.filter(({ open }) => !onlyThere || open.clusterUid === cluster.clusterUid);
  const known = new Set(local.runs.map(({ open }) => open.runId));
  return {
    runs: [...here, ...cluster.runs.filter(({ open }) => !known.has(open.runId))].sort((a, b) =>
      a.open.startedAt.localeCompare(b.open.startedAt),
    ),
    // A damaged copy does not matter when the journal is on this machine.
    unreadable: [
      ...local.unreadable,
      ...cluster.unreadable.filter((each) => ![...known].some((runId) => isOf(each, runId))),
    ],
  };
}

/** @throws UsageError when there is no such run, UnreadableJournalError when its journal is damaged. */
export function find(unfinished: Found, runId: string): JournalState {
  const run = unfinished.runs.find(({ open }) => open.runId === runId);
  if (run !== undefined) return run;
  const damaged = unfinished.unreadable.find((each) => isOf(each, runId));
  if (damaged !== undefined) throw damaged;
  const others = listing(unfinished, unfinished.inCluster).filter((line) => line !== NOTHING);
  throw new UsageError(
    [`no unfinished run ${runId}`, others.join("\n")].filter((each) => each !== "").join(". "),
  );
}

/** A session has its runs' lock and their journals' copies, so it must be restored after them. */
export function refuseBeforeItsRuns({ open }: JournalState, { runs }: UnfinishedRuns): void {
  if (open.experiment !== SESSION) return;
  const first = runs.find(
    (each) =>
      each.open.experiment !== SESSION &&
      each.open.clusterUid === open.clusterUid &&
      each.open.startedAt >= open.startedAt,
  );
  if (first === undefined) return;
  throw new ChaosError(
    `cannot restore session ${open.runId}: its run ${first.open.runId} is unfinished and must be restored first. Restore all in the right order with \`chaos restore --all\`. If it cannot be restored, close it with \`chaos restore --forget ${first.open.runId}\``,
    { exitCode: ExitCode.preflightRefused },
  );
}

/** The experiment's name in a session's journal. */
export const SESSION = "session";

/** The folders of the journals that cannot be read. */
export const foldersOf = ({ unreadable }: UnfinishedRuns): string[] => unreadable.map(({ folder }) => folder);

const NOTHING = "no unfinished run: nothing to restore";

/** The list of what there is to restore, for the user. Pure. */
export function listing(unfinished: UnfinishedRuns, inCluster: boolean): string[] {
  const { runs, unreadable } = unfinished;
  const byHand =
    unreadable.length > 0
      ? [
          `unreadable journals, undo by hand, then \`chaos restore --forget RUN\`: ${foldersOf(unfinished).join(", ")}`,
        ]
      : [];
  const others = inCluster
    ? []
    : ["(to list runs of other machines, name their cluster with --context NAME)"];
  if (runs.length === 0) {
    return unreadable.length === 0 ? [NOTHING, ...others] : [...byHand, ...others];
  }
  return [
    "unfinished runs:",
    ...runs.map(
      ({ open, folder }) =>
        `  ${open.runId} (${open.experiment}, context ${open.context}, since ${open.startedAt}${folder === IN_CLUSTER ? `, of ${open.host}` : ""})`,
    ),
    "restore one with `chaos restore RUN`, or all with `chaos restore --all`; --dry-run shows what would change",
    ...byHand,
    ...others,
  ];
}
