/** A kubeconfig's user → headers and a client certificate, as client-go sends them. */
import { readFile } from "node:fs/promises";
import { createSecureContext } from "node:tls";
import { UsageError } from "../common/errors.js";
import { systemReason } from "../common/system-reason.js";
import { pluginOf } from "./exec-plugin.js";
import type { Env } from "./kubeconfig/load.js";
import { isLoopback } from "./kubeconfig/server-url.js";
import type { ClusterAccess, KubeUser } from "./kubeconfig/types.js";
import type { RequestHeaders } from "./transport-types.js";

/** What a request needs. */
export interface Identity {
  readonly headers: RequestHeaders;
  readonly certificate?: { readonly cert: string | Buffer; readonly key: string | Buffer };
  /** Wall clock, ms. */
  readonly expiresAtMs?: number;
}

export interface IdentitySource {
  /** Reads files again. Runs the plugin if its credentials have expired. */
  readonly fetch: (signal?: AbortSignal) => Promise<Identity>;
  /** The server has refused the last identity. */
  readonly forget: () => void;
}

/** The certificate authority of the cluster; undefined: the public ones. @throws UsageError */
export async function authorityOf({ cluster, clusterWords }: ClusterAccess): Promise<Buffer | undefined> {
  const { certificateAuthority: file, certificateAuthorityData: data } = cluster;
  if (file === "" && data.length === 0) return undefined;
  const ca = file === "" ? data : await readOf(file, `${clusterWords}: certificate-authority`);
  const what = `${clusterWords}: its certificate authority${named(file)}`;
  checkPem(ca, `${what} is not a PEM certificate`);
  check({ ca }, `${what} is damaged`);
  return ca;
}

/** Credentials of a user. `env`: of the plugin, if there is one. */
export function identityOf(access: ClusterAccess, ca: Buffer | undefined, env: Env): IdentitySource {
  const { user, userWords, server } = access;
  const impersonation = impersonationOf(user, userWords);
  // As kubectl: credentials are not sent in clear text (ClientConfig of client_config.go), except on this machine.
  if (server.startsWith("http:") && !isLoopback(server))
    return { fetch: () => Promise.resolve({ headers: impersonation }), forget: () => undefined };
  const token = tokenReader(access);
  const certificate = certificateReader(access);
  // Other credentials win over a plugin (UpdateTransportConfig of exec.go).
  const plugin =
    user.exec === undefined || token !== undefined || certificate !== undefined || hasBasic(user)
      ? undefined
      : pluginOf({
          exec: user.exec,
          userWords,
          cluster: user.exec.provideClusterInfo ? clusterInfo(access, ca) : undefined,
          env,
        });
  return {
    fetch: async (signal) => {
      const answered = await plugin?.credentials(signal);
      const bearer = answered === undefined ? await token?.() : answered.token;
      const pair = answered === undefined ? await certificate?.() : answered.certificate;
      if (answered?.certificate !== undefined)
        check(
          answered.certificate,
          `${userWords}: its credential plugin printed an invalid certificate or key`,
        );
      return {
        headers: { ...authorization(user, bearer, userWords), ...impersonation },
        ...(pair === undefined ? {} : { certificate: pair }),
        ...(answered?.expiresAtMs === undefined ? {} : { expiresAtMs: answered.expiresAtMs }),
      };
    },
    forget: () => plugin?.forget(),
  };
}

function hasBasic({ username, password }: KubeUser): boolean {
  return username !== "" || password !== "";
}

function authorization(user: KubeUser, token: string | undefined, words: string): RequestHeaders {
  if (token !== undefined) return { Authorization: headerValue(`Bearer ${token}`, `${words}: its token`) };
  if (!hasBasic(user)) return {};
  return { Authorization: `Basic ${Buffer.from(`${user.username}:${user.password}`).toString("base64")}` };
}

/** `tokenFile` wins over `token` as long as it can be read (NewBearerAuthWithRefreshRoundTripper). */
function tokenReader({ user, userWords }: ClusterAccess): (() => Promise<string>) | undefined {
  const { token, tokenFile } = user;
  if (tokenFile === "") return token === "" ? undefined : () => Promise.resolve(token);
  let last = token;
  return async () => {
    try {
      const text = (await readOf(tokenFile, `${userWords}: tokenFile`)).toString("utf8").trim();
      if (text === "") throw new UsageError(`${userWords}: its tokenFile ${tokenFile} is empty`);
      last = text;
    } catch (error) {
      // While the file is replaced, the token that was read last is still the best one.
      if (last === "") throw error;
    }
    return last;
  };
}

