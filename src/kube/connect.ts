/**
 * From a kubeconfig (or a pod's service account) to a transport. The client library loads the configuration and gets
 * the credentials; it sends nothing. Load this module lazily: the library takes most of a second to load.
 */
import { readFileSync } from "node:fs";
import type { Agent } from "node:http";
import type { AgentOptions, RequestOptions } from "node:https";
import { KubeConfig } from "@kubernetes/client-node/dist/config.js";
import type { Cluster } from "@kubernetes/client-node/dist/config_types.js";
import { systemClock, within } from "../common/clock.js";
import { ChaosError, NothingConfiguredError, UsageError } from "../common/errors.js";
import { cachedCredentials } from "./credentials.js";
import { createTransport } from "./transport.js";
import type { Transport, TransportOptions } from "./transport.js";

/** A connection to a cluster. */
export interface Connection {
  readonly transport: Transport;
  /** The API server's address, from the kubeconfig. */
  readonly server: string;
  readonly context: string;
  /** The given kubeconfig; undefined: the default resolution (KUBECONFIG, ~/.kube/config, in-cluster). */
  readonly kubeconfigPath: string | undefined;
}

export interface ConnectOptions {
  readonly kubeconfigPath?: string | undefined;
  /** Default: the current context of the kubeconfig. */
  readonly context?: string | undefined;
  readonly userAgent: string;
}

/** The context name that the client falls back to when it finds no configuration. */
const NOTHING_FOUND = "loaded-context";

/**
 * Loads the configuration and gets the first credentials; sends no request. Ignores HTTPS_PROXY; uses only the
 * kubeconfig's proxy-url.
 *
 * @throws UsageError when the file, the context or its cluster does not exist.
 * @throws ChaosError when there are no credentials (because the plugin fails, for example).
 */
export async function connect(options: ConnectOptions): Promise<Connection> {
  let config = loadConfig(options);
  const { name: context, server } = currentCluster(config, options);
  const credentials = cachedCredentials({
    fetch: async () => (await authOf(config)).headers,
    // Reload, which also drops the client's caches: refused credentials may have been renewed on disk.
    forget: () => {
      config = loadConfig(options);
    },
  });
  const { tls, headers } = await authOf(config);
  credentials.remember(headers);
  const transport = createTransport({
    server,
    ...tls,
    ...proxyOf(config),
    headers: credentials.headers,
    onUnauthorized: credentials.forget,
    userAgent: options.userAgent,
  });
  return { transport, server, context, kubeconfigPath: options.kubeconfigPath };
}

/** Runs the work with a connection, then closes it. @throws as {@link connect}. */
export async function withConnection<T>(
  options: ConnectOptions,
  work: (connection: Connection) => Promise<T>,
): Promise<T> {
  const connection = await connect(options);
  try {
    return await work(connection);
  } finally {
    connection.transport.close();
  }
}

/** Loads the kubeconfig, selects the context, and adds what the client omits. */
function loadConfig({ kubeconfigPath, context }: ConnectOptions): KubeConfig {
  const config = new KubeConfig();
  try {
    if (kubeconfigPath === undefined) config.loadFromDefault();
    else config.loadFromFile(kubeconfigPath);
  } catch (error) {
    const file = kubeconfigPath ?? process.env.KUBECONFIG ?? "~/.kube/config";
    throw new UsageError(`Cannot read the kubeconfig ${file}`, { cause: withoutSecrets(error) });
  }
  if (context !== undefined) config.setCurrentContext(context);
  // The client refuses plain HTTP without skipTLSVerify. On loopback (kubectl proxy) plain HTTP is safe.
  config.clusters = config.clusters.map((cluster) =>
    isLoopbackHttp(cluster.server) ? { ...cluster, skipTLSVerify: true } : cluster,
  );
  addExecInfo(config);
  return config;
}

function isLoopbackHttp(server: string): boolean {
  return /^http:\/\/(127\.|localhost(:|$|\/)|\[::1\])/.test(server);
}

/** The `exec` section of a kubeconfig user; the client types it as `any`. */
interface ExecConfig {
  readonly apiVersion?: string;
  readonly provideClusterInfo?: boolean;
  env?: { name: string; value: string }[] | null;
}

/**
 * Sets KUBERNETES_EXEC_INFO, which the client does not pass. Some plugins refuse to run without it: it tells them the
 * version of their answer. See "client-go credential plugins" in the Kubernetes documentation.
 */
