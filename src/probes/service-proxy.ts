/**
 * Sends a GET to a Service through the API server, which connects to one of the Service's pods directly, without
 * kube-proxy and DNS. The path comes from an experiment file, so the request is built so that it cannot reach anything
 * else.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { ApiStream, Transport } from "../kube/transport.js";
import { messageOf } from "../common/errors.js";
import { servicePathProblem, type AskedService } from "../experiment/schema.js";

/** Limit for request and response, ms. */
export const SERVICE_TIMEOUT_MS = 2_000;
/**
 * Request that shows whether the API server answers. It reads this object from etcd, like the Service, and every run may
 * read it.
 */
const HEALTH_PATH = "/api/v1/namespaces/kube-system";
/** How much of a body is read, bytes. Only the status counts. */
const BODY_LIMIT = 64 * 1024;

/** The result of one request. "not known": it did not reach the Service, so it shows nothing about the application. */
export interface ServiceAnswer {
  readonly state: "good" | "failing" | "not known";
  /** Why it is not good; empty if it is. */
  readonly detail: string;
}

export interface ServiceRequest {
  /** Percent-encoded. Starts with `/api/v1/namespaces/…/services/…/proxy/`, and no server can read it differently. */
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
}

/**
 * The request for a path of a Service. Each path segment is percent-encoded separately.
 *
 * @throws RangeError for a path that the validation of experiments refuses: that is a bug of the caller.
 */
export function serviceRequest({ namespace, service, port, path }: AskedService): ServiceRequest {
  const problem = servicePathProblem(path);
  if (problem !== undefined) throw new RangeError(`the path ${JSON.stringify(path)} ${problem}`);
  const [before = "/", query = ""] = path.split("?");
  const inside = before.split("/").map(encodeURIComponent).join("/");
  const name = `${encodeURIComponent(service)}:${encodeURIComponent(port)}`;
  return {
    path: `/api/v1/namespaces/${encodeURIComponent(namespace)}/services/${name}/proxy${inside}`,
    query: Object.fromEntries(new URLSearchParams(query)),
  };
}

/** "GET shop/web:80/healthz". */
export function describeService({ namespace, service, port, path }: AskedService): string {
  return `GET ${namespace}/${service}:${port}${path}`;
}

/** Statuses with which the API server itself refuses to forward a request. */
const REFUSALS = [401, 403, 429];

/**
 * Judges a response, before the API server's health is known. Pure.
 *
 * An API server that cannot forward the request, or refuses to, answers with its own Status object. That is never good,
 * whatever `good` says. A refusal (credentials, rights, too many requests) says nothing about the application.
 */
export function judgeAnswer(status: number, body: string, good: AskedService["status"]): ServiceAnswer {
  const own = status >= 400 ? statusMessage(body) : undefined;
  if (own !== undefined && REFUSALS.includes(status)) {
    return {
      state: "not known",
      detail: `the API server refuses to forward the request: HTTP ${status} ${own}`,
    };
  }
  if (own === undefined && status >= good.from && status <= good.to) return { state: "good", detail: "" };
  return { state: "failing", detail: `HTTP ${status}${own === undefined ? "" : ` ${own}`}` };
}

/** The message of a Kubernetes Status; undefined: the body is not a Status. */
function statusMessage(body: string): string | undefined {
  try {
    const parsed = JSON.parse(body) as { kind?: unknown; apiVersion?: unknown; message?: unknown } | null;
    if (parsed?.kind !== "Status" || parsed.apiVersion !== "v1") return undefined;
    return typeof parsed.message === "string" ? parsed.message.slice(0, 200) : "";
  } catch {
    // Not JSON: the application's response.
    return undefined;
  }
}

export interface AskOptions {
  /** Cancels the request, which then rejects. */
  readonly signal: AbortSignal;
  /** Limit for request and response, ms. Default: {@link SERVICE_TIMEOUT_MS}. */
  readonly timeoutMs?: number;
}

/**
 * Sends one request to a Service. A bad result counts as failing only if the API server then answers a request of its own;
 * otherwise the fault may be in the API server.
 */
export async function askService(
  transport: Transport,
  asked: AskedService,
  options: AskOptions,
): Promise<ServiceAnswer> {
  const answer = await firstAnswer(transport, asked, options);
  if (answer.state !== "failing") return answer;
  const silent = await apiServerProblem(transport, options);
  if (silent === undefined) return answer;
  return { state: "not known", detail: `the API server does not answer: ${silent}` };
}

async function firstAnswer(
  transport: Transport,
  asked: AskedService,
  { signal, timeoutMs = SERVICE_TIMEOUT_MS }: AskOptions,
): Promise<ServiceAnswer> {
  const timer = new AbortController();
  const limit = AbortSignal.any([signal, timer.signal]);
  try {
    return await Promise.race([
      answerOf(transport, asked, { signal: limit, timeoutMs }),
      delay(timeoutMs, undefined, { signal: limit }).then((): ServiceAnswer => ({
        state: "failing",
        detail: `no complete answer within ${timeoutMs} ms`,
      })),
    ]);
  } finally {
    timer.abort();
  }
}

async function answerOf(
  transport: Transport,
  asked: AskedService,
  options: Required<AskOptions>,
): Promise<ServiceAnswer> {
  try {
    const response = await transport.stream({ method: "GET", ...serviceRequest(asked), ...options });
    return judgeAnswer(response.status, await bounded(response), asked.status);
  } catch (error) {
    if (options.signal.aborted) throw error;
    return { state: "failing", detail: messageOf(error).slice(0, 200) };
  }
}

/** The start of a body. The rest is not fetched. */
async function bounded({ stream }: ApiStream): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of stream) {
    chunks.push(chunk as Buffer);
    length += (chunk as Buffer).length;
    if (length >= BODY_LIMIT) break;
  }
  return Buffer.concat(chunks).toString("utf8");
}

/** Why the API server does not answer; undefined: it does. */
async function apiServerProblem(
  transport: Transport,
  { signal, timeoutMs = SERVICE_TIMEOUT_MS }: AskOptions,
): Promise<string | undefined> {
  try {
    const request = { method: "GET", path: HEALTH_PATH, timeoutMs, signal, retry: false } as const;
    const { status } = await transport.request(request);
    return status >= 500 || status === 401 || status === 429 ? `HTTP ${status}` : undefined;
  } catch (error) {
    if (signal.aborted) throw error;
    return messageOf(error).slice(0, 200);
  }
}
