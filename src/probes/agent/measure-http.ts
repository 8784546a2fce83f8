/** The HTTP probes: the application's two arms and its Service. */
import http from "node:http";
import type { AppTarget, Endpoint, FrontEnd, HttpTarget } from "../prober-plan.js";
import { withDeadline } from "./deadline.js";
import { fill, judgeOwn, type OwnHttp } from "./judge-own.js";
import { failed, failureOf, judgeRead, judgeStatus, judgeWrite, type Outcome, type Tokens } from "./judge.js";

/** How much of a response's body is read, bytes. The guestbook's bodies are under 100. */
const BODY_LIMIT = 64 * 1024;

export interface HttpAnswer {
  readonly status: number;
  readonly body: string;
}

interface HttpGetOptions {
  /** Default: GET. */
  readonly method?: string;
  /** Besides Host and User-Agent, which they may replace. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | undefined;
  /** The Host header. Default: the address. */
  readonly host?: string | undefined;
  /** Keeps connections: the request uses a kept one if it has any. Default: a new connection. */
  readonly agent?: http.Agent | false;
  /** Gets the request, which tells afterwards whether it used a kept connection. */
  readonly onRequest?: (request: http.ClientRequest) => void;
}

/**
 * One request, by default a GET on a new connection: an established one would not show the faults that the probe measures.
 *
 * @param timeoutMs from the connect to the last byte
 */
export function httpGet(
  to: Endpoint,
  pathAndQuery: string,
  timeoutMs: number,
  { host, agent = false, onRequest, method = "GET", headers = {}, body }: HttpGetOptions = {},
): Promise<HttpAnswer> {
  return withDeadline(
    timeoutMs,
    (onEnd) =>
      new Promise((resolve, reject) => {
        const request = http.request(
          {
            method,
            host: to.ip,
            port: to.port,
            path: pathAndQuery,
            agent,
            headers: {
              "user-agent": "kube-system-chaos-prober",
              ...(host === undefined ? {} : { host }),
              ...lowerCased(headers),
              ...(body === undefined ? {} : { "content-length": String(Buffer.byteLength(body)) }),
            },
          },
          (response) => {
            const status = response.statusCode ?? 0;
            const chunks: Buffer[] = [];
            let length = 0;
            const done = (): void => resolve({ status, body: Buffer.concat(chunks).toString("utf8") });
            response.on("data", (chunk: Buffer) => {
              chunks.push(chunk);
              length += chunk.length;
              if (length >= BODY_LIMIT) done();
            });
            response.on("end", done);
            response.on("error", reject);
          },
        );
        onRequest?.(request);
        // Never removed: destroying the request raises another error.
        request.on("error", reject);
        onEnd(() => request.destroy());
        request.end(body);
      }),
  );
}

/** So that a header replaces one of the same name. */
function lowerCased(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
}

/** A request to an own application. @param token goes where the request has its place for one. */
export async function askHttp(
  to: Endpoint,
  { method, path, headers, body }: OwnHttp,
  token: string,
  timeoutMs: number,
  options: Pick<HttpGetOptions, "agent" | "onRequest"> = {},
): Promise<HttpAnswer> {
  const filled = Object.entries(headers).map(([name, value]) => [name, fill(value, token)] as const);
  return await httpGet(to, fill(path, token), timeoutMs, {
    ...options,
    method,
    headers: Object.fromEntries(filled),
    ...(body === undefined ? {} : { body: fill(body, token) }),
  });
}

export async function probeHttp(
  target: HttpTarget,
  timeoutMs: number,
  options: Pick<HttpGetOptions, "agent" | "onRequest"> = {},
): Promise<Outcome> {
  if (target.http !== undefined) {
    const { status, body } = await askHttp(target, target.http, "", timeoutMs, options);
    return judgeOwn(target.http, status, body, []);
  }
  const { status, body } = await httpGet(target, target.path, timeoutMs, options);
  return judgeStatus(status, body) ?? { ok: true };
}

/**
 * GET over a connection that is kept, like a client with a connection pool: the application's clients reuse connections,
 * which the Service's rules and the end of its pods affect at another time than new ones. The connection is opened again
 * when it was closed or a request on it failed. While a request hangs on it, each tick opens its own. A request that ended
 * well has gone over a kept connection if its sample is marked as `reused`.
 */
export class ReusedHttpProbe {
  #agent: http.Agent | undefined;
  #address = "";

  async measure(target: HttpTarget, timeoutMs: number): Promise<Outcome> {
    const address = `${target.ip} ${target.port}`;
    if (address !== this.#address) this.close();
    this.#address = address;
    this.#agent ??= new http.Agent({ keepAlive: true, maxFreeSockets: 1, noDelay: true });
    let used: http.ClientRequest | undefined;
    let outcome: Outcome;
    try {
      outcome = await probeHttp(target, timeoutMs, {
        agent: this.#agent,
        onRequest: (request) => (used = request),
      });
    } catch (error) {
      outcome = failureOf(error);
    }
    return used?.reusedSocket === true ? { ...outcome, reused: true } : outcome;
  }

  /** Closes the kept connection. That is not a failure. */
  close(): void {
    const agent = this.#agent;
    this.#agent = undefined;
    if (agent === undefined) return;
    // A connection in use ends with its request.
    agent.maxFreeSockets = 0;
    for (const socket of Object.values(agent.freeSockets).flat()) socket?.destroy();
  }
}

/** Round robin over a list that may change. */
export class RoundRobin {
  #count = 0;

  of<T>(list: readonly T[]): T | undefined {
    const member = list[this.#count % list.length];
    this.#count += 1;
    return member;
  }
}

/**
 * Writes and reads of one arm of the application (the one with DNS, or the one with environment variables). Both arms
 * write the same value, so they share their tokens.
 */
export class AppArm {
  readonly #writes = new RoundRobin();
  readonly #reads = new RoundRobin();

  async write(target: AppTarget, tokens: Tokens, timeoutMs: number): Promise<Outcome> {
    const frontend = this.#writes.of(target.frontends);
    if (frontend === undefined) return failed("no-target", "no front-end pod is known");
    const token = tokens.next();
    const outcome = await askFrontEnd(
      frontend,
      `${target.path}?cmd=set&value=${token}`,
      timeoutMs,
      judgeWrite,
    );
    if ("ok" in outcome && outcome.ok) tokens.written(token);
    return outcome;
  }

  /** undefined: no write of the run is known, so there may be nothing to read. */
  async read(target: AppTarget, tokens: Tokens, timeoutMs: number): Promise<Outcome | undefined> {
    const { newestMs } = tokens;
    if (newestMs === -Infinity) return undefined;
    const frontend = this.#reads.of(target.frontends);
    if (frontend === undefined) return failed("no-target", "no front-end pod is known");
    return askFrontEnd(frontend, `${target.path}?cmd=get`, timeoutMs, (status, body) =>
      judgeRead(status, body, tokens, newestMs),
    );
  }
}

async function askFrontEnd(
  frontend: FrontEnd,
  pathAndQuery: string,
  timeoutMs: number,
  judge: (status: number, body: string) => Outcome,
): Promise<Outcome> {
  let outcome: Outcome;
  try {
    const { status, body } = await httpGet(frontend, pathAndQuery, timeoutMs);
    outcome = judge(status, body);
  } catch (error) {
    outcome = failureOf(error);
  }
  return { ...outcome, target: frontend.name };
}
