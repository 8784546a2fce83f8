/**
 * Asks a Service of the cluster through the API server, which dials one of the Service's pods itself: no kube-proxy
 * and no DNS on the way. What is asked comes out of an experiment file, so the request is built so that it can go
 * nowhere else.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { ApiStream, Transport } from "../kube/transport.js";
import { messageOf } from "../common/errors.js";
import { servicePathProblem, type AskedService } from "../experiment/schema.js";

/** The whole exchange, ms. */
export const SERVICE_TIMEOUT_MS = 2_000;
/**
 * What the API server is asked to see whether it answers: it reads it from etcd, as it does the Service, and every
 * run may read it.
 */
const OWN_QUESTION = "/api/v1/namespaces/kube-system";
/** An answer is read up to here, bytes: its status is what decides. */
const BODY_LIMIT = 64 * 1024;

/** What one question came to. "not known": it did not reach the Service, which says nothing of the application. */
export interface ServiceAnswer {
  readonly state: "good" | "failing" | "not known";
  /** Why it is not good; empty when it is. */
  readonly detail: string;
}

export interface ServiceRequest {
  /** Percent-encoded; begins with `/api/v1/namespaces/…/services/…/proxy/`, and no server can read it otherwise. */
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
}

/**
 * The request for a Service's path. Each part of the path is percent-encoded by itself.
 *
 * @throws RangeError for a path that the experiment's validation refuses: whoever calls this with one has a bug.
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

/** Statuses with which the API server itself refuses to pass a question on. */
const REFUSALS = [401, 403, 429];

/**
 * What an answer says, before anything is known of the API server's own health. Pure.
 *
 * An API server that cannot or will not ask the Service answers with a Status object of its own: that is never
 * good, whatever statuses are, and a refusal (credentials, rights, too many requests) is not about the application.
 */
export function judgeAnswer(status: number, body: string, good: AskedService["status"]): ServiceAnswer {
  const own = status >= 400 ? statusMessage(body) : undefined;
  if (own !== undefined && REFUSALS.includes(status)) {
    return { state: "not known", detail: `the API server refuses to ask: HTTP ${status} ${own}` };
  }
  if (own === undefined && status >= good.from && status <= good.to) return { state: "good", detail: "" };
  return { state: "failing", detail: `HTTP ${status}${own === undefined ? "" : ` ${own}`}` };
}

/** The message of a Kubernetes Status; undefined: the body is none. */
function statusMessage(body: string): string | undefined {
  try {
    const parsed = JSON.parse(body) as { kind?: unknown; apiVersion?: unknown; message?: unknown } | null;
    if (parsed?.kind !== "Status" || parsed.apiVersion !== "v1") return undefined;
    return typeof parsed.message === "string" ? parsed.message.slice(0, 200) : "";
  } catch {
    // No JSON: the application's own answer.
    return undefined;
  }
}

export interface AskOptions {
  /** Ends the question; it then rejects. */
  readonly signal: AbortSignal;
  /** The whole exchange, ms. Default {@link SERVICE_TIMEOUT_MS}. */
  readonly timeoutMs?: number;
}

/**
 * Asks a Service once. What does not go well counts as failing only when the API server, asked right afterwards for
 * something of its own, answers: else the silence may be its own.
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
        detail: `no whole answer within ${timeoutMs} ms`,
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

/** The beginning of a body; more of it is not fetched. */
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

/** Why the API server cannot be said to answer; undefined: it does. */
async function apiServerProblem(
  transport: Transport,
  { signal, timeoutMs = SERVICE_TIMEOUT_MS }: AskOptions,
): Promise<string | undefined> {
  try {
    const request = { method: "GET", path: OWN_QUESTION, timeoutMs, signal, retry: false } as const;
    const { status } = await transport.request(request);
    return status >= 500 || status === 401 || status === 429 ? `HTTP ${status}` : undefined;
  } catch (error) {
    if (signal.aborted) throw error;
    return messageOf(error).slice(0, 200);
  }
}
