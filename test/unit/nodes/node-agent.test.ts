import { after } from "../../../src/common/clock.js";
import type { ExecutionContext } from "ava";
import test from "ava";
import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Clock } from "../../../src/common/clock.js";
import { ChaosError, RefusedError } from "../../../src/common/errors.js";
import { packageRoot } from "../../../src/common/package-root.js";
import { openNodeAccess } from "../../../src/nodes/access.js";
import { podAccess } from "../../../src/nodes/pod-access.js";
import { PUBLIC_PODS } from "../../../src/own/pod-spec.js";
import { deployNodeAccess, nodeAccessManifests } from "../../../src/nodes/pod-deploy.js";
import type { FakeApiServer } from "../../helpers/fake-api-server.js";
import { serve, until } from "../../helpers/target-fixtures.js";

const TOKEN = "a-token-of-64-digits";
const PLACE = "/api/v1/namespaces/kube-system-chaos-nodes";

interface Agent {
  readonly url: string;
  readonly tokenFile: string;
}

/** Starts the agent without entering a node: commands run on this machine. */
async function agent(t: ExecutionContext): Promise<Agent> {
  const folder = await mkdtemp(join(tmpdir(), "chaos-agent-"));
  const tokenFile = join(folder, "token");
  await writeFile(tokenFile, `${TOKEN}\n`);
  const port = await freePort();
  const script = join(packageRoot(), "dist/node-agent.mjs");
  const env = { PORT: String(port), TOKEN_FILE: tokenFile, ENTER: "", SECRET_OF_THE_POD: "x" };
  const child = spawn(process.execPath, [script], { env, stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (chunk: Buffer) => (said += chunk.toString()));
  t.teardown(async () => {
    child.kill("SIGKILL");
    await rm(folder, { recursive: true, force: true });
    // The output could contain a token.
    if (said !== "") throw new Error(`the agent printed something: ${said}`);
  });
  const url = `http://127.0.0.1:${port}`;
  for (let tries = 0; tries < 200; tries += 1) {
    const up = await fetch(`${url}/healthz`).then(
      ({ status }) => status === 200,
      () => false,
    );
    if (up) return { url, tokenFile };
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  throw new Error(`the agent did not start: ${said}`);
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === "object" && address !== null ? address.port : 0;
}

async function post(url: string, body: unknown): Promise<{ status: number; body: Record<string, unknown> }> {
  const answer = await fetch(`${url}/exec`, {
    method: "POST",
    body: typeof body === "string" ? body : JSON.stringify(body),
  });
  return { status: answer.status, body: (await answer.json()) as Record<string, unknown> };
}

const ask = (argv: readonly unknown[], timeoutMs: unknown = 5_000): object => ({
  token: TOKEN,
  argv,
  timeoutMs,
});

test("the agent: runs a command, and reports how it ended", async (t) => {
  const { url } = await agent(t);
  t.deepEqual(await post(url, ask(["sh", "-c", "echo out; echo err >&2; exit 3"])), {
    status: 200,
    body: { code: 3, stdout: "out\n", stderr: "err\n" },
  });
  const { body } = await post(url, ask(["env"]));
  t.notRegex(String(body["stdout"]), /SECRET_OF_THE_POD|TOKEN/, "the pod's environment is not the node's");
  t.like(await post(url, ask(["/nowhere/at-all"])), { status: 200, body: { code: null } });
});

test("the agent: refuses a wrong token and an invalid command", async (t) => {
  const { url, tokenFile } = await agent(t);
  for (const token of ["", "wrong", `${TOKEN}x`, undefined, 1, [TOKEN]]) {
    t.is((await post(url, { ...ask(["true"]), token })).status, 401);
  }
  for (const body of [
    ask([]),
    ask(["a", 1]),
    ask(["true"], 0),
    ask(["true"], 1e9),
    { ...ask([]), argv: "true" },
    "{",
    "null",
    "[]",
  ]) {
    t.true([400, 401].includes((await post(url, body)).status), JSON.stringify(body));
  }
  t.is((await post(url, { ...ask(["true"]), padding: "x".repeat(300_000) })).status, 400);
  t.is((await fetch(`${url}/other`)).status, 400);
  // The Secret was recreated.
  await writeFile(tokenFile, "another");
  t.is((await post(url, ask(["true"]))).status, 401);
  await writeFile(tokenFile, "");
  t.is((await post(url, { ...ask(["true"]), token: "" })).status, 401, "an empty token is refused");
});

test("the agent: limits time and output, and kills a command's child processes with it", async (t) => {
  const { url } = await agent(t);
  const startedAt = performance.now();
  const mark = `chaos-agent-${process.pid}-${Math.round(startedAt)}`;
  const slow = await post(url, ask(["sh", "-c", `sleep 30 & echo $!; exec sh -c 'sleep 30' ${mark}`], 300));
  t.true(performance.now() - startedAt < 10_000);
  t.is(slow.body["ended"], "timed out after 300 ms");
  const pid = Number(String(slow.body["stdout"]).trim());
  await until("its child process is gone", () => {
    try {
      process.kill(pid, 0);
      return false;
    } catch {
      return true;
    }
  });
  const long = await post(url, ask(["sh", "-c", "yes"]));
  t.regex(String(long.body["ended"]), /more than 1048576 bytes/);
  t.true(String(long.body["stdout"]).length <= 1024 * 1024);
});

test("the agent: limits the number of concurrent commands", async (t) => {
  const { url } = await agent(t);
  const answers = await Promise.all(
    Array.from({ length: 20 }, async () => await post(url, ask(["sleep", "1"]))),
  );
  const count = (status: number): number => answers.filter((each) => each.status === status).length;
  t.deepEqual([count(200), count(429)], [16, 4]);
});

/** An API server whose pod proxy forwards to an agent. */
async function behindProxy(t: ExecutionContext): Promise<{
  server: FakeApiServer;
  transport: Awaited<ReturnType<typeof serve>>["transport"];
  agent: Agent;
}> {
  const { server, transport } = await serve(t);
  const behind = await agent(t);
  server.put(`${PLACE}/secrets`, {
    metadata: { name: "chaos-node-access" },
    data: { token: Buffer.from(TOKEN).toString("base64") },
  });
  putPod(server, "access-1");
  server.handle("POST", /:8081\/proxy\/exec$/, async ({ path, body }) => {
    const pod = /pods\/([^:]+):/.exec(path)?.[1] ?? "";
    if (server.object(`${PLACE}/pods/${pod}`) === undefined) return { status: 404, body: { kind: "Status" } };
    return await post(behind.url, body);
  });
  return { server, transport, agent: behind };
}

function putPod(server: FakeApiServer, name: string, node = "worker-1"): void {
  server.put(`${PLACE}/pods`, {
    metadata: { name, labels: { app: "chaos-node-access" } },
    spec: { nodeName: node },
    status: { phase: "Running", podIP: "10.244.1.9" },
  });
}

test("through the pod: the output, or why there is none", async (t) => {
  const { server, transport } = await behindProxy(t);
  const access = podAccess(transport);
  t.deepEqual(access.spec, { type: "pod" });
  t.is(await access.exec("worker-1", ["sh", "-c", "echo one; echo two"], 5_000), "one\ntwo");
  t.is(await access.exec("worker-1", ["true"], 5_000), "");
  await t.throwsAsync(access.exec("worker-1", ["sh", "-c", "echo why >&2; exit 4"], 5_000), {
    message: "the privileged pod on worker-1: exit code 4: why",
  });
  await t.throwsAsync(access.exec("worker-1", ["sleep", "9"], 100), {
    message: "the privileged pod on worker-1: timed out after 100 ms",
  });
  await t.throwsAsync(access.exec("worker-2", ["true"], 100), {
    message: /no chaos-node-access pod runs on worker-2/,
  });
  t.is(server.requestsOf("GET", "/secrets/").length, 1, "token and pods are looked up once");
  t.is(server.requestsOf("GET", "/pods").length, 1);
  for (const { path, query, headers } of server.requests) {
    t.notRegex(JSON.stringify([path, query.toString(), headers]), new RegExp(TOKEN), "only in the body");
  }
});

test("through the pod: a replaced pod and a replaced token are looked up again", async (t) => {
  const { server, transport, agent: behind } = await behindProxy(t);
  const access = openNodeAccess({ type: "pod" }, { transport, allowCommands: false });
  await access.exec("worker-1", ["true"], 5_000);
  server.remove(`${PLACE}/pods/access-1`);
  putPod(server, "access-2");
  t.is(await access.exec("worker-1", ["echo", "x"], 5_000), "x");
  await writeFile(behind.tokenFile, "another");
  const data = { token: Buffer.from("another").toString("base64") };
  server.update(`${PLACE}/secrets/chaos-node-access`, { data });
  t.is(await access.exec("worker-1", ["echo", "y"], 5_000), "y");
  await writeFile(behind.tokenFile, "another-token");
  const error = await t.throwsAsync(access.exec("worker-1", ["echo", "z"], 5_000), { message: /HTTP 401/ });
  t.notRegex(error?.message ?? "", /another/, "a token is never in a message");
});

test("manifests: privileged, in the host's PID namespace, on every node, without the token", async (t) => {
  const manifests = await nodeAccessManifests(PUBLIC_PODS);
  t.deepEqual(
    manifests.map(({ kind }) => kind),
    ["Namespace", "ConfigMap", "DaemonSet"],
  );
  const daemonSet = manifests[2]?.spec as {
    template: {
      spec: { hostPID: boolean; tolerations: object[]; containers: { securityContext: object }[] };
    };
  };
  t.like(daemonSet.template.spec, { hostPID: true, tolerations: [{ operator: "Exists" }] });
  t.deepEqual(daemonSet.template.spec.containers[0]?.securityContext, { privileged: true });
  t.regex(manifests[1]?.data?.["node-agent.mjs"] ?? "", /nsenter -t 1 -m -u -i -n -p --/);
});

/** A clock that advances only by sleeping. */
function sleepingClock(onSleep: () => void = () => undefined): Clock {
  let now = 0;
  return {
    now: () => now,
    after,
    wall: () => new Date(now),
    sleep: async (ms) => {
      now += ms;
      await Promise.resolve(onSleep());
    },
  };
}

const DAEMONSET = "/apis/apps/v1/namespaces/kube-system-chaos-nodes/daemonsets/chaos-node-access";

test("deploy: token first, then the pods, until all are ready; a second deployment recreates nothing", async (t) => {
  const { server, transport } = await serve(t);
  const clock = sleepingClock(
    () => void server.update(DAEMONSET, { status: { desiredNumberScheduled: 3, numberReady: 3 } }),
  );
  await deployNodeAccess(transport, clock, PUBLIC_PODS);
  const made = server.requestsOf("POST").map(({ path }) => path.split("/").at(-1));
  t.deepEqual(made, ["namespaces", "secrets", "configmaps", "daemonsets"]);
  const token = (): unknown =>
    (server.object(`${PLACE}/secrets/chaos-node-access`) as { data?: object })?.data;
  const first = structuredClone(token());
  t.regex(Buffer.from((first as { token: string }).token, "base64").toString(), /^[0-9a-f]{64}$/);
  await deployNodeAccess(transport, clock, PUBLIC_PODS);
  t.deepEqual(token(), first);
  t.is(server.requestsOf("DELETE").length, 0);
});

test("deploy: a foreign Secret is refused, and pods that do not become ready are an error", async (t) => {
  const { server, transport } = await serve(t);
  server.put(`${PLACE}/secrets`, { metadata: { name: "chaos-node-access" } });
  await t.throwsAsync(deployNodeAccess(transport, sleepingClock(), PUBLIC_PODS), {
    instanceOf: RefusedError,
  });
  server.remove(`${PLACE}/secrets/chaos-node-access`);
  const never = sleepingClock(
    () => void server.update(DAEMONSET, { status: { desiredNumberScheduled: 3, numberReady: 1 } }),
  );
  await t.throwsAsync(deployNodeAccess(transport, never, PUBLIC_PODS), {
    instanceOf: ChaosError,
    message: /through privileged pods: DaemonSet .*chaos-node-access: its controller has created no pod yet/,
  });
});
