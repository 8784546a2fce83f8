/** The HTTP probes: the application's two arms and its Service. */
import http from "node:http";
import type { AppTarget, Endpoint, FrontEnd, HttpTarget } from "../prober-plan.js";
import { withDeadline } from "./deadline.js";
import { failed, failureOf, judgeRead, judgeStatus, judgeWrite, type Outcome, type Tokens } from "./judge.js";

/** How much of a response's body is read, bytes. The guestbook's bodies are under 100. */
const BODY_LIMIT = 64 * 1024;

export interface HttpAnswer {
  readonly status: number;
  readonly body: string;
}

/**
 * GET on a new connection: an established one would not show the faults that the probe measures.
 *
 * @param timeoutMs from the connect to the last byte
 * @param hostHeader the address, when left out
 */
export function httpGet(
  to: Endpoint,
  pathAndQuery: string,
  timeoutMs: number,
  hostHeader?: string,
): Promise<HttpAnswer> {
  return withDeadline(
    timeoutMs,
    (onEnd) =>
      new Promise((resolve, reject) => {
        const request = http.get(
          {
            host: to.ip,
            port: to.port,
            path: pathAndQuery,
            agent: false,
            headers: {
              "user-agent": "kube-system-chaos-prober",
              ...(hostHeader === undefined ? {} : { host: hostHeader }),
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
        // Never removed: destroying the request raises another error.
        request.on("error", reject);
        onEnd(() => request.destroy());
      }),
  );
}

export async function probeHttp(target: HttpTarget, timeoutMs: number): Promise<Outcome> {
  const { status, body } = await httpGet(target, target.path, timeoutMs);
  return judgeStatus(status, body) ?? { ok: true };
}

/** Round robin over a list that may change. */
class RoundRobin {
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
