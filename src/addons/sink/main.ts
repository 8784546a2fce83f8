/**
 * The sink: where the log agent, the event exporter and the metrics agent of the study add-ons send what they
 * forward, so that it can be asked what has arrived, and when.
 *
 * Bundled into one file without packages for Node 18 or newer (dist/sink.mjs); a ConfigMap delivers it. Everything is
 * kept in memory. It writes no log of what it gets: the log agent would forward that, too.
 *
 *   POST /logs, /events, /metrics   lines of JSON, one object each; all are taken, or (400, with the line) none
 *   GET  /logs?contains=TEXT        {"now", "entries": [{"receivedAt", "seq", …}]}: the newest 200, newest last
 *   GET  /events?contains=TEXT      the same
 *   GET  /metrics/latest            {"now", "count", "entry": {…} | null, "byNode": {NODE: {"receivedAt", "time"}}};
 *                                   count: all that ever arrived
 *   GET  /healthz                   200 as long as the process answers
 *
 * Times that the sink adds are milliseconds since 1970 of its own clock. `seq` counts all entries of all kinds, in
 * the order of their arrival, from 1.
 *
 * Environment: PORT (8080).
 */
import type { AddressInfo } from "node:net";
import { createSinkServer } from "./sink-server.js";
import { Sink } from "./sink.js";

const server = createSinkServer(new Sink());
// Without its port a sink is of no use; the kubelet starts it again.
server.on("error", (error) => {
  console.error(`cannot listen: ${String(error)}`);
  process.exit(1);
});
// As process 1 it would not hear it otherwise.
process.on("SIGTERM", () => process.exit(0));
server.listen(Number(process.env["PORT"] ?? 8080), () => {
  console.log(`sink listens on port ${(server.address() as AddressInfo).port}`);
});
