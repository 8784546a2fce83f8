import http from "node:http";
import { Refused } from "./refused.js";
import type { Sink } from "./sink.js";

/** Longest body of a POST, bytes. */
const BODY_LIMIT = 8 * 1024 * 1024;

const TAKES: ReadonlyMap<string, (sink: Sink, body: string) => void> = new Map([
  ["v1/logs", (sink: Sink, body: string) => sink.takeLogs(body)],
  ["v1/metrics", (sink: Sink, body: string) => sink.takeMetrics(body)],
  ["events", (sink: Sink, body: string) => sink.takeEvents(body)],
]);

/** The sink's HTTP server, not yet listening. main.ts lists the requests. */
export function createSinkServer(sink: Sink): http.Server {
  return http.createServer((request, response) => {
    answer(sink, request).then(
      (body) => send(response, 200, body),
      (error: unknown) => {
        const status = error instanceof Refused ? error.status : 500;
        send(response, status, { error: error instanceof Error ? error.message : String(error) });
      },
    );
  });
}

async function answer(sink: Sink, request: http.IncomingMessage): Promise<object> {
  const url = new URL(request.url ?? "/", "http://sink");
  const name = url.pathname.slice(1);
  if (request.method === "POST") {
    const take = TAKES.get(name);
    if (take === undefined) throw unknown(request);
    take(sink, await readBody(request));
    return {};
  }
  request.resume();
  if (request.method !== "GET") throw new Refused(405, "GET or POST");
  if (name === "logs") return sink.logs(url.searchParams.get("contains") ?? "");
  if (name === "events") return sink.events(url.searchParams.get("contains") ?? "");
  if (name === "metrics/latest") return sink.latestPoints();
  if (name === "healthz") return { ok: true };
  throw unknown(request);
}

function unknown(request: http.IncomingMessage): Refused {
  request.resume();
  return new Refused(404, `no such path: ${request.url}`);
}

async function readBody(request: http.IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    // Read the rest too: otherwise the client does not get the answer.
    if (size <= BODY_LIMIT) chunks.push(chunk);
  }
  if (size > BODY_LIMIT) throw new Refused(413, `the body has ${size} bytes; the limit is ${BODY_LIMIT}`);
  return Buffer.concat(chunks).toString("utf8");
}

function send(response: http.ServerResponse, status: number, body: object): void {
  response.writeHead(status, { "content-type": "application/json; charset=utf-8" });
  response.end(`${JSON.stringify(body)}\n`);
}
