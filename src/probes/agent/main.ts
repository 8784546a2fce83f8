/**
 * The prober: samples the application and the layers below it at a fixed rate, from inside the cluster.
 *
 * Bundled into one file without packages for Node 18 or newer (dist/agent.mjs); a ConfigMap delivers it to a pod on
 * each worker. It only connects to the addresses in its plan and answers on its own port. It writes only the two files
 * in DATA_DIR. It does not use the Kubernetes API.
 *
 *   GET    /healthz           200 while the process answers
 *   GET    /clock             {"boot", "t"}: id of this start of the agent, and its monotonic clock, ms
 *   GET    /plan              the current plan, or 404
 *   PUT    /plan (or POST)    starts sampling or changes its plan; 400 with the reason if the plan is invalid
 *   DELETE /plan              stops sampling
 *   GET    /samples?offset=N  complete lines of the sample file from byte N, at most 1 MiB; the header
 *                             x-next-offset is the next N; 416 if the file is shorter than N
 *   POST   /check             {"kind": "tcp" | "http", "ip", "port", "timeoutMs", for http also "path" and "host"}:
 *                             tries one connection; answers {"ok", "ms"} and, for http, "status" and "body"
 *                             (a response is ok whatever its status), or "kind" and "message" of the failure
 *   POST   /log               {"text"}: prints one line on stdout, for the node's log agent
 *
 * Environment: PORT (8080), DATA_DIR (/data), NODE_NAME (the host name), DNS_SERVERS (comma-separated
 * addresses to ask instead of the system's servers).
 */
import { randomBytes } from "node:crypto";
import http from "node:http";
import type { AddressInfo } from "node:net";
import os from "node:os";
import path from "node:path";
import type { OwnLine } from "../../evidence/sample.js";
import { clusterDomain } from "./cluster-domain.js";
import { startCpuWatch, startOwnDelay } from "./own-delay.js";
import { Prober } from "./prober.js";
import { answer, PlanFile } from "./routes.js";
import { SampleFile } from "./sample-file.js";
import { round, systemTimers } from "./schedule.js";

/** Interval for writing buffered lines to the file, ms. */
const FLUSH_EVERY_MS = 200;

const { DATA_DIR = "/data", DNS_SERVERS, NODE_NAME = os.hostname(), PORT = "8080" } = process.env;
const dnsServers = DNS_SERVERS ? DNS_SERVERS.split(",") : undefined;
const boot = randomBytes(6).toString("hex");
const samples = new SampleFile(path.join(DATA_DIR, "samples.ndjson"));
const planFile = new PlanFile(path.join(DATA_DIR, "plan.json"));
samples.append({ boot, t: round(performance.now()), wall: Date.now(), node: NODE_NAME });
const prober = new Prober({
  boot,
  emit: (line) => samples.append(line),
  dnsServers,
  clusterDomain: clusterDomain(),
});

// A late error of one socket must not stop the other samples.
process.on("uncaughtException", (error) => console.error("uncaught:", error));
process.on("unhandledRejection", (error) => console.error("unhandled:", error));
process.on("SIGTERM", () => {
  prober.stop();
  void samples.flush().then(() => process.exit(0));
  setTimeout(() => process.exit(1), 1000); // a disk that hangs
});

const server = http.createServer((request, response) => {
  void answer({ boot, prober, samples, planFile }, request).then(({ status, body, headers }) => {
    // No keep-alive: a kept connection that closes just as the API server's proxy sends a request would fail it.
    const common = { "content-type": "text/plain; charset=utf-8", connection: "close" };
    response.writeHead(status, { ...common, ...headers }).end(body);
  });
});
// Without its port the agent is useless. The kubelet restarts it.
server.on("error", (error) => {
  console.error(`cannot listen: ${String(error)}`);
  process.exit(1);
});
server.listen(Number(PORT), () => {
  const kept = planFile.load();
  if (kept !== undefined) prober.apply(kept);
  setInterval(() => void samples.flush(), FLUSH_EVERY_MS);
  const own = { clock: systemTimers, emit: (line: OwnLine) => samples.append(line) };
  startOwnDelay(own);
  startCpuWatch(own);
  console.log(`prober ${boot} listens on port ${(server.address() as AddressInfo).port}`);
});
