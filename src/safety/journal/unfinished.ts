import { type CallOptions, get, NAMESPACES, resourcePath } from "../../kube/api.js";
import type { Namespace } from "../../kube/objects.js";
import { ApiError, type Transport } from "../../kube/transport.js";
import { copiesInCluster, copyPlace, type FoundCopy } from "./cluster-copy.js";
import {
  type JournalState,
  parseJournal,
  type UnfinishedRuns,
  unfinishedRuns,
  UnreadableJournalError,
} from "./journal.js";

/** The folder of a run whose journal is not on this machine. */
export const IN_CLUSTER = "the cluster";

/**
 * Runs on this cluster that were not finished: by the journals of this machine, and by the copies in the cluster of
 * those of others.
 *
 * @param options `root` of the journals; `ownId`: the journal of what several runs share is open as long as they run.
 */
export async function otherUnfinishedRuns(
  transport: Transport,
  options: { readonly root: string; readonly clusterUid: string; readonly ownId?: string | undefined },
): Promise<UnfinishedRuns> {
  const local = await unfinishedRuns(options.root, options.clusterUid);
  const known = new Set(local.runs.map(({ open }) => open.runId));
  const elsewhere = await runsInCluster(transport);
  return {
    runs: [...local.runs, ...elsewhere.runs.filter(({ open }) => !known.has(open.runId))].filter(
      ({ open }) => open.runId !== options.ownId,
    ),
    unreadable: [...local.unreadable, ...elsewhere.unreadable],
  };
}

/** What a cluster is known by: the uid of its namespace kube-system. */
export async function clusterUidOf(transport: Transport, call: CallOptions = {}): Promise<string> {
  const path = resourcePath(NAMESPACES, undefined, "kube-system");
  return (await get<Namespace>(transport, path, call)).metadata.uid;
}

/** Runs whose journal's copy is in the cluster; where we may not look, none: preflight says which right is missing. */
export async function runsInCluster(transport: Transport): Promise<UnfinishedRuns> {
  return runsOfCopies(await copiesUnlessForbidden(transport));
}

/** What the copies say; one that is damaged hides no other. Pure. */
export function runsOfCopies(copies: readonly FoundCopy[]): UnfinishedRuns {
  const runs: JournalState[] = [];
  const unreadable: UnreadableJournalError[] = [];
  for (const copy of copies) {
    if (copy.error !== undefined) {
      unreadable.push(copy.error);
      continue;
    }
    try {
      const state = parseJournal(copyPlace(copy.runId), copy.text);
      if (state !== undefined) runs.push({ ...state, folder: IN_CLUSTER });
    } catch (error) {
      if (!(error instanceof UnreadableJournalError)) throw error;
      unreadable.push(error);
    }
  }
  return { runs, unreadable };
}

async function copiesUnlessForbidden(transport: Transport): Promise<readonly FoundCopy[]> {
  try {
    return await copiesInCluster(transport);
  } catch (error) {
    if (error instanceof ApiError && error.status === 403) return [];
    throw error;
  }
}

/** Which runs may have left damage, and what cures it; undefined: none. Pure. */
export function unfinishedProblem({ runs, unreadable }: UnfinishedRuns, context: string): string | undefined {
  const problems = unreadable.map((error) => error.message);
  const local = runs.filter(({ folder }) => folder !== IN_CLUSTER);
  const elsewhere = runs.filter(({ folder }) => folder === IN_CLUSTER);
  if (elsewhere.length > 0) {
    const whose = elsewhere.map(({ open }) => `${open.runId} of ${open.host}`).join(", ");
    problems.unshift(
      `run ${whose} was not finished, or goes on: \`chaos restore --all --context ${context}\` puts its damage right once its runner is gone`,
    );
  }
  if (local.length > 0) {
    const ids = local.map(({ open }) => open.runId).join(", ");
    problems.unshift(`run ${ids} was not finished: put its damage right first with \`chaos restore --all\``);
  }
  return problems.length === 0 ? undefined : problems.join("; ");
}
