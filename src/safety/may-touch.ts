/** Checks whether the tool may change a cluster, before the first change. */
import { locality, notLocal, thisMachine } from "../clusters/locality.js";
import { RefusedError } from "../common/errors.js";
import { list, NODES, resourcePath } from "../kube/api.js";
import type { Connection } from "../kube/connect.js";
import type { Node } from "../kube/objects.js";
import { journalRoot } from "./journal/journal.js";
import { clusterUidOf, otherUnfinishedRuns, unfinishedProblem } from "./journal/unfinished.js";

/**
 * A cluster that is not local is changed only after the user has named and confirmed it. An unfinished run blocks every
 * change: a new run would take its damage for the cluster's normal state.
 *
 * @param options `confirm`: called when the cluster is not local; `allowing`: the command line that would confirm it.
 * @returns the cluster's uid.
 * @throws RefusedError; ApiError, ApiUnreachableError.
 */
export async function mayTouch(
  { transport, context, kubeconfigPath }: Connection,
  options: {
    readonly env: Readonly<Record<string, string | undefined>>;
    readonly confirm: () => boolean | Promise<boolean>;
    readonly allowing: (context: string) => string;
  },
): Promise<string> {
  const { env, confirm, allowing } = options;
  const clusterUid = await clusterUidOf(transport);
  const { items } = await list<Node>(transport, resourcePath(NODES));
  const where = locality(items, await thisMachine());
  if (!where.local && !(await confirm())) throw new RefusedError(notLocal(where, allowing(context)));
  const unfinished = await otherUnfinishedRuns(transport, { root: journalRoot(env), clusterUid });
  const problem = unfinishedProblem(unfinished, { context, kubeconfigPath });
  if (problem !== undefined) throw new RefusedError(`${problem}. Nothing was changed`);
  return clusterUid;
}
