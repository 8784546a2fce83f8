import type { ClusterProvider, ProviderName } from "../cluster/provider.js";
import { UsageError } from "../errors.js";
import type { RunView } from "../ui/view.js";
import { clusterProviders } from "./select-cluster.js";

export interface ClusterOptions {
  readonly provider: Exclude<ProviderName, "current"> | undefined;
  readonly view: RunView;
  readonly signal: AbortSignal;
}

/** `chaos cluster up`: makes the cluster, or finds it running; says how to reach it. */
export async function clusterUp(options: ClusterOptions): Promise<void> {
  const provider = await choose(options);
  const handle = await provider.up({ progress: options.view, signal: options.signal });
  options.view.result(
    [
      `${provider.name} cluster up: context ${handle.context}`,
      ...(handle.kubeconfigPath === undefined ? [] : [`export KUBECONFIG=${handle.kubeconfigPath}`]),
    ],
    handle,
  );
}

/** `chaos cluster down`: removes all that `up` made; with `purge` also what is cached. */
export async function clusterDown(options: ClusterOptions & { readonly purge: boolean }): Promise<void> {
  const provider = await choose(options);
  await provider.down({ progress: options.view, purge: options.purge });
  options.view.result([`${provider.name} cluster down${options.purge ? ", cache removed" : ""}`], {
    provider: provider.name,
  });
}

/** `chaos cluster status`: what runs, what is a stand-in. */
export async function clusterStatus(options: ClusterOptions): Promise<void> {
  const providers =
    options.provider === undefined ? Object.values(clusterProviders()) : [await choose(options)];
  for (const provider of providers) {
    const status = await provider.status();
    options.view.result(
      [
        `${status.provider}: ${status.running ? "running" : "not running"}`,
        ...status.details.map((line) => `  ${line}`),
        ...(status.standIns.length === 0
          ? []
          : ["  stand-ins (images that carry a public name and are not the public image):"]),
        ...status.standIns.map(({ image, description }) => `    ${image}: ${description}`),
      ],
      status,
    );
  }
}

/** The named provider; without a name the one that runs. */
async function choose(options: ClusterOptions): Promise<ClusterProvider> {
  const providers = clusterProviders();
  if (options.provider !== undefined) return providers[options.provider];
  for (const provider of Object.values(providers)) {
    if ((await provider.status()).running) return provider;
  }
  throw new UsageError(
    "which cluster? --cluster kind (an engine and kind are there) or --cluster lab (a bare Debian 12 machine, as root)",
  );
}
