/** Where the cluster of an unfinished run is. */
import { type Connection, withConnection } from "../../kube/connect.js";
import type { JournalState } from "../journal/journal.js";
import { IN_CLUSTER } from "../journal/unfinished.js";

/** As a kubeconfig says it; nothing: the current context of the user's own. */
export interface Where {
  readonly kubeconfigPath?: string;
  readonly context?: string;
}

/** Where a run's cluster is: as its journal says, unless it was said anew, or the journal is another machine's. */
export function connectionOf({ open, folder }: JournalState, { kubeconfigPath, context }: Where): Where {
  const own = folder === IN_CLUSTER ? {} : { context: open.context, ...kubeconfigOf(open.kubeconfigPath) };
  return { ...own, ...kubeconfigOf(kubeconfigPath), ...(context === undefined ? {} : { context }) };
}

function kubeconfigOf(kubeconfigPath: string | undefined): Where {
  return kubeconfigPath === undefined ? {} : { kubeconfigPath };
}

/** A connection for as long as the work takes; the API server's log shows what it is for. */
export async function connectedFor<T>(
  { kubeconfigPath, context }: Where,
  what: string,
  work: (connection: Connection) => Promise<T>,
): Promise<T> {
  return await withConnection({ kubeconfigPath, context, userAgent: `kube-system-chaos (${what})` }, work);
}
