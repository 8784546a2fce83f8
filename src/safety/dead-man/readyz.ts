/** What the kubelet, and through it the runner, asks: whether the switch could act now. */
import { createServer, type Server } from "node:http";

/** Answers /readyz: 200, or 503 with the reason. Everything else is not found. */
export function readinessServer(notReady: () => string | undefined): Server {
  return createServer((request, response) => {
    if (request.url !== "/readyz") {
      response.writeHead(404).end();
      return;
    }
    const problem = notReady();
    response.writeHead(problem === undefined ? 200 : 503, { "Content-Type": "text/plain; charset=utf-8" });
    response.end(`${problem ?? "ok"}\n`);
  });
}
