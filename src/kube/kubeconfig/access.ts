/** The cluster and the user of a context, checked as client-go's tools/clientcmd/validation.go does. */
import { NothingConfiguredError, UsageError } from "../../common/errors.js";
import { quote } from "../../strict-yaml/quote.js";
import { inCluster, type PodFiles } from "./in-cluster.js";
import { type Env, type KubeconfigSource, loadKubeconfig, type LoadedKubeconfig } from "./load.js";
import { proxyProblem } from "../proxy-rules.js";
import { serverUrl } from "./server-url.js";
import {
  ANONYMOUS,
  type ClusterAccess,
  type Defined,
  type KubeCluster,
  type KubeContext,
  type KubeExec,
  type KubeUser,
} from "./types.js";

export interface AccessOptions extends KubeconfigSource {
  /** Default: the current context. */
  readonly context?: string | undefined;
  /** For tests. Default: where the kubelet mounts them. */
  readonly podFiles?: PodFiles;
}

/**
 * Loads the configuration and selects the context.
 *
 * @throws NothingConfiguredError when there is none at all; UsageError when it is unusable.
 */
export async function clusterAccess(options: AccessOptions): Promise<ClusterAccess> {
  const loaded = await loadKubeconfig(options);
  const isDefault = options.kubeconfigPath === undefined && !isListed(options, options.env);
  if (loaded !== undefined && !(isDefault && isEmpty(loaded))) return selected(loaded, options.context);
  const pod = await inCluster(options.env, options.podFiles);
  if (pod !== undefined) return pod;
  if (loaded !== undefined) return selected(loaded, options.context);
  throw new NothingConfiguredError(
    "no cluster is configured: there is no KUBECONFIG, no ~/.kube/config and no service account of a pod. " +
      "Name a file with --kubeconfig, or create a cluster with `chaos cluster up`",
  );
}

function isListed({ kubeconfigList }: AccessOptions, env: Env): boolean {
  return (kubeconfigList ?? env["KUBECONFIG"] ?? "") !== "";
}

/** Nothing is defined: in a pod, its service account counts (DeferredLoadingClientConfig). */
function isEmpty({ config }: LoadedKubeconfig): boolean {
  return (
    config.currentContext === undefined &&
    config.clusters.size + config.users.size + config.contexts.size === 0
  );
}

function selected(loaded: LoadedKubeconfig, wanted: string | undefined): ClusterAccess {
  const { config, files, list } = loaded;
  const { name, context } = selectedContext(loaded, wanted);
  const { cluster: clusterName, user: userName } = context.value;
  // An entry without a name is nobody's (`kubectl config view --minify` drops it).
  const cluster = clusterName === "" ? undefined : config.clusters.get(clusterName);
  if (cluster === undefined) {
    const which =
      clusterName === ""
        ? "no cluster"
        : `the cluster ${quote(clusterName)}, which ${files.join(", ")} does not have`;
    throw new UsageError(
      `${context.file}: context ${quote(name)} names ${which}. Correct it, or choose another context with --context`,
    );
  }
  // Without a user, or with an unknown one: anonymous, as in client-go.
  const user = userName === "" ? undefined : config.users.get(userName);
  const clusterWords = `${cluster.file}: cluster ${quote(clusterName)}`;
  const userWords =
    user === undefined
      ? `${context.file}: context ${quote(name)} without a user`
      : `${user.file}: user ${quote(userName)}`;
  const value = user?.value ?? ANONYMOUS;
  const server = checkCluster(cluster.value, clusterWords);
  const problem = userProblem(value);
  if (problem !== undefined) throw new UsageError(`${userWords}: ${problem}`);
  return { context: name, server, cluster: cluster.value, user: value, userWords, clusterWords, list };
}

