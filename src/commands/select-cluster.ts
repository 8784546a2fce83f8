import { get } from "../kube/api.js";
import { connect, type Connection } from "../kube/connect.js";
import { createKindProvider } from "../clusters/kind-provider.js";
import { createLabProvider } from "../lab/lab-provider.js";
import type { ClusterHandle, ClusterProvider, ProviderName } from "../clusters/provider.js";
import { messageOf, RefusedError, UsageError } from "../common/errors.js";
import type { Progress } from "../common/progress.js";

const USER_AGENT = "kube-system-chaos";

export interface SelectOptions {
  /** --cluster */
  readonly provider?: ProviderName;
  /** --context */
  readonly context?: string;
  /** --kubeconfig */
  readonly kubeconfigPath?: string;
  readonly progress: Progress;
  readonly signal: AbortSignal;
  /** Asks a person yes or no; undefined: nobody is there to ask. */
  readonly ask?: (question: string) => Promise<boolean>;
}

/** The providers that make clusters. */
export function clusterProviders(): Readonly<Record<Exclude<ProviderName, "current">, ClusterProvider>> {
  return { kind: createKindProvider(), lab: createLabProvider() };
}

/**
 * The cluster that a run is for. A context that is there is used, or the run ends with what is wrong with it:
 * it never falls through to a new cluster. Without any, a cluster of ours that runs is used; then one is made
 * with kind, where kind and an engine are there; system packages are installed only when asked for.
 *
 * @throws RefusedError, UsageError saying what was looked for and what would help.
 */
export async function selectCluster(options: SelectOptions): Promise<ClusterHandle> {
  const { provider, context, kubeconfigPath, progress, signal } = options;
  if (provider === "kind" || provider === "lab") {
    if (context !== undefined || kubeconfigPath !== undefined) {
      throw new UsageError(
        `--cluster ${provider} brings its own context: leave out --context and --kubeconfig`,
      );
    }
    return await clusterProviders()[provider].up({ progress, signal });
  }
  const current = await currentCluster(options);
  if (current !== undefined) return current;
  if (provider === "current")
    throw new UsageError("--cluster current: there is no kubeconfig with a current context");

  const providers = clusterProviders();
  for (const each of [providers.kind, providers.lab]) {
    if ((await each.status()).running) return await each.up({ progress, signal });
  }
  const looked = "no kubeconfig with a current context, and no cluster of ours is running";
  try {
    return await providers.kind.up({ progress, signal });
  } catch (error) {
    if (!(error instanceof RefusedError)) throw error;
    const question =
      "Install what is missing from Debian's packages and build a kind cluster on this machine (--cluster lab)?";
    if ((await options.ask?.(`${looked}. ${question}`)) === true)
      return await providers.lab.up({ progress, signal });
    throw new RefusedError(
      [
        `there is no cluster to run on: ${looked}, and kind cannot make one (${messageOf(error)}). What would help:`,
        "  - a kubeconfig with a current context (or --kubeconfig and --context),",
        "  - kind and Docker or Podman on the PATH, or",
        "  - on a Debian 12 machine, as root: --cluster lab, which installs and builds what it needs",
      ].join("\n"),
      { cause: error },
    );
  }
}

/** The kubeconfig's context, if there is one, proven to answer. */
async function currentCluster(options: SelectOptions): Promise<ClusterHandle | undefined> {
  const { context, kubeconfigPath } = options;
  let connection: Connection;
  try {
    connection = await connect({
      ...(kubeconfigPath === undefined ? {} : { kubeconfigPath }),
      ...(context === undefined ? {} : { context }),
      userAgent: USER_AGENT,
    });
  } catch (error) {
    // Named by the user and not there: their error. Not named: there is none to use.
    if (context !== undefined || kubeconfigPath !== undefined || !(error instanceof UsageError)) throw error;
    return undefined;
  }
  try {
    await get(connection.transport, "/version", { timeoutMs: 10_000 });
  } catch (error) {
    throw new RefusedError(
      `context ${connection.context} is there, and its API server ${connection.server} does not answer: ${messageOf(error)}. ` +
        "Start that cluster, choose another with --context, or have one made with --cluster kind or --cluster lab",
      { cause: error },
    );
  } finally {
    connection.transport.close();
  }
  return {
    provider: "current",
    context: connection.context,
    ...(kubeconfigPath === undefined ? {} : { kubeconfigPath }),
    ...(await engineOf(connection)),
  };
}

/** The address of a cluster's API server, by its kubeconfig; undefined: that is not there. */
async function serverOf({ kubeconfigPath, context }: ClusterHandle): Promise<string | undefined> {
  try {
    const path = kubeconfigPath === undefined ? {} : { kubeconfigPath };
    const { server, transport } = await connect({ ...path, context, userAgent: USER_AGENT });
    transport.close();
    return server;
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    return undefined;
  }
}

/** The engine of a cluster of ours, when the context leads to one: the lab's is not the one on the PATH. */
async function engineOf(connection: Connection): Promise<Pick<ClusterHandle, "engineCommand" | "env">> {
  for (const provider of Object.values(clusterProviders())) {
    const handle = await provider.find();
    if (handle === undefined || (await serverOf(handle)) !== connection.server) continue;
    return {
      env: handle.env,
      ...(handle.engineCommand === undefined ? {} : { engineCommand: handle.engineCommand }),
    };
  }
  return { env: {} };
}
