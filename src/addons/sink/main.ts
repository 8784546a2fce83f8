/**
 * The sink: receives what the log agent, the event exporter and the metrics agent of the study add-ons forward, and
 * reports what has arrived and when.
 *
 * Bundled into one file without packages for Node 18 or newer (dist/sink.mjs); a ConfigMap delivers it. Keeps
 * everything in memory. Does not log what it receives: the log agent would forward those lines too.
 *
 *   POST /v1/logs, /v1/metrics      OTLP/HTTP with JSON (see otlp.ts); answers {}
 *   POST /events                    lines of JSON, one Event each; accepts all or (400, with the line) none
 *   GET  /logs?contains=TEXT        {"now", "entries": [{"receivedAt", "seq", …}]}: the newest 200, newest last
 *   GET  /events?contains=TEXT      the same
 *   GET  /metrics/latest            {"now", "count", "byNode": {NODE: {"receivedAt", "time"}}}; count: all points of
 *                                   nodes that have ever arrived; time: nanoseconds since 1970
 *   GET  /healthz                   200 while the process runs
 *
 * Times that the sink adds are milliseconds since 1970 by its own clock. `seq` numbers logs and Events in
 * order of arrival, from 1.
 *
 * Environment: PORT (8080).
 */
import type { AddressInfo } from "node:net";
import { createSinkServer } from "./sink-server.js";
import { Sink } from "./sink.js";

const server = createSinkServer(new Sink());
// Without its port the sink is useless: exit, so that the kubelet restarts it.
server.on("error", (error) => {
  console.error(`cannot listen: ${String(error)}`);
  process.exit(1);
});
// As process 1 it ignores SIGTERM without a handler.
process.on("SIGTERM", () => process.exit(0));
server.listen(Number(process.env["PORT"] ?? 8080), () => {
  console.log(`sink listens on port ${(server.address() as AddressInfo).port}`);
});
