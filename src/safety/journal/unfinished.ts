import { quoted } from "../../common/shell-word.js";
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
 * Unfinished runs on this cluster, from the journals of this machine and from the copies in the cluster.
 *
 * @param options `root`: the folder of the journals; `ownId`: left out, because a session's journal stays open while its
 * runs continue.
 */
export async function otherUnfinishedRuns(
  transport: Transport,
  options: { readonly root: string; readonly clusterUid: string; readonly ownId?: string | undefined },
): Promise<UnfinishedRuns> {
  const local = await unfinishedRuns(options.root, options.clusterUid);
  const known = new Set(local.runs.map(({ open }) => open.runId));
  const elsewhere = await runsInCluster(transport).catch(noneIfForbidden);
  return {
    runs: [...local.runs, ...elsewhere.runs.filter(({ open }) => !known.has(open.runId))].filter(
      ({ open }) => open.runId !== options.ownId,
    ),
    unreadable: [...local.unreadable, ...elsewhere.unreadable],
  };
}

/** The uid that identifies a cluster: that of its namespace kube-system. */
export async function clusterUidOf(transport: Transport, call: CallOptions = {}): Promise<string> {
  const path = resourcePath(NAMESPACES, undefined, "kube-system");
  return (await get<Namespace>(transport, path, call)).metadata.uid;
}

/** Runs with a copy of their journal in the cluster. Rejects with ApiError (403: reading them is forbidden). */
export async function runsInCluster(transport: Transport): Promise<UnfinishedRuns> {
  return runsOfCopies(await copiesInCluster(transport));
}

/** The runs of these copies. One damaged copy does not hide the others. Pure. */
export function runsOfCopies(copies: readonly FoundCopy[]): UnfinishedRuns {
  const runs: JournalState[] = [];
  const unreadable: UnreadableJournalError[] = [];
  for (const copy of copies) {
    if (copy.error !== undefined) {
      unreadable.push(copy.error);
      continue;
    }
    try {
      const place = copyPlace(copy.runId);
      const state = parseJournal(place, copy.text);
      if (state !== undefined && state.open.runId !== copy.runId)
        throw new UnreadableJournalError(place, "it is of another run than its name says");
      if (state !== undefined) runs.push({ ...state, folder: IN_CLUSTER });
    } catch (error) {
      if (!(error instanceof UnreadableJournalError)) throw error;
      unreadable.push(error);
    }
  }
  return { runs, unreadable };
}

/** Before a run: preflight names the missing right. */
function noneIfForbidden(error: unknown): UnfinishedRuns {
  if (error instanceof ApiError && error.status === 403) return { runs: [], unreadable: [] };
  throw error;
}

/** How the user reaches a cluster. */
export interface ClusterPlace {
  readonly context: string;
  /** undefined: the default resolution (KUBECONFIG, ~/.kube/config). */
  readonly kubeconfigPath?: string | undefined;
}

/** The command that restores every unfinished run of the cluster, from any machine, and removes its lock. Pure. */
export function restoreCommand({ context, kubeconfigPath }: ClusterPlace): string {
  const kubeconfig = kubeconfigPath === undefined ? [] : ["--kubeconfig", kubeconfigPath];
  return ["chaos", "restore", "--all", "--context", context, ...kubeconfig].map(quoted).join(" ");
}

/** Which runs may have left damage, and what to do; undefined: none. Pure. */
export function unfinishedProblem(
  { runs, unreadable }: UnfinishedRuns,
  place: ClusterPlace,
): string | undefined {
  const problems = unreadable.map((error) => error.message);
  const local = runs.filter(({ folder }) => folder !== IN_CLUSTER);
  const elsewhere = runs.filter(({ folder }) => folder === IN_CLUSTER);
  if (elsewhere.length > 0) {
    const whose = elsewhere.map(({ open }) => `${open.runId} of ${open.host}`).join(", ");
    problems.unshift(
      `run ${whose} is unfinished or still running. After its process has exited, restore it with \`${restoreCommand(place)}\``,
    );
  }
  if (local.length > 0) {
    const ids = local.map(({ open }) => open.runId).join(", ");
    problems.unshift(
      `run ${ids} is unfinished or still running. After its process has exited, restore it with \`chaos restore --all\``,
    );
  }
  return problems.length === 0 ? undefined : problems.join(". ");
}
