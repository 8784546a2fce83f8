import http from "node:http";
import { Refused, type Sink } from "./sink.js";

/** Longest body of a POST, bytes. */
const BODY_LIMIT = 8 * 1024 * 1024;

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
    if (name !== "logs" && name !== "events" && name !== "metrics") throw unknown(request);
    return { taken: sink.take(name, await readBody(request)) };
  }
  request.resume();
  if (request.method !== "GET") throw new Refused(405, "GET or POST");
  if (name === "logs" || name === "events") return sink.entries(name, url.searchParams.get("contains") ?? "");
  if (name === "metrics/latest") return sink.latestMetric();
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
