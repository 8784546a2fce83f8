/** The program in the pod of the dead-man's switch. Bundled into one file (scripts/pod-programs.mjs), run by Node 18. */
import { systemClock } from "../../common/clock.js";
import { inClusterTransport } from "./api-access.js";
import { DeadMan } from "./dead-man.js";
import { readinessServer } from "./readyz.js";
import { DEAD_MAN_PORT, settingsFrom } from "./settings.js";

const settings = settingsFrom(process.env);
const clock = systemClock();
const transport = inClusterTransport(settings);
const log = (text: string): void => void process.stdout.write(`${clock.wall().toISOString()} ${text}\n`);
const deadMan = new DeadMan({ transport, clock, settings, log });
const server = readinessServer(() => deadMan.notReady).listen(DEAD_MAN_PORT);

// PID 1 of a container has no default handler for these signals: without this one the kubelet would have to kill it.
const end = new AbortController();
for (const signal of ["SIGTERM", "SIGINT"] as const) {
  process.on(signal, () => {
    log(`${signal}: ending`);
    end.abort();
  });
}

log(`dead-man's switch of ${settings.runId}, API server at ${settings.servers.join(", ")}`);
await deadMan.run(end.signal);
transport.close();
server.close();
server.closeAllConnections();