/** @throws UsageError that lists the contexts that there are. */
function selectedContext(
  { config, files }: LoadedKubeconfig,
  wanted: string | undefined,
): { name: string; context: Defined<KubeContext> } {
  const where = files.join(", ");
  const known = [...config.contexts.keys()].map((name) => quote(name)).join(", ");
  const name = wanted ?? config.currentContext?.value ?? "";
  if (name === "") {
    throw new UsageError(
      known === ""
        ? `no current context in ${where}: it has no contexts. Name another file with --kubeconfig, or create a cluster with --cluster kind`
        : `no current context in ${where}: name one with --context. It has: ${known}`,
    );
  }
  const context = config.contexts.get(name);
  if (context !== undefined) return { name, context };
  const stale = `${config.currentContext?.file ?? where}: its current-context is ${quote(name)}, but there is no such context`;
  throw new UsageError(
    `${wanted === undefined ? stale : `no context ${quote(name)}`} in ${where}. It has: ${known === "" ? "none. Name another file with --kubeconfig" : `${known}. Name one of them with --context`}`,
  );
}

/** @returns the server's URL. @throws UsageError */
function checkCluster(cluster: KubeCluster, words: string): string {
  const { server, certificateAuthority, certificateAuthorityData, insecureSkipTlsVerify, proxyUrl } = cluster;
  if (server === "") throw new UsageError(`${words} has no server`);
  const parsed = serverUrl(server);
  if ("problem" in parsed) throw new UsageError(`${words}: cannot use its server: ${parsed.problem}`);
  const hasCa = certificateAuthority !== "" || certificateAuthorityData.length > 0;
  if (certificateAuthority !== "" && certificateAuthorityData.length > 0)
    throw new UsageError(
      `${words} has both certificate-authority and certificate-authority-data. Remove one`,
    );
  if (hasCa && insecureSkipTlsVerify)
    throw new UsageError(
      `${words} has both insecure-skip-tls-verify and a certificate authority. Remove one`,
    );
  const problem = proxyUrl === "" ? undefined : proxyProblem(proxyUrl);
  if (problem !== undefined) throw new UsageError(`${words}: cannot use its proxy-url: ${problem}`);
  return parsed.url;
}

/** What makes a user unusable, as client-go sees it. Pure. */
function userProblem(user: KubeUser): string | undefined {
  if (user.authProvider !== undefined)
    return (
      `its auth-provider ${quote(user.authProvider)} is not supported: Kubernetes replaced them by credential plugins ` +
      "(exec). Sign in again with the current command line tool of the platform, which writes an exec entry"
    );
  const hasBasic = user.username !== "" || user.password !== "";
  if (hasBasic && (user.token !== "" || user.tokenFile !== ""))
    return "it has both a token and a username. Remove one";
  const hasImpersonation =
    user.impersonateUid !== "" || user.impersonateGroups.length > 0 || user.impersonateUserExtra.size > 0;
  if (hasImpersonation && user.impersonate === "")
    return "it has as-uid, as-groups or as-user-extra without as. Add as";
  return certificateProblem(user) ?? (user.exec === undefined ? undefined : execProblem(user.exec));
}

function certificateProblem(user: KubeUser): string | undefined {
  const { clientCertificate, clientCertificateData, clientKey, clientKeyData } = user;
  if (clientCertificate === "" && clientCertificateData.length === 0) return undefined;
  if (clientCertificate !== "" && clientCertificateData.length > 0)
    return "it has both client-certificate and client-certificate-data. Remove one";
  if (clientKey !== "" && clientKeyData.length > 0)
    return "it has both client-key and client-key-data. Remove one";
  return clientKey === "" && clientKeyData.length === 0
    ? "it has a client certificate but neither client-key nor client-key-data"
    : undefined;
}

function execProblem({ command, apiVersion, env, interactiveMode }: KubeExec): string | undefined {
  if (command === "") return "its exec has no command";
  if (apiVersion === "") return "its exec has no apiVersion";
  if (!/^client\.authentication\.k8s\.io\/v1(beta1)?$/.test(apiVersion))
    return `its exec has the apiVersion ${quote(apiVersion)}; client.authentication.k8s.io/v1 and v1beta1 are supported. Update the plugin`;
  if (env.some(({ name }) => name === "")) return "a variable in its exec's env has no name";
  if (interactiveMode === "") return "its exec has no interactiveMode (Never, IfAvailable or Always)";
  if (!["Never", "IfAvailable", "Always"].includes(interactiveMode))
    return `its exec has the interactiveMode ${quote(interactiveMode)}; it must be Never, IfAvailable or Always`;
  return undefined;
}
