/**
 * The probe from outside: writes through the NodePort from where the runner is, as a browser would. Judged and
 * scheduled exactly as the probers in the cluster do it.
 */
import { randomBytes } from "node:crypto";
import http from "node:http";
import axios, { type AxiosResponse } from "axios";
import type { FailedLine, GoodLine, SampleLine } from "../evidence/sample.js";
import { withDeadline } from "./agent/deadline.js";
import { judgeWrite, Tokens, type Outcome } from "./agent/judge.js";
import { maxInFlight, sampleOnce, startProbe, systemTimers, type RunningProbe } from "./agent/schedule.js";

/** The guestbook as it is reached from outside. */
export interface OutsideTarget {
  readonly host: string;
  readonly port: number;
  /** Path of the guestbook's script: `/guestbook.php`. */
  readonly path: string;
  /** Redis key; its own, or the probers' reads would find its tokens. */
  readonly key: string;
  /** From the connect to the last byte, ms. */
  readonly timeoutMs: number;
  /** The runner's monotonic clock, ms. */
  readonly now: () => number;
}

export interface OutsideOptions extends OutsideTarget {
  readonly intervalMs: number;
  /** Gets each line as it ends, so not quite in the order of `t`. Must not throw. */
  readonly onSample: (line: SampleLine) => void;
}

/** A connection that was kept alive would outlive the faults that are looked for. */
const freshConnections = new http.Agent({ keepAlive: false });

/** Longest body that is accepted, bytes. */
const BODY_LIMIT = 64 * 1024;

/** Starts sampling at once; `stop` ends the ticks and waits for the samples under way. */
export function startOutsideProbe(options: OutsideOptions): RunningProbe {
  const tokens = freshTokens();
  return startProbe({
    probe: "outside",
    firstMs: options.now(),
    intervalMs: options.intervalMs,
    clock: { ...systemTimers, now: options.now },
    limit: () => maxInFlight(options.timeoutMs, options.intervalMs),
    measure: () => write(options, tokens.next()),
    emit: options.onSample,
  });
}

/** One sample: whether the guestbook can be reached from here at all. */
export async function checkOutside(target: OutsideTarget): Promise<GoodLine | FailedLine> {
  const line = await sampleOnce("outside", () => write(target, freshTokens().next()), target.now);
  return line as GoodLine | FailedLine; // a write is always judged, and one alone is never missed
}

function freshTokens(): Tokens {
  return new Tokens(`outside-${randomBytes(6).toString("hex")}`);
}

/** Writes one token. Throws what axios throws. */
async function write(target: OutsideTarget, token: string): Promise<Outcome> {
  const { status, data }: AxiosResponse<string> = await withDeadline(target.timeoutMs, (onEnd) => {
    const cancel = new AbortController();
    onEnd(() => cancel.abort());
    return axios.get<string>(urlOf(target), {
      params: { cmd: "set", key: target.key, value: token },
      signal: cancel.signal,
      httpAgent: freshConnections,
      proxy: false, // an HTTP_PROXY of the user's shell must not stand between
      maxRedirects: 0,
      maxContentLength: BODY_LIMIT,
      responseType: "text",
      transformResponse: (body: string) => body, // the body is judged as it came
      validateStatus: () => true,
    });
  });
  return judgeWrite(status, data);
}

function urlOf({ host, port, path }: OutsideTarget): string {
  return `http://${host.includes(":") ? `[${host}]` : host}:${port}${path}`;
}