/** Files are read again, like tokens: they may be renewed during a run. */
function certificateReader({
  user,
  userWords,
}: ClusterAccess): (() => Promise<NonNullable<Identity["certificate"]>>) | undefined {
  const { clientCertificate, clientCertificateData, clientKey, clientKeyData } = user;
  if (clientCertificate === "" && clientCertificateData.length === 0) return undefined;
  let last: NonNullable<Identity["certificate"]> | undefined;
  return async () => {
    try {
      const pair = {
        cert:
          clientCertificate === ""
            ? clientCertificateData
            : await readOf(clientCertificate, `${userWords}: client-certificate`),
        key: clientKey === "" ? clientKeyData : await readOf(clientKey, `${userWords}: client-key`),
      };
      checkPem(
        pair.cert,
        `${userWords}: its client certificate${named(clientCertificate)} is not a PEM certificate`,
      );
      checkPem(pair.key, `${userWords}: its client key${named(clientKey)} is not a PEM key`);
      check(pair, `${userWords}: its client certificate or key is invalid`);
      last = pair;
    } catch (error) {
      if (last === undefined) throw error;
    }
    return last;
  };
}

async function readOf(path: string, what: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    throw new UsageError(
      `${what}: cannot read ${path}: ${systemReason(error)}. Correct the path in the kubeconfig, or sign in again`,
      { cause: error },
    );
  }
}

/** The name of a file in a sentence; "": the data is in the kubeconfig. */
function named(file: string): string {
  return file === "" ? "" : ` ${file}`;
}

/** OpenSSL skips what is not PEM. @throws UsageError */
function checkPem(data: Buffer, message: string): void {
  if (!data.includes("-----BEGIN ")) throw new UsageError(message);
}

/** What OpenSSL says, in words for the user. */
const OPENSSL_WORDS: Readonly<Record<string, string>> = {
  ERR_OSSL_BAD_DECRYPT: "the key is encrypted: remove its password",
  ERR_OSSL_UNSUPPORTED: "the key has an unknown format",
  ERR_OSSL_X509_KEY_VALUES_MISMATCH: "the key is not that of the certificate",
};

/** @throws UsageError when OpenSSL cannot use them. Its message quotes nothing of them. */
function check(parts: Parameters<typeof createSecureContext>[0], message: string): void {
  try {
    createSecureContext(parts);
  } catch (error) {
    // The message has numbers and OpenSSL's functions: "error:04800064:PEM routines::bad base64 decode".
    const { code = "", reason } = error as NodeJS.ErrnoException & { reason?: string };
    throw new UsageError(`${message} (${OPENSSL_WORDS[code] ?? reason ?? code})`);
  }
}

/** Impersonate-* headers (transport/round_trippers.go). */
function impersonationOf(user: KubeUser, words: string): RequestHeaders {
  if (user.impersonate === "") return {};
  const value = (text: string): string => headerValue(text, `${words}: the name to impersonate`);
  const extra = [...user.impersonateUserExtra].map(([key, values]): [string, string[]] => [
    `Impersonate-Extra-${headerKey(key)}`,
    values.map(value),
  ]);
  return {
    "Impersonate-User": value(user.impersonate),
    ...(user.impersonateUid === "" ? {} : { "Impersonate-Uid": value(user.impersonateUid) }),
    ...(user.impersonateGroups.length === 0
      ? {}
      : { "Impersonate-Group": user.impersonateGroups.map(value) }),
    ...Object.fromEntries(extra.filter(([, values]) => values.length > 0)),
  };
}

/** Bytes of UTF-8, as Go sends them. @throws UsageError when a header cannot have them. */
function headerValue(text: string, what: string): string {
  // eslint-disable-next-line no-control-regex
  if (/[\u0000-\u0008\u000a-\u001f\u007f]/.test(text))
    throw new UsageError(
      `${what} has a character that an HTTP header cannot have. Correct it in the kubeconfig`,
    );
  return Buffer.from(text, "utf8").toString("latin1");
}

/** Percent-encodes what a header's name cannot have (headerKeyEscape). */
function headerKey(key: string): string {
  return [...Buffer.from(key, "utf8")]
    .map((byte) => {
      const char = String.fromCharCode(byte);
      return /[A-Za-z0-9!#$&'*+.^_`|~-]/.test(char)
        ? char
        : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
    })
    .join("");
}

/** ExecCredential's spec.cluster (ConfigToExecCluster of rest/exec.go). */
function clusterInfo({ cluster, server }: ClusterAccess, ca: Buffer | undefined): object {
  return {
    server,
    ...(cluster.tlsServerName === "" ? {} : { "tls-server-name": cluster.tlsServerName }),
    ...(cluster.insecureSkipTlsVerify ? { "insecure-skip-tls-verify": true } : {}),
    ...(ca === undefined ? {} : { "certificate-authority-data": ca.toString("base64") }),
    ...(cluster.proxyUrl === "" ? {} : { "proxy-url": cluster.proxyUrl }),
    ...(cluster.disableCompression ? { "disable-compression": true } : {}),
    ...(cluster.execConfig === undefined || cluster.execConfig === null
      ? {}
      : { config: cluster.execConfig }),
  };
}
