/** The readiness endpoint for the kubelet and the runner: whether the switch could restore now. */
import { createServer, type Server } from "node:http";

/** Answers /readyz with 200, or with 503 and the reason. Every other path gets 404. */
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
