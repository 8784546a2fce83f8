import { serverVersion } from "../kube/api.js";
import { connect, type Connection } from "../kube/connect.js";
import { explainConnection } from "../kube/explain-connection.js";
import { createKindProvider } from "../clusters/kind-provider.js";
import { createLabProvider } from "../lab/lab-provider.js";
import type { ClusterHandle, ClusterProvider, ProviderName } from "../clusters/provider.js";
import { orInterrupted } from "../common/interrupted.js";
import { messageOf, NothingConfiguredError, RefusedError, UsageError } from "../common/errors.js";
import type { Progress } from "../common/progress.js";

const USER_AGENT = "kube-system-chaos";

export interface SelectOptions {
  /** --cluster */
  readonly provider?: ProviderName;
  /** --context */
  readonly context?: string;
  /** --kubeconfig */
  readonly kubeconfigPath?: string;
  /** --image */
  readonly image?: string;
  /** --dry-run, and commands that only look: use only what already runs, and write nothing. */
  readonly dryRun?: boolean;
  readonly progress: Progress;
  readonly signal: AbortSignal;
  /** Asks the user a yes/no question; undefined: the terminal is not interactive. */
  readonly ask?: (question: string) => Promise<boolean>;
}

/** The providers that create clusters. */
export function clusterProviders(): Readonly<Record<Exclude<ProviderName, "current">, ClusterProvider>> {
  return { kind: createKindProvider(), lab: createLabProvider() };
}

/**
 * Selects the cluster for a run. An existing context is used, or its problem ends the run: there is no fallback to a
 * new cluster. Without a context, a running cluster of a provider is used. Otherwise kind creates one if kind and an
 * engine are installed. The lab is built only on request. A dry run uses only a cluster that runs already.
 *
 * @throws RefusedError, UsageError that say what was searched for and what would help.
 */
export async function selectCluster(options: SelectOptions): Promise<ClusterHandle> {
  const { provider, context, kubeconfigPath, progress, signal } = options;
  const image = imageOf(options);
  if (provider === "kind" || provider === "lab") {
    if (context !== undefined || kubeconfigPath !== undefined) {
      throw new UsageError(`--cluster ${provider} has its own context: omit --context and --kubeconfig`);
    }
    if (options.dryRun === true) return await existing([provider]);
    return await clusterProviders()[provider].up({ progress, signal, ...image });
  }
  const current = await orInterrupted(signal, async () => await currentCluster(options));
  if (current !== undefined) return current;
  if (provider === "current")
    throw new UsageError(
      "--cluster current: no kubeconfig has a current context. Choose one with `kubectl config use-context`, or name one with --context",
    );

  if (options.dryRun === true) return await existing(["kind", "lab"]);
  return await runningOrNew(options);
}

/** Only to look: the cluster of one of these providers, as it is. @throws RefusedError that says what would help. */
async function existing(names: readonly Exclude<ProviderName, "current">[]): Promise<ClusterHandle> {
  for (const name of names) {
    const handle = await clusterProviders()[name].find();
    if (handle !== undefined) return handle;
  }
  const none = `no ${names.join(" or ")} cluster of this tool is running`;
  const [name = ""] = names;
  throw new RefusedError(
    `no cluster to look at: ${names.length === 1 ? none : `no kubeconfig has a current context, and ${none}`}. ` +
      "What only looks creates none: name one with --context or --kubeconfig, " +
      `or create one with \`chaos cluster up --cluster ${name}\``,
  );
}

/** Nothing is configured: the running cluster of a provider, or a new one. */
async function runningOrNew(options: SelectOptions): Promise<ClusterHandle> {
  const { progress, signal } = options;
  const providers = clusterProviders();
  const searched = "no kubeconfig has a current context, and no kind or lab cluster of this tool is running";
  for (const each of [providers.kind, providers.lab]) {
    if ((await each.status()).running) return await each.up({ progress, signal });
  }
  try {
    return await providers.kind.up({ progress, signal });
  } catch (error) {
    if (!(error instanceof RefusedError)) throw error;
    const question =
      "Build a kind cluster on this machine (--cluster lab), from Go modules and Debian's packages? Nothing is installed.";
    if ((await options.ask?.(`${searched}. ${question}`)) === true)
      return await providers.lab.up({ progress, signal });
    throw new RefusedError(
      [
        `no cluster to run on: ${searched}, and kind cannot create one (${messageOf(error)}). Provide one of these:`,
        "  - a kubeconfig with a current context (or --kubeconfig and --context),",
        "  - kind and an engine that it can use (Docker, nerdctl, Finch or Podman) on the PATH, or",
        "  - on a Debian 12 machine, as root: --cluster lab, which builds what it needs",
      ].join("\n"),
      { cause: error },
    );
  }
}

/**
 * --image for a provider's `up`. Pure.
 *
 * @throws UsageError unless it is for a kind cluster.
 */
export function imageOf(options: { readonly provider?: ProviderName | undefined; readonly image?: string }): {
  readonly image?: string;
} {
  const { provider, image } = options;
  if (image === undefined) return {};
  if (provider !== "kind")
    throw new UsageError("--image is the node image of a new kind cluster: add --cluster kind");
  if (image === "") throw new UsageError("--image names no image: name one, or omit it for kind's own");
  return { image };
}

/** The kubeconfig's context, if there is one, after its API server has answered. */
async function currentCluster(options: SelectOptions): Promise<ClusterHandle | undefined> {
  const { context, kubeconfigPath } = options;
  let connection: Connection;
  try {
    connection = await connect({
      ...(kubeconfigPath === undefined ? {} : { kubeconfigPath }),
      ...(context === undefined ? {} : { context }),
      userAgent: USER_AGENT,
      signal: options.signal,
      warn: (text) => options.progress.warn(text),
    });
  } catch (error) {
    // Named by the user but missing: report it. Not named: there is no context to use.
    if (context !== undefined || kubeconfigPath !== undefined || !(error instanceof NothingConfiguredError))
      throw error;
    return undefined;
  }
  // A request that hangs would keep the process.
  const close = (): void => connection.transport.close();
  options.signal.addEventListener("abort", close, { once: true });
  try {
    await serverVersion(connection.transport, { timeoutMs: 10_000 });
  } catch (error) {
    throw new RefusedError(explainConnection(error, connection));
  } finally {
    options.signal.removeEventListener("abort", close);
    connection.transport.close();
  }
  return {
    provider: "current",
    context: connection.context,
    ...(kubeconfigPath === undefined ? {} : { kubeconfigPath }),
    ...(await engineOf(connection)),
  };
}

/** The address of a cluster's API server, from its kubeconfig; undefined: the kubeconfig or context does not exist. */
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

/** The engine of a provider's cluster, if the context leads to one: the lab's engine is not the one on the PATH. */
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
