import { installAddons } from "../addons/install.js";
import { removeAddons } from "../addons/remove.js";
import { addonsStatus } from "../addons/status.js";
import type { ClusterHandle, ClusterProvider, ProviderName } from "../clusters/provider.js";
import type { Clock } from "../common/clock.js";
import { systemClock } from "../common/clock.js";
import { ChaosError, messageOf, UsageError } from "../common/errors.js";
import { newRunId } from "../common/run-id.js";
import { withConnection } from "../kube/connect.js";
import { ApiError, ApiUnreachableError } from "../kube/transport.js";
import { underLock } from "../safety/lock/lease.js";
import { restoreCommand } from "../safety/journal/unfinished.js";
import { mayTouch } from "../safety/may-touch.js";
import type { RunView } from "../ui/base.js";
import { clusterProviders, imageOf, selectCluster } from "./select-cluster.js";

const USER_AGENT = "kube-system-chaos";

/** Installing the add-ons and waiting until addon-manager repairs a drift takes two to three minutes, ms. */
const ADDONS_LIMIT_MS = 10 * 60_000;

export interface ClusterOptions {
  readonly provider: Exclude<ProviderName, "current"> | undefined;
  /** --context and --kubeconfig: an existing cluster instead of a provider's. */
  readonly context?: string;
  readonly kubeconfigPath?: string;
  readonly view: RunView;
  readonly signal: AbortSignal;
}

export interface ClusterUpOptions extends ClusterOptions {
  /** Install the study's add-ons, or remove them; undefined: leave them unchanged. */
  readonly addons: boolean | undefined;
  /** --image */
  readonly image?: string;
  /** --yes: change a cluster that is not local. */
  readonly yes: boolean;
  /** The command line that names and confirms a context. */
  readonly allowing: (context: string) => string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Default: the system's. */
  readonly clock?: Clock;
}

/**
 * `chaos cluster up`: creates the cluster or finds it running, installs or removes the study's add-ons on request, and
 * prints how to reach the cluster.
 */
export async function clusterUp(options: ClusterUpOptions): Promise<void> {
  const { view, signal, addons } = options;
  const existing = namesExisting(options);
  const image = imageOf(options);
  const handle = existing
    ? await existingCluster(options)
    : await (await choose(options)).up({ progress: view, signal, ...image });
  const about = addons === undefined ? {} : { addons: await setAddons(handle, addons, options) };
  const state = existing ? "answers" : `${handle.provider} cluster up`;
  view.result(
    [
      `${state}: context ${handle.context}`,
      ...(handle.kubeconfigPath === undefined || existing
        ? []
        : [`export KUBECONFIG=${handle.kubeconfigPath}`]),
      ...(about.addons === undefined ? [] : [about.addons]),
    ],
    { ...handle, ...about },
  );
}

/** Whether the user named an existing cluster. @throws UsageError when the user also named a provider. */
function namesExisting({ provider, context, kubeconfigPath }: ClusterOptions): boolean {
  const existing = context !== undefined || kubeconfigPath !== undefined;
  if (existing && provider !== undefined) {
    throw new UsageError(`--cluster ${provider} has its own context: omit --context and --kubeconfig`);
  }
  return existing;
}

async function existingCluster(options: ClusterOptions): Promise<ClusterHandle> {
  const { context, kubeconfigPath, view, signal } = options;
  return await selectCluster({
    provider: "current",
    ...(context === undefined ? {} : { context }),
    ...(kubeconfigPath === undefined ? {} : { kubeconfigPath }),
    progress: view,
    signal,
  });
}

/** Installs or removes the study's add-ons. @returns a line with their state. */
async function setAddons(handle: ClusterHandle, wanted: boolean, options: ClusterUpOptions): Promise<string> {
  const { kubeconfigPath, context } = handle;
  return await withConnection({ kubeconfigPath, context, userAgent: USER_AGENT }, async (connection) => {
    const { transport } = connection;
    await mayTouch(connection, {
      env: options.env,
      confirm: () => options.context !== undefined && options.yes,
      allowing: options.allowing,
    });
    const { clock = systemClock() } = options;
    const lock = {
      runId: newRunId(clock.wall(), "addons"),
      durationMs: ADDONS_LIMIT_MS,
      clock,
      warn: (text: string) => options.view.warn(text),
      restoreWith: restoreCommand(handle),
    };
    return await underLock(transport, lock, async (lost) => {
      const signal = AbortSignal.any([options.signal, lost]);
      const work = { transport, clock, progress: options.view, signal };
      if (wanted) await installAddons(work);
      else await removeAddons(work);
      return await addonsStatus(transport);
    });
  });
}

/** `chaos cluster down`: removes everything that `up` created; with `purge` also the cache. */
export async function clusterDown(options: ClusterOptions & { readonly purge: boolean }): Promise<void> {
  const provider = await choose(options);
  await provider.down({ progress: options.view, purge: options.purge });
  options.view.result([`${provider.name} cluster down${options.purge ? ", cache removed" : ""}`], {
    provider: provider.name,
  });
}

/** `chaos cluster status`: what runs, which images are substitutes, whether the study's add-ons are installed. */
export async function clusterStatus(options: ClusterOptions): Promise<void> {
  if (namesExisting(options)) {
    const handle = await existingCluster(options);
    const addons = await addonsLine(handle);
    options.view.result([`context ${handle.context}: answers`, `  ${addons}`], { ...handle, addons });
    return;
  }
  const providers =
    options.provider === undefined ? Object.values(clusterProviders()) : [await choose(options)];
  for (const provider of providers) {
    const status = await provider.status();
    const handle = status.running ? await provider.find() : undefined;
    const addons = handle === undefined ? undefined : await addonsLine(handle);
    options.view.result(
      [
        `${status.provider}: ${status.running ? "running" : "not running"}`,
        ...status.details.map((line) => `  ${line}`),
        ...(addons === undefined ? [] : [`  ${addons}`]),
        ...(status.standIns.length === 0
          ? []
          : ["  substitute images (they have a public image's name but are not the public image):"]),
        ...status.standIns.map(({ image, description }) => `    ${image}: ${description}`),
      ],
      addons === undefined ? status : { ...status, addons },
    );
  }
}

/** The line about the study's add-ons. If reading their state fails, the rest of the status is still shown. */
async function addonsLine({ kubeconfigPath, context }: ClusterHandle): Promise<string> {
  try {
    // Not the handle's environment, which is its engine's and may lack KUBECONFIG.
    return await withConnection(
      { kubeconfigPath, context, userAgent: USER_AGENT },
      async ({ transport }) => await addonsStatus(transport),
    );
  } catch (error) {
    const known =
      error instanceof ChaosError || error instanceof ApiError || error instanceof ApiUnreachableError;
    if (!known) throw error;
    return `study add-ons: unknown (${messageOf(error)})`;
  }
}

/** The named provider, or else the running one. */
async function choose(options: ClusterOptions): Promise<ClusterProvider> {
  const providers = clusterProviders();
  if (options.provider !== undefined) return providers[options.provider];
  for (const provider of Object.values(providers)) {
    if ((await provider.status()).running) return provider;
  }
  throw new UsageError(
    "no provider's cluster is running. Choose --cluster kind (needs kind and a container engine) or --cluster lab (a bare Debian 12 machine, as root)",
  );
}
