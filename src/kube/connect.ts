/** From a kubeconfig (or a pod's service account) to a transport, as kubectl connects. */
import { ChaosError } from "../common/errors.js";
import { authorityOf, identityOf, type Identity, type IdentitySource } from "./authentication.js";
import { cachedCredentials } from "./credentials.js";
import { clusterAccess } from "./kubeconfig/access.js";
import type { Env } from "./kubeconfig/load.js";
import { throughProxy } from "./proxy-agent.js";
import { proxyFor, proxySetting, proxyWords } from "./proxy-rules.js";
import { createTransport } from "./transport.js";
import type { Transport } from "./transport.js";

/** A connection to a cluster. */
export interface Connection {
  readonly transport: Transport;
  /** The API server's address, from the kubeconfig. */
  readonly server: string;
  readonly context: string;
  /** The given kubeconfig; undefined: the default resolution (KUBECONFIG, ~/.kube/config, in-cluster). */
  readonly kubeconfigPath: string | undefined;
  /** The files, with absolute paths, as KUBECONFIG lists them; undefined: a pod's service account. */
  readonly kubeconfigList?: string | undefined;
  /** The proxy on the way, without its password. */
  readonly proxy?: string | undefined;
  /** What names that proxy: "HTTPS_PROXY", … */
  readonly proxySetting?: string | undefined;
}

export interface ConnectOptions {
  readonly kubeconfigPath?: string | undefined;
  /** Instead of KUBECONFIG: the `kubeconfigList` of an earlier connection. */
  readonly kubeconfigList?: string | undefined;
  /** Default: the current context of the kubeconfig. */
  readonly context?: string | undefined;
  readonly userAgent: string;
  /** Ends a credential plugin that has not answered. Later requests do not depend on it. */
  readonly signal?: AbortSignal | undefined;
  /** Told about files of KUBECONFIG that do not exist. */
  readonly warn?: ((text: string) => void) | undefined;
  /** Default: this process's. */
  readonly env?: Env | undefined;
}

/**
 * Loads the configuration and gets the first credentials; sends no request.
 *
 * @throws NothingConfiguredError when there is no configuration; UsageError when it is unusable.
 * @throws RefusedError when the credential plugin fails; ChaosError (exit 130) when the signal ends it.
 */
export async function connect(options: ConnectOptions): Promise<Connection> {
  const { env = process.env, signal } = options;
  const access = await clusterAccess({ ...options, env });
  const { context, server, cluster } = access;
  const ca = await authorityOf(access);
  let source: IdentitySource = identityOf(access, ca, env);
  /** Files of the user, as they are now: credentials in the kubeconfig may have been renewed. The cluster stays. */
  const reload = async (): Promise<void> => {
    try {
      const again = await clusterAccess({ ...options, context, env });
      if (again.server === server) source = identityOf(again, ca, env);
    } catch (error) {
      // It is being written, or it is gone: the credentials that are known remain.
      if (!(error instanceof ChaosError)) throw error;
    }
  };
  let isRefused = false;
  const credentials = cachedCredentials<Identity>({
    fetch: async () => {
      if (isRefused) await reload();
      isRefused = false;
      return await source.fetch();
    },
    forget: () => {
      isRefused = true;
      source.forget();
    },
    expiresAtMs: ({ expiresAtMs }) => expiresAtMs,
  });
  let identity = await source.fetch(signal);
  credentials.remember(identity);
  const url = new URL(server);
  const proxy = proxyFor(url, cluster.proxyUrl, env);
  const transport = createTransport({
    server,
    ...(ca === undefined ? {} : { ca }),
    ...(cluster.insecureSkipTlsVerify ? { rejectUnauthorized: false } : {}),
    ...(cluster.tlsServerName === "" ? {} : { servername: cluster.tlsServerName }),
    ...(proxy === undefined ? {} : { createAgent: throughProxy(proxy, url) }),
    headers: async () => {
      identity = await credentials.headers();
      return identity.headers;
    },
    certificate: () => identity.certificate,
    onUnauthorized: credentials.forget,
    userAgent: options.userAgent,
  });
  return {
    transport,
    server,
    context,
    kubeconfigPath: options.kubeconfigPath,
    kubeconfigList: access.list,
    ...(proxy === undefined
      ? {}
      : { proxy: proxyWords(proxy), proxySetting: proxySetting(url, cluster.proxyUrl, env) }),
  };
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