function addExecInfo(config: KubeConfig): void {
  const exec = config.getCurrentUser()?.exec as ExecConfig | null | undefined;
  const cluster = config.getCurrentCluster();
  if (!exec || !cluster) return;
  const ca = cluster.caFile ? readFileSync(cluster.caFile).toString("base64") : cluster.caData;
  const info = {
    apiVersion: exec.apiVersion,
    kind: "ExecCredential",
    spec: {
      interactive: false,
      cluster:
        exec.provideClusterInfo === true
          ? {
              server: cluster.server,
              "certificate-authority-data": ca,
              "insecure-skip-tls-verify": cluster.skipTLSVerify,
              "tls-server-name": cluster.tlsServerName,
            }
          : undefined,
    },
  };
  exec.env = [...(exec.env ?? []), { name: "KUBERNETES_EXEC_INFO", value: JSON.stringify(info) }];
}

function currentCluster(config: KubeConfig, options: ConnectOptions): { name: string; server: string } {
  const where = options.kubeconfigPath ?? "the kubeconfig";
  const name = config.getCurrentContext();
  const known = config.getContexts().map((each) => each.name);
  if (options.context === undefined && name === NOTHING_FOUND) {
    throw new NothingConfiguredError(
      "No cluster is configured: there is no KUBECONFIG, no ~/.kube/config and no service account of a pod. " +
        "Name a file with --kubeconfig, or create a cluster with `chaos cluster up`.",
    );
  }
  const exist = known.length === 0 ? "It has none." : `It has: ${known.join(", ")}.`;
  if (!name) throw new UsageError(`No current context in ${where}: name one with --context. ${exist}`);
  if (!known.includes(name)) throw new UsageError(`No context "${name}" in ${where}. ${exist}`);
  const cluster = config.getCurrentCluster();
  if (cluster === null) {
    const wanted = config.getContextObject(name)?.cluster ?? "";
    throw new UsageError(`Context "${name}" names the cluster "${wanted}", which ${where} does not have.`);
  }
  return { name, server: cluster.server };
}

type Tls = Pick<TransportOptions, "ca" | "cert" | "key" | "rejectUnauthorized" | "servername">;

/**
 * Certificates and headers from the client. Runs the credential plugin if there is one.
 *
 * @throws ChaosError when the plugin fails.
 */
async function authOf(config: KubeConfig): Promise<{ tls: Tls; headers: Record<string, string> }> {
  const given: RequestOptions = {};
  try {
    // The client's child process cannot be ended from here; only the wait for it can.
    const limit = { limitMs: CREDENTIALS_LIMIT_MS, what: "the credential plugin has not answered" };
    await within(systemClock(), limit, config.applyToHTTPSOptions(given));
  } catch (error) {
    const context = config.getCurrentContext();
    throw new ChaosError(`No credentials for context "${context}"`, { cause: withoutSecrets(error) });
  }
  const { ca, cert, key, rejectUnauthorized, servername } = given;
  const tls = { ca, cert, key, rejectUnauthorized, servername };
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(given.headers ?? {})) {
    // A token file may end with a newline, which is invalid in a header.
    if (value !== undefined) headers[name] = String(value).trim();
  }
  if (typeof given.auth === "string") {
    headers.Authorization = `Basic ${Buffer.from(given.auth).toString("base64")}`;
  }
  const present = Object.entries(tls).filter(([, value]) => value !== undefined && value !== null);
  return { tls: Object.fromEntries(present), headers };
}

/** A credential plugin may wait for a login in a browser; this limits the wait, ms. */
const CREDENTIALS_LIMIT_MS = 2 * 60_000;

/** For a cluster behind a proxy (proxy-url): the client's own agents connect through it. */
function proxyOf(config: KubeConfig): Pick<TransportOptions, "createAgent"> {
  const cluster = config.getCurrentCluster();
  if (!cluster?.proxyUrl) return {};
  // Private in the client's types, but only this method knows every kind of proxy that the client supports.
  const client = config as unknown as { createAgent(to: Cluster, options: AgentOptions): Agent };
  return { createAgent: (options) => client.createAgent(cluster, options) };
}

/**
 * Parsers quote the text that they cannot read, and in a kubeconfig or a plugin's answer that may be a token or a
 * key. Replaces their error by one that has the place but not the text; the original is dropped on purpose.
 */
function withoutSecrets(error: unknown): unknown {
  if (error instanceof SyntaxError) return new Error("the credential plugin's answer is not JSON");
  const yaml = error as { name?: string; reason?: string; mark?: { line?: number } };
  if (yaml?.name !== "YAMLException") return error;
  return new Error(`line ${(yaml.mark?.line ?? 0) + 1}: ${yaml.reason ?? "not YAML"}`);
}
