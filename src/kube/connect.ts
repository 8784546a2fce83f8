/**
 * From a kubeconfig (or a pod's service account) to a transport. The client library loads and authenticates;
 * it sends nothing. This module is meant to be loaded lazily: the library takes a good part of a second.
 */
import { readFileSync } from "node:fs";
import type { Agent } from "node:http";
import type { AgentOptions, RequestOptions } from "node:https";
import { KubeConfig } from "@kubernetes/client-node/dist/config.js";
import type { Cluster } from "@kubernetes/client-node/dist/config_types.js";
import { systemClock, within } from "../common/clock.js";
import { ChaosError, UsageError } from "../common/errors.js";
import { cachedCredentials } from "./credentials.js";
import { createTransport } from "./transport.js";
import type { Transport, TransportOptions } from "./transport.js";

/** A way to a cluster. */
export interface Connection {
  readonly transport: Transport;
  /** The API server's address, from the kubeconfig. */
  readonly server: string;
  readonly context: string;
  /** The kubeconfig that was named; undefined: the default resolution (KUBECONFIG, ~/.kube/config, in-cluster). */
  readonly kubeconfigPath: string | undefined;
}

export interface ConnectOptions {
  readonly kubeconfigPath?: string | undefined;
  /** Default: the kubeconfig's current one. */
  readonly context?: string | undefined;
  readonly userAgent: string;
}

/** What the client falls back to when it has found no configuration at all. */
const NOTHING_FOUND = "loaded-context";

/**
 * Loads the configuration and gets the first credentials; sends no request. HTTPS_PROXY is not looked at,
 * only the kubeconfig's proxy-url.
 *
 * @throws UsageError when the file, the context or its cluster is not there.
 * @throws ChaosError when credentials cannot be had (the plugin fails, say).
 */
export async function connect(options: ConnectOptions): Promise<Connection> {
  let config = loadConfig(options);
  const { name: context, server } = currentCluster(config, options);
  const credentials = cachedCredentials({
    fetch: async () => (await authOf(config)).headers,
    // Loaded anew, with the client's own caches: what was refused may have been renewed on disk.
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

/** A connection for as long as the work takes. @throws as {@link connect}. */
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

/** The kubeconfig, with the context chosen, and what the client leaves out filled in. */
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
  // Plain HTTP is refused by the client; to this very machine (kubectl proxy) it is as safe as it gets.
  config.clusters = config.clusters.map((cluster) =>
    isLoopbackHttp(cluster.server) ? { ...cluster, skipTLSVerify: true } : cluster,
  );
  tellPluginsAboutThemselves(config);
  return config;
}

function isLoopbackHttp(server: string): boolean {
  return /^http:\/\/(127\.|localhost(:|$|\/)|\[::1\])/.test(server);
}

/** A credential plugin's part of a kubeconfig user; the client's type of it is `any`. */
interface ExecConfig {
  readonly apiVersion?: string;
  readonly provideClusterInfo?: boolean;
  env?: { name: string; value: string }[] | null;
}

/**
 * The client does not pass KUBERNETES_EXEC_INFO, without which some plugins refuse to run: they take the
 * version of their answer from it. Kubernetes' documentation, "client-go credential plugins".
 */
function tellPluginsAboutThemselves(config: KubeConfig): void {
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
    throw new UsageError(
      "No cluster is configured: looked for KUBECONFIG, ~/.kube/config and a pod's service account. " +
        "Name a file with --kubeconfig, or make a cluster with `chaos cluster up`.",
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
 * Certificates and headers as the client gives them. Runs the credential plugin if there is one; that it
 * fails is the user's to mend: ChaosError.
 */
async function authOf(config: KubeConfig): Promise<{ tls: Tls; headers: Record<string, string> }> {
  const given: RequestOptions = {};
  try {
    // What the client starts cannot be ended from here: only waiting for it can.
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
    // A token file may end with a newline, which no header may hold.
    if (value !== undefined) headers[name] = String(value).trim();
  }
  if (typeof given.auth === "string") {
    headers.Authorization = `Basic ${Buffer.from(given.auth).toString("base64")}`;
  }
  const present = Object.entries(tls).filter(([, value]) => value !== undefined && value !== null);
  return { tls: Object.fromEntries(present), headers };
}

/** A credential plugin may wait for a person at a browser; not for ever, ms. */
const CREDENTIALS_LIMIT_MS = 2 * 60_000;

/** Where the cluster is behind a proxy (proxy-url), the client's own agents lead through it. */
function proxyOf(config: KubeConfig): Pick<TransportOptions, "createAgent"> {
  const cluster = config.getCurrentCluster();
  if (!cluster?.proxyUrl) return {};
  // Private in the client's types, and the only thing that knows every kind of proxy it supports.
  const client = config as unknown as { createAgent(to: Cluster, options: AgentOptions): Agent };
  return { createAgent: (options) => client.createAgent(cluster, options) };
}

/**
 * Parsers quote what they could not read, and in a kubeconfig or a plugin's answer that may be a token or a
 * key. Their error is replaced by one that says where, not what; the original is dropped on purpose.
 */
function withoutSecrets(error: unknown): unknown {
  if (error instanceof SyntaxError) return new Error("the credential plugin's answer is not JSON");
  const yaml = error as { name?: string; reason?: string; mark?: { line?: number } };
  if (yaml?.name !== "YAMLException") return error;
  return new Error(`line ${(yaml.mark?.line ?? 0) + 1}: ${yaml.reason ?? "not YAML"}`);
}
