import { hostname } from "node:os";
import { delimiter, resolve } from "node:path";
import { ownIdentity } from "../../common/process-identity.js";
import type { Connection } from "../../kube/connect.js";
import type { Watchdog } from "../watchdog.js";
import { Journal, journalRoot, type JournalOpen } from "./journal.js";

type KubeconfigOfRun = Pick<JournalOpen, "kubeconfigPath" | "kubeconfigList">;

type Env = Readonly<Record<string, string | undefined>>;

/**
 * Opens the journal of a run or of a session, and tells the watchdog, if there is one, to watch it.
 *
 * @throws ChaosError (exit 6) when it cannot be written or watched: then nothing may be changed.
 */
export async function openJournal(
  connection: Connection,
  { env, watchdog }: { readonly env: Env; readonly watchdog?: Watchdog },
  about: Pick<JournalOpen, "runId" | "experiment" | "clusterUid" | "toolVersion"> & {
    readonly startedAt: Date;
  },
): Promise<Journal> {
  const journal = await Journal.create(journalRoot(env), {
    type: "open",
    runId: about.runId,
    experiment: about.experiment,
    clusterUid: about.clusterUid,
    server: connection.server,
    context: connection.context,
    ...kubeconfigOf(connection, env),
    toolVersion: about.toolVersion,
    startedAt: about.startedAt.toISOString(),
    host: hostname(),
    ...(await ownIdentity()),
  });
  try {
    await watchdog?.watch(journal.folder);
    return journal;
  } catch (error) {
    await journal.finish();
    throw error;
  }
}

/**
 * The kubeconfig files for a restore. Also recorded when they are KUBECONFIG's or ~/.kube/config: a later shell may have
 * another KUBECONFIG, or start in another folder.
 */
function kubeconfigOf({ kubeconfigPath, kubeconfigList }: Connection, env: Env): KubeconfigOfRun {
  if (kubeconfigPath !== undefined) return { kubeconfigPath: resolve(kubeconfigPath) };
  const list = kubeconfigList ?? env["KUBECONFIG"] ?? "";
  if (list === "") return {};
  return list.includes(delimiter) ? { kubeconfigList: list } : { kubeconfigPath: resolve(list) };
}
