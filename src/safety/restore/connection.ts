/** How to reach the cluster of an unfinished run. */
import { quoted } from "../../common/shell-word.js";
import { type Connection, withConnection } from "../../kube/connect.js";
import type { JournalState } from "../journal/journal.js";
import { IN_CLUSTER } from "../journal/unfinished.js";

/** A kubeconfig and its context; empty: the current context of the user's kubeconfig. */
export interface Where {
  readonly kubeconfigPath?: string;
  /** Several files, as KUBECONFIG lists them. */
  readonly kubeconfigList?: string;
  readonly context?: string;
}

/** A run's cluster: from its journal, unless the options name another one or the journal is another machine's. */
export function connectionOf({ open, folder }: JournalState, { kubeconfigPath, context }: Where): Where {
  const { kubeconfigList } = open;
  const files = {
    ...kubeconfigOf(open.kubeconfigPath),
    ...(kubeconfigList === undefined ? {} : { kubeconfigList }),
  };
  const own = folder === IN_CLUSTER ? {} : { context: open.context, ...files };
  return { ...own, ...kubeconfigOf(kubeconfigPath), ...(context === undefined ? {} : { context }) };
}

function kubeconfigOf(kubeconfigPath: string | undefined): Where {
  return kubeconfigPath === undefined ? {} : { kubeconfigPath };
}

/** A command of kubectl for this cluster, to be pasted into a POSIX shell. Pure. */
export function kubectlLine(
  { context, kubeconfigPath, kubeconfigList }: Where,
  words: readonly string[],
): string {
  const isList = kubeconfigPath === undefined && kubeconfigList !== undefined;
  const options = [
    ...(kubeconfigPath === undefined ? [] : ["--kubeconfig", kubeconfigPath]),
    ...(context === undefined ? [] : ["--context", context]),
  ];
  const line = ["kubectl", ...options, ...words].map(quoted).join(" ");
  return isList ? `KUBECONFIG=${quoted(kubeconfigList)} ${line}` : line;
}

/** Connects for the duration of the work. `what` goes into the user agent, so that the audit log shows it. */
export async function connectedFor<T>(
  { kubeconfigPath, kubeconfigList, context }: Where,
  what: string,
  work: (connection: Connection) => Promise<T>,
): Promise<T> {
  const userAgent = `kube-system-chaos (${what})`;
  return await withConnection({ kubeconfigPath, kubeconfigList, context, userAgent }, work);
}
