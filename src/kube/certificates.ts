/** When the certificates on the way to an API server expire: its own, its authority's, and the user's. */
import { X509Certificate } from "node:crypto";
import https from "node:https";
import type { AgentOptions } from "node:https";
import { TLSSocket } from "node:tls";
import { messageOf } from "../common/errors.js";
import { authorityOf, identityOf } from "./authentication.js";
import type { ConnectOptions } from "./connect.js";
import { clusterAccess } from "./kubeconfig/access.js";
import type { ClusterAccess } from "./kubeconfig/types.js";
import { throughProxy } from "./proxy-agent.js";
import { proxyFor } from "./proxy-rules.js";

/** Times in ms. */
export interface Validity {
  readonly fromMs: number;
  readonly toMs: number;
}

export interface Certificates {
  /** undefined: could not be read; see `notRead`. */
  readonly serving?: Validity;
  /** Of a bundle, the one that expires last: a rotation leaves the old one in. undefined: the kubeconfig trusts the public authorities. */
  readonly authority?: Validity;
  /** undefined: the user has no certificate. */
  readonly client?: Validity;
  readonly notRead: readonly string[];
}

const LIMIT_MS = 5_000;

/**
 * Opens one TLS connection of its own, through the proxy if there is one. A credential plugin is not run: it renews what
 * it gives.
 */
export async function certificatesOf(options: ConnectOptions): Promise<Certificates> {
  const { env = process.env } = options;
  const access = await clusterAccess({ ...options, env });
  const notRead: string[] = [];
  const read = async <T>(what: string, work: () => Promise<T | undefined>): Promise<T | undefined> => {
    try {
      return await work();
    } catch (error) {
      notRead.push(`${what}: ${messageOf(error)}`);
      return undefined;
    }
  };
  const ca = await read("the certificate authority", async () => await authorityOf(access));
  const serving = await read("the API server's certificate", async () => await servingOf(access, ca, env));
  const client = await read("the client certificate", async () => {
    const { user } = access;
    if (user.clientCertificate === "" && user.clientCertificateData.length === 0) return undefined;
    const { certificate } = await identityOf(access, ca, env).fetch();
    // With its chain: the first to expire ends all of it.
    return certificate === undefined ? undefined : byExpiry(certificate.cert)[0];
  });
  const authority = await read("the certificate authority", () =>
    Promise.resolve(ca === undefined ? undefined : byExpiry(ca).at(-1)),
  );
  return {
    ...(serving === undefined ? {} : { serving }),
    ...(authority === undefined ? {} : { authority }),
    ...(client === undefined ? {} : { client }),
    notRead,
  };
}

/** The certificates in PEM, the first to expire first. Pure. */
export function byExpiry(pem: string | Buffer): Validity[] {
  const blocks = pem.toString().match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  const all = blocks.map((block) => validityOf(new X509Certificate(block)));
  return all.sort((a, b) => a.toMs - b.toMs);
}

function validityOf({ validFrom, validTo }: X509Certificate): Validity {
  return { fromMs: Date.parse(validFrom), toMs: Date.parse(validTo) };
}

async function servingOf(
  { server, cluster }: ClusterAccess,
  ca: Buffer | undefined,
  env: NonNullable<ConnectOptions["env"]>,
): Promise<Validity | undefined> {
  const url = new URL(server);
  if (url.protocol !== "https:") return undefined;
  // An expired certificate, too, is to be read; nothing is sent but the request for the version.
  const tls: AgentOptions = {
    rejectUnauthorized: false,
    ...(ca === undefined ? {} : { ca }),
    ...(cluster.tlsServerName === "" ? {} : { servername: cluster.tlsServerName }),
  };
  const proxy = proxyFor(url, cluster.proxyUrl, env);
  const agent = proxy === undefined ? new https.Agent(tls) : throughProxy(proxy, url)(tls);
  return await new Promise((resolve, reject) => {
    const request = https.get(`${server}/version`, { agent, timeout: LIMIT_MS }, (response) => {
      const { socket } = response;
      const certificate = socket instanceof TLSSocket ? socket.getPeerX509Certificate() : undefined;
      response.destroy();
      resolve(certificate === undefined ? undefined : validityOf(certificate));
    });
    request.once("timeout", () => request.destroy(new Error(`no answer within ${LIMIT_MS / 1000} s`)));
    request.once("error", reject);
  });
}
