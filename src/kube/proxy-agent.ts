/** Agents that reach the API server through a proxy: HTTP CONNECT, or SOCKS5, where the proxy resolves the name. */
import http from "node:http";
import https from "node:https";
import { isIP, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { rootCertificates } from "node:tls";
import { SocksClient } from "socks";
import { escapeInvisible } from "../strict-yaml/quote.js";
import { networkWords, speaksNoHttp, speaksNoTls } from "./network-words.js";
import { proxyWords } from "./proxy-rules.js";
import type { TransportOptions } from "./transport-types.js";

/** The proxy did not connect to the API server. */
export class ProxyError extends Error {
  constructor(proxy: URL, reason: string, cause?: unknown) {
    super(`the proxy ${proxyWords(proxy)} ${reason}`, ...(cause === undefined ? [] : ([{ cause }] as const)));
    this.name = "ProxyError";
  }
}

/** A proxy that does not answer, ms. */
const LIMIT_MS = 30_000;

type CreateConnection = (
  options: https.AgentOptions & { host?: string; port?: number | string },
  callback: (error: Error | null, socket?: Duplex) => void,
) => Duplex | undefined;

/** `createAgent` of a transport through this proxy. */
export function throughProxy(proxy: URL, server: URL): NonNullable<TransportOptions["createAgent"]> {
  return (options) => {
    const agent = server.protocol === "https:" ? new https.Agent(options) : new http.Agent(options);
    // Node calls it with two arguments; its types have only the first.
    const own = agent as unknown as { createConnection: CreateConnection };
    const direct = own.createConnection.bind(agent);
    own.createConnection = (target, callback) => {
      const to = { host: target.host ?? server.hostname, port: Number(target.port) };
      tunnel(proxy, to, options).then(
        (socket) => {
          if (server.protocol !== "https:") return callback(null, socket);
          const secure = direct({ ...target, socket }, callback);
          if (secure !== undefined) callback(null, secure);
        },
        (error: unknown) => callback(error as Error),
      );
      return undefined;
    };
    return agent;
  };
}

interface Target {
  readonly host: string;
  readonly port: number;
}

async function tunnel(proxy: URL, to: Target, options: https.AgentOptions): Promise<Socket> {
  return proxy.protocol.startsWith("socks")
    ? await socks(proxy, to)
    : await connectMethod(proxy, to, options);
}

async function socks(proxy: URL, to: Target): Promise<Socket> {
  try {
    const { socket } = await SocksClient.createConnection({
      command: "connect",
      proxy: {
        type: 5,
        host: hostOf(proxy),
        port: Number(proxy.port || 1080),
        ...(proxy.username === ""
          ? {}
          : { userId: decodeURIComponent(proxy.username), password: decodeURIComponent(proxy.password) }),
      },
      // A name is sent as a name.
      destination: { host: to.host, port: to.port },
      timeout: LIMIT_MS,
      set_tcp_nodelay: true,
    });
    return socket;
  } catch (error) {
    // Not the cause: its options have the password.
    throw new ProxyError(proxy, `did not connect to ${to.host}:${to.port}: ${socksWords(error, proxy)}`);
  }
}

/** The socks package has only messages (build/common/constants.js), with the system's own in them. */
function socksWords(error: unknown, proxy: URL): string {
  const { message } = error as Error;
  const network = networkWords(/\bE[A-Z_]+\b/.exec(message)?.[0] ?? "", hostOf(proxy));
  if (network !== undefined) return network;
  if (/no accepted authentication type|Authentication failed/.test(message))
    return "it does not accept the user and password of its URL (or their absence)";
  if (/^Received invalid Socks5/.test(message)) return "it does not speak SOCKS5";
  if (message === "Socket closed") return "it closes the connection";
  if (message === "Proxy connection timed out") return `no answer within ${LIMIT_MS / 1000} s`;
  return escapeInvisible(message.replace(/^Socks5 proxy rejected connection - /, "it refused: "));
}

/** Why the request of an HTTP proxy failed. */
function httpWords(error: NodeJS.ErrnoException, proxy: URL): string {
  const { code = "", message } = error;
  const network = networkWords(code, hostOf(proxy));
  if (network !== undefined) return network;
  if (speaksNoHttp(code)) return `it speaks no HTTP (${code})`;
  if (speaksNoTls(`${code} ${message}`)) return `it speaks no TLS (${code}). Write http:// before its host`;
  return escapeInvisible(message);
}

/** A proxy with HTTPS may have a certificate of the cluster's authority (kubectl knows only that) or of a public one. */
async function connectMethod(
  proxy: URL,
  to: Target,
  { ca, rejectUnauthorized }: https.AgentOptions,
): Promise<Socket> {
  const target = `${isIP(to.host) === 6 ? `[${to.host}]` : to.host}:${to.port}`;
  const credentials = `${decodeURIComponent(proxy.username)}:${decodeURIComponent(proxy.password)}`;
  const isHttps = proxy.protocol === "https:";
  const request = (isHttps ? https : http).request({
    method: "CONNECT",
    host: hostOf(proxy),
    port: proxy.port || (isHttps ? 443 : 80),
    path: target,
    agent: false,
    headers: {
      Host: target,
      ...(credentials === ":"
        ? {}
        : { "Proxy-Authorization": `Basic ${Buffer.from(credentials).toString("base64")}` }),
    },
    ...(ca === undefined ? {} : { ca: [...rootCertificates, ...[ca].flat()] }),
    ...(rejectUnauthorized === undefined ? {} : { rejectUnauthorized }),
  });
  return await new Promise<Socket>((resolve, reject) => {
    const timer = setTimeout(() => {
      request.destroy(new Error(`no answer within ${LIMIT_MS / 1000} s`));
    }, LIMIT_MS);
    request.once("error", (error) => {
      reject(new ProxyError(proxy, `did not connect to ${target}: ${httpWords(error, proxy)}`, error));
    });
    request.once("close", () => clearTimeout(timer));
    request.once("connect", ({ statusCode, statusMessage = "" }, socket, head) => {
      clearTimeout(timer);
      if (statusCode === 200) {
        if (head.length > 0) socket.unshift(head);
        resolve(socket);
        return;
      }
      socket.destroy();
      const said = escapeInvisible(statusMessage.slice(0, 100));
      reject(new ProxyError(proxy, `refused to connect to ${target}: HTTP ${statusCode} ${said}`));
    });
    request.end();
  });
}

function hostOf({ hostname }: URL): string {
  return hostname.replace(/^\[(.*)\]$/, "$1");
}
