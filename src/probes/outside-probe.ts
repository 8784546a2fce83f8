/**
 * The probe from outside: writes through the NodePort from the runner's machine, as a browser would. It uses the same
 * schedule and the same judgement as the probers in the cluster.
 */
import { randomBytes } from "node:crypto";
import http from "node:http";
import axios, { type AxiosResponse } from "axios";
import { hostInUrl } from "../common/host-in-url.js";
import type { FailedLine, GoodLine, SampleLine } from "../evidence/sample.js";
import { withDeadline } from "./agent/deadline.js";
import { judgeWrite, tokenOf, type Outcome } from "./agent/judge.js";
import { maxInFlight, sampleOnce, startProbe, systemTimers, type RunningProbe } from "./agent/schedule.js";

/** How to reach the guestbook from outside. */
export interface OutsideTarget {
  readonly host: string;
  readonly port: number;
  /** Path of the guestbook's script: `/guestbook.php`. */
  readonly path: string;
  /** The run: the probers' reads may return a token that this probe wrote. */
  readonly runId: string;
  /** From the connect to the last byte, ms. */
  readonly timeoutMs: number;
  /** The runner's monotonic clock, ms. */
  readonly now: () => number;
}

export interface OutsideOptions extends OutsideTarget {
  readonly intervalMs: number;
  /** Gets each line when its sample ends, so not always in the order of `t`. Must not throw. */
  readonly onSample: (line: SampleLine) => void;
}

/** No keep-alive: an established connection would not show the faults that the probe measures. */
const freshConnections = new http.Agent({ keepAlive: false });

/** Maximum size of a body, bytes. */
const BODY_LIMIT = 64 * 1024;

/** Starts sampling. `stop` stops the ticks and waits for the samples in progress. */
export function startOutsideProbe(options: OutsideOptions): RunningProbe {
  const writer = newWriter();
  return startProbe({
    probe: "outside",
    firstMs: options.now(),
    intervalMs: options.intervalMs,
    clock: { ...systemTimers, now: options.now },
    limit: () => maxInFlight(options.timeoutMs, options.intervalMs),
    measure: () => write(options, writer),
    emit: options.onSample,
  });
}

/** One sample: whether the guestbook can be reached from this machine. */
export async function checkOutside(target: OutsideTarget): Promise<GoodLine | FailedLine> {
  const line = await sampleOnce("outside", () => write(target, newWriter()), target.now);
  return line as GoodLine | FailedLine; // a write is always judged, and a single sample is never missed
}

function newWriter(): string {
  return `outside-${randomBytes(6).toString("hex")}`;
}

/** Writes one token. @throws the error of axios. */
async function write(target: OutsideTarget, writer: string): Promise<Outcome> {
  const value = tokenOf(target.runId, writer, target.now());
  const { status, data }: AxiosResponse<string> = await withDeadline(target.timeoutMs, (onEnd) => {
    const cancel = new AbortController();
    onEnd(() => cancel.abort());
    return axios.get<string>(urlOf(target), {
      params: { cmd: "set", value },
      signal: cancel.signal,
      httpAgent: freshConnections,
      proxy: false, // ignore an HTTP_PROXY of the user's shell
      maxRedirects: 0,
      maxContentLength: BODY_LIMIT,
      responseType: "text",
      transformResponse: (body: string) => body, // keep the body as text
      validateStatus: () => true,
    });
  });
  return judgeWrite(status, data);
}

function urlOf({ host, port, path }: OutsideTarget): string {
  return `http://${hostInUrl(host)}:${port}${path}`;
}
