/** One HTTP exchange on one agent: no retries, no time limits of its own. */
import http from "node:http";
import https from "node:https";

export interface ExchangeRequest {
  /** Scheme, host, port and base path. */
  readonly server: URL;
  readonly agent: http.Agent;
  readonly method: string;
  /** Includes the query; the server's base path is prepended. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string | string[]>>;
  /** The client certificate of the connection. Undefined: the agent's own, if it has one. */
  readonly certificate?: { readonly cert: Buffer | string; readonly key: Buffer | string } | undefined;
  readonly body: Buffer | undefined;
  /** Ends the exchange at any point; its reason becomes the rejection. */
  readonly signal: AbortSignal;
}

/** No answer, or an incomplete one. */
export class ExchangeError extends Error {
  /** The socket had served another request before: the server may have closed it while it was idle. */
  readonly reusedSocket: boolean;
  /** The headers had arrived, so the server has processed the request. */
  readonly answered: boolean;
  constructor(cause: unknown, reusedSocket: boolean, answered: boolean) {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
    this.name = "ExchangeError";
    this.reusedSocket = reusedSocket;
    this.answered = answered;
  }
  /** ECONNRESET, ECONNREFUSED, EPIPE, …; "" when the cause has no code. */
  get code(): string {
    return (this.cause as NodeJS.ErrnoException).code ?? "";
  }
}

/** TCP keep-alive: the silence before the first keep-alive probe, ms. The probes detect a peer that is gone. */
export const TCP_KEEP_ALIVE_MS = 10_000;

/** Host and port of a URL, as node:http expects them (IPv6 without brackets). */
function target(server: URL): http.RequestOptions {
  const hostname = server.hostname.replace(/^\[(.*)\]$/, "$1");
  return server.port === "" ? { hostname } : { hostname, port: server.port };
}

/**
 * Sends a request. Resolves with the answer's head; its body is not yet read. After a 101 (another protocol) nothing of
 * what follows is read, and the answer's socket is the caller's. Rejects with ExchangeError.
 */
export async function exchange(request: ExchangeRequest): Promise<http.IncomingMessage> {
  const { server, signal, body } = request;
  return await new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(new ExchangeError(signal.reason, false, false));
      return;
    }
    const client = server.protocol === "https:" ? https : http;
    const outgoing = client.request({
      ...target(server),
      // Part of the name of a pooled socket: a new certificate gets new sockets.
      ...request.certificate,
      agent: request.agent,
      method: request.method,
      path: `${server.pathname.replace(/\/$/, "")}${request.path}`,
      headers: {
        ...request.headers,
        // Node adds no length to a DELETE with a body: the server would drop the DeleteOptions and misread what follows.
        ...(body === undefined ? {} : { "Content-Length": String(body.length) }),
      },
    });
    const abort = (): void => {
      outgoing.destroy(signal.reason instanceof Error ? signal.reason : new Error(String(signal.reason)));
    };
    signal.addEventListener("abort", abort, { once: true });
    outgoing.once("socket", (socket) => socket.setKeepAlive(true, TCP_KEEP_ALIVE_MS));
    outgoing.once("close", () => signal.removeEventListener("abort", abort));
    // Stays for the request's lifetime: after the head has arrived, the body's reader gets the error.
    outgoing.on("error", (error) => reject(new ExchangeError(error, outgoing.reusedSocket, false)));
    outgoing.once("response", resolve);
    outgoing.once("upgrade", (response, socket, head) => {
      socket.unshift(head);
      resolve(response);
    });
    outgoing.end(body);
  });
}

/** Reads an answer's body to its end. Rejects with ExchangeError when the connection breaks. */
export async function readBody(response: http.IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of response) chunks.push(chunk as Buffer);
  } catch (error) {
    throw new ExchangeError(error, false, true);
  }
  return Buffer.concat(chunks);
}
