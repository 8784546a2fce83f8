/** A local HTTPS server and local proxies, for tests of connections. */
import { createServer as createHttp, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createHttps, type ServerOptions } from "node:https";
import { type AddressInfo, connect, createServer as createTcp, type Server, type Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import type { ExecutionContext } from "ava";
import { CA, SERVER_CERT, SERVER_KEY } from "./tls-fixtures.js";

interface Listening {
  readonly port: number;
}

/** Listens on a free port until the test ends. */
async function listen(t: ExecutionContext, server: Server): Promise<Listening> {
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined).on("close", () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.teardown(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return { port: (server.address() as AddressInfo).port };
}

export interface TlsRequest {
  readonly method: string | undefined;
  readonly url: string | undefined;
  readonly headers: IncomingMessage["headers"];
  /** All headers, with repeated ones. */
  readonly raw: readonly string[];
  /** The name of the client certificate. */
  readonly client: string;
}

export interface TlsApi extends Listening {
  readonly requests: TlsRequest[];
}

/** An HTTPS server with the certificate of the fixtures. It asks for a client certificate. */
export async function tlsServer(
  t: ExecutionContext,
  answer: (request: TlsRequest, response: ServerResponse) => void = (_request, response) =>
    void response.end(JSON.stringify({ gitVersion: "v1.36.3" })),
  options: ServerOptions = {},
): Promise<TlsApi> {
  const requests: TlsRequest[] = [];
  const defaults = {
    cert: SERVER_CERT,
    key: SERVER_KEY,
    ca: CA,
    requestCert: true,
    rejectUnauthorized: false,
  };
  const server = createHttps({ ...defaults, ...options }, (incoming, response) => {
    const { method, url, headers, rawHeaders: raw } = incoming;
    const certificate = (incoming.socket as TLSSocket).getPeerCertificate();
    const request = { method, url, headers, raw, client: String(certificate?.subject?.CN) };
    requests.push(request);
    answer(request, response);
  });
  server.on("tlsClientError", () => undefined);
  return { ...(await listen(t, server)), requests };
}

export interface TestProxy extends Listening {
  /** What it was asked to connect to: HOST:PORT, a name as a name. */
  readonly targets: string[];
  readonly authorizations: (string | undefined)[];
}

/** An HTTP proxy. It connects to 127.0.0.1, whatever the host's name is. */
export async function connectProxy(
  t: ExecutionContext,
  status = "200 Connection established",
): Promise<TestProxy> {
  const targets: string[] = [];
  const authorizations: (string | undefined)[] = [];
  const server = createHttp().on("connect", (request, socket) => {
    targets.push(request.url ?? "");
    authorizations.push(request.headers["proxy-authorization"]);
    if (!status.startsWith("200")) return void socket.end(`HTTP/1.1 ${status}\r\n\r\n`);
    const port = Number(request.url?.split(":").at(-1));
    const upstream = connect(port, "127.0.0.1", () => {
      socket.write(`HTTP/1.1 ${status}\r\n\r\n`);
      upstream.pipe(socket).pipe(upstream);
    });
    upstream.on("error", () => socket.destroy());
    socket.on("error", () => upstream.destroy());
  });
  return { ...(await listen(t, server)), targets, authorizations };
}

/** A SOCKS5 proxy without authentication (RFC 1928). It connects to 127.0.0.1, whatever the host's name is. */
export async function socksProxy(t: ExecutionContext): Promise<TestProxy> {
  const targets: string[] = [];
  const server = createTcp((socket) => {
    socket.once("data", () => {
      socket.write(Buffer.from([5, 0]));
      socket.once("data", (request: Buffer) => {
        const isName = request[3] === 3;
        const end = isName ? 5 + (request[4] ?? 0) : 8;
        const host = isName ? request.toString("latin1", 5, end) : [...request.subarray(4, 8)].join(".");
        const port = request.readUInt16BE(end);
        targets.push(`${host}:${port}`);
        const upstream = connect(port, "127.0.0.1", () => {
          socket.write(Buffer.from([5, 0, 0, 1, 127, 0, 0, 1, 0, 0]));
          upstream.pipe(socket).pipe(upstream);
        });
        upstream.on("error", () => socket.destroy());
      });
    });
    socket.on("error", () => undefined);
  });
  return { ...(await listen(t, server)), targets, authorizations: [] };
}
