/** One HTTP exchange on one agent: no retries, no time limits of its own. */
import http from "node:http";
import https from "node:https";

export interface ExchangeRequest {
  /** Scheme, host, port and base path. */
  readonly server: URL;
  readonly agent: http.Agent;
  readonly method: string;
  /** With its query; the base path comes before it. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer | undefined;
  /** Ends the exchange at any point; its reason is what rejects. */
  readonly signal: AbortSignal;
}

/** No answer, or not all of it. */
export class ExchangeError extends Error {
  /** The socket had served another request before: the server may have closed it while it was idle. */
  readonly reusedSocket: boolean;
  /** The headers had come, so the server has dealt with the request. */
  readonly answered: boolean;
  constructor(cause: unknown, reusedSocket: boolean, answered: boolean) {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
    this.name = "ExchangeError";
    this.reusedSocket = reusedSocket;
    this.answered = answered;
  }
  /** ECONNRESET, ECONNREFUSED, EPIPE, …; "" when the cause has none. */
  get code(): string {
    return (this.cause as NodeJS.ErrnoException).code ?? "";
  }
}

/** TCP keep-alive: a peer that is gone is noticed after this much silence and some probes, ms. */
export const TCP_KEEP_ALIVE_MS = 10_000;

/** Host, port and TLS fields of a URL, as node:http wants them (IPv6 without brackets). */
function target(server: URL): http.RequestOptions {
  const hostname = server.hostname.replace(/^\[(.*)\]$/, "$1");
  return server.port === "" ? { hostname } : { hostname, port: server.port };
}

/** Sends a request; resolves with the answer's head, its body not yet read. Rejects with ExchangeError. */
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
      agent: request.agent,
      method: request.method,
      path: `${server.pathname.replace(/\/$/, "")}${request.path}`,
      headers: {
        ...request.headers,
        // Node adds none to a DELETE with a body: the server would drop the DeleteOptions and choke on the rest.
        ...(body === undefined ? {} : { "Content-Length": String(body.length) }),
      },
    });
    const abort = (): void => {
      outgoing.destroy(signal.reason instanceof Error ? signal.reason : new Error(String(signal.reason)));
    };
    signal.addEventListener("abort", abort, { once: true });
    outgoing.once("socket", (socket) => socket.setKeepAlive(true, TCP_KEEP_ALIVE_MS));
    outgoing.once("close", () => signal.removeEventListener("abort", abort));
    // Stays for the request's life: after the head has come, an error is the body's, and its reader sees it.
    outgoing.on("error", (error) => reject(new ExchangeError(error, outgoing.reusedSocket, false)));
    outgoing.once("response", resolve);
    outgoing.end(body);
  });
}

/** Reads an answer's body to its end. Rejects with ExchangeError when it breaks off. */
export async function readBody(response: http.IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of response) chunks.push(chunk as Buffer);
  } catch (error) {
    throw new ExchangeError(error, false, true);
  }
  return Buffer.concat(chunks);
}
