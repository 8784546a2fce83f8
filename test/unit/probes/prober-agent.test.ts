/** The agent as in the cluster: a separate process, with its plan and samples over HTTP. */
import test, { type ExecutionContext } from "ava";
import axios, { type AxiosResponse } from "axios";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { packageRoot } from "../../../src/common/package-root.js";
import type { AgentProbe, ProberPlan } from "../../../src/probes/prober-plan.js";
import type { BootLine, SampleLine } from "../../../src/evidence/sample.js";
import {
  closedPort,
  Guestbook,
  LocalDns,
  LocalHttp,
  LocalRedis,
  PHP_ERROR,
  silentPort,
  until,
} from "../../helpers/prober-servers.js";

const AGENT = path.join(packageRoot(), "dist/agent.mjs");

/** An agent under test. Its folder survives restarts. */
class Agent {
  #child: ChildProcess | undefined;
  #url = "";
  #offset = 0;
  readonly lines: SampleLine[] = [];
  /** Its whole output. */
  stdout = "";

  constructor(
    readonly folder: string,
    readonly program: string,
    readonly env: Record<string, string> = {},
  ) {}

  async start(): Promise<void> {
    const child = spawn(process.execPath, [this.program], {
      env: { PATH: process.env.PATH, PORT: "0", DATA_DIR: this.folder, NODE_NAME: "worker-1", ...this.env },
      stdio: ["ignore", "pipe", "inherit"],
    });
    this.#child = child;
    child.stdout.on("data", (chunk: Buffer) => (this.stdout += chunk.toString()));
    const [chunk] = (await once(child.stdout, "data")) as [Buffer];
    const port = /listens on port (\d+)/.exec(chunk.toString())?.[1];
    this.#url = `http://127.0.0.1:${port}`;
  }

  async end(signal: "SIGTERM" | "SIGKILL"): Promise<number | null> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return null;
    const exit = once(child, "exit") as Promise<[number | null]>;
    child.kill(signal);
    return (await exit)[0];
  }

  ask(method: string, pathAndQuery: string, data?: unknown): Promise<AxiosResponse<string>> {
    return axios.request<string>({
      method,
      url: this.#url + pathAndQuery,
      data,
      headers: { "content-type": "application/json" },
      proxy: false,
      responseType: "text",
      transformResponse: (body: string) => body,
      validateStatus: () => true,
    });
  }

  /** Fetches the new lines, as the runner does, without the agent's own delay: the machine may be busy. */
  async collect(): Promise<void> {
    const answer = await this.ask("GET", `/samples?offset=${this.#offset}`);
    if (answer.status !== 200) throw new Error(`${answer.status} ${answer.data}`);
    this.#offset = Number(answer.headers["x-next-offset"]);
    const lines = answer.data
      .split("\n")
      .slice(0, -1)
      .map((text) => JSON.parse(text) as SampleLine);
    this.lines.push(...lines.filter((line) => !("own" in line)));
  }

  boots(): BootLine[] {
    return this.lines.filter((line): line is BootLine => "boot" in line);
  }

  /** Forgets earlier lines and waits until each of `probes` has a line that matches `{ ok, kind }`. */
  async shows(shape: { ok: boolean; kind?: string }, probes: readonly AgentProbe[]): Promise<void> {
    await this.collect();
    this.lines.length = 0;
    const missing = (): AgentProbe[] =>
      probes.filter(
        (probe) =>
          !this.lines.some(
            (line) =>
              "ok" in line &&
              line.probe === probe &&
              line.ok === shape.ok &&
              (line.ok || line.kind === shape.kind),
          ),
      );
    await until(`${JSON.stringify(shape)} of ${probes.join(", ")}`, async () => {
      await this.collect();
      return missing().length === 0;
    }).catch((error: Error) => {
      throw new Error(`${error.message}; without: ${missing().join(", ")}`);
    });
  }
}

function newAgent(t: ExecutionContext, env?: Record<string, string>, program = AGENT): Agent {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "prober-agent-"));
  const agent = new Agent(folder, program, env);
  t.teardown(async () => {
    await agent.end("SIGKILL");
    fs.rmSync(folder, { recursive: true });
  });
  return agent;
}

const PLAN: ProberPlan = {
  runId: "run-1",
  interval: 50,
  timeout: 1000,
  tcpTimeout: 900,
  searchInterval: 1000,
  probes: {},
};

const APP_PROBES = ["app-write", "app-read", "app-write-env", "app-read-env"] as const;

test("every probe measures, reports the kind of its fault, and continues after a restart", async (t) => {
  const guestbook = await Guestbook.start();
  const dns = await LocalDns.start();
  const redis = await LocalRedis.start();
  t.teardown(() => {
    for (const server of [guestbook, dns, redis]) server.close();
  });
  const agent = newAgent(t, { DNS_SERVERS: dns.address });
  await agent.start();

  const app = { frontends: [{ name: "frontend-a", ...guestbook.endpoint }], path: "/guestbook.php" };
  const plan: ProberPlan = {
    ...PLAN,
    probes: {
      "app-write": app,
      "app-read": app,
      "app-write-env": app,
      "app-read-env": app,
      "http-service": { ...guestbook.endpoint, path: "/" },
      "http-service-reused": { ...guestbook.endpoint, path: "/" },
      "dns-internal": { name: "redis-leader.guestbook.svc.cluster.local" },
      "dns-same-socket": { name: "redis-leader.guestbook.svc.cluster.local" },
      "dns-external": { name: "example.com" },
      "dns-search": { name: "localhost" },
      "tcp-service": redis.endpoint,
      "tcp-pod": redis.endpoint,
      "tcp-long-lived": redis.endpoint,
    },
  };
  const all = Object.keys(plan.probes) as AgentProbe[];
  t.is((await agent.ask("PUT", "/plan", plan)).status, 200);
  t.deepEqual(JSON.parse((await agent.ask("GET", "/plan")).data), plan);

  await until("the first line", async () => {
    await agent.collect();
    return agent.lines.length > 0;
  });
  const boot = agent.boots()[0];
  t.is(agent.lines[0], boot, "the first line says which boot it is");
  t.is(boot?.node, "worker-1");
  const clock = JSON.parse((await agent.ask("GET", "/clock")).data) as { boot: string; t: number };
  t.is(clock.boot, boot?.boot ?? "none");
  t.true(clock.t > (boot?.t ?? Infinity));
  await agent.shows({ ok: true }, all);
  t.truthy(agent.lines.find((line) => "target" in line && line.target === "frontend-a"));

  guestbook.fault = (_url, response) => response.end(PHP_ERROR);
  dns.answer = "SERVFAIL";
  redis.onPing = (socket) => socket.resetAndDestroy();
  await agent.shows({ ok: false, kind: "bad-body" }, APP_PROBES);
  await agent.shows({ ok: false, kind: "servfail" }, ["dns-internal", "dns-same-socket", "dns-external"]);
  await agent.shows({ ok: false, kind: "reset" }, ["tcp-long-lived"]);
  await agent.shows({ ok: true }, ["http-service", "http-service-reused", "tcp-pod"]); // status 200 is all they ask for
  dns.answer = "NXDOMAIN";
  guestbook.fault = (_url, response) => response.writeHead(500).end();
  await agent.shows({ ok: false, kind: "nxdomain" }, ["dns-internal", "dns-same-socket", "dns-external"]);
  await agent.shows({ ok: false, kind: "http-status" }, [
    ...APP_PROBES,
    "http-service",
    "http-service-reused",
  ]);

  // New targets: probes that are not in the plan are not measured any more.
  const nobody = await closedPort();
  const moved = { ...plan, probes: { "tcp-pod": nobody, "tcp-long-lived": nobody } };
  t.is((await agent.ask("POST", "/plan", moved)).status, 200);
  await agent.shows({ ok: false, kind: "refused" }, ["tcp-pod", "tcp-long-lived"]);

  // After SIGKILL and a restart: a new boot line, the same file and the same plan.
  await agent.end("SIGKILL");
  await agent.start();
  await agent.shows({ ok: false, kind: "refused" }, ["tcp-pod", "tcp-long-lived"]);
  const file = fs.readFileSync(path.join(agent.folder, "samples.ndjson"), "utf8");
  const written = file
    .split("\n")
    .slice(0, -1)
    .map((text) => JSON.parse(text) as SampleLine);
  const boots = written.filter((line) => "boot" in line);
  t.is(boots.length, 2);
  t.not(boots[0]?.boot, boots[1]?.boot);

  // SIGTERM flushes the lines in memory.
  await agent.collect();
  t.is(await agent.end("SIGTERM"), 0);
  t.true(fs.readFileSync(path.join(agent.folder, "samples.ndjson"), "utf8").endsWith("\n"));
});

test("a bad request gets its reason, and nothing starts", async (t) => {
  const agent = newAgent(t);
  await agent.start();
  const refusal = async (body: unknown): Promise<[number, string]> => {
    const { status, data } = await agent.ask("PUT", "/plan", body);
    return [status, data];
  };
  t.deepEqual(await refusal({ ...PLAN, interval: 1 }), [
    400,
    "plan.interval must be a whole number from 50 to 60000",
  ]);
  t.like(await refusal("{"), { 0: 400 });
  t.is((await agent.ask("GET", "/plan")).status, 404);
  t.deepEqual(fs.readdirSync(agent.folder), ["samples.ndjson"]);
  t.is((await agent.ask("GET", "/nowhere")).status, 404);
  t.is((await agent.ask("GET", "/samples?offset=-1")).status, 400);
  t.is((await agent.ask("GET", "/samples?offset=1000000")).status, 416);
  const healthz = await agent.ask("GET", "/healthz");
  t.is(healthz.status, 200);
  t.like(JSON.parse(healthz.data), { runId: null, lost: 0 });
});

test("DELETE stops sampling, also after a restart", async (t) => {
  const agent = newAgent(t);
  await agent.start();
  const target = await closedPort();
  await agent.ask("PUT", "/plan", { ...PLAN, probes: { "tcp-pod": target } });
  await agent.shows({ ok: false, kind: "refused" }, ["tcp-pod"]);
  t.is((await agent.ask("DELETE", "/plan")).status, 200);
  await new Promise((resolve) => setTimeout(resolve, 100)); // the sample that was under way
  await agent.collect();
  const { length } = agent.lines;
  await new Promise((resolve) => setTimeout(resolve, 200));
  await agent.collect();
  t.is(agent.lines.length, length);
  await agent.end("SIGTERM");
  await agent.start();
  await new Promise((resolve) => setTimeout(resolve, 200));
  await agent.collect();
  t.is(agent.lines.length, length + 1, "the boot line only");
});

test("the agent starts despite a damaged saved plan", async (t) => {
  const agent = newAgent(t);
  fs.writeFileSync(path.join(agent.folder, "plan.json"), '{"runId":');
  fs.writeFileSync(path.join(agent.folder, "samples.ndjson"), '{"probe":"tcp-pod","t":1');
  await agent.start();
  await agent.collect();
  t.is(agent.lines.length, 1);
  t.is(agent.boots().length, 1);
});

test("a check tries one connection and reports any result", async (t) => {
  const web = await LocalHttp.start((url, response) => {
    if (url.pathname === "/long") response.writeHead(404).end("x".repeat(1000));
    else if (url.pathname === "/reset") response.socket?.resetAndDestroy();
    else if (url.pathname !== "/silence") response.end(`hello ${url.pathname}`);
  });
  const dropped = await silentPort();
  t.teardown(() => {
    web.close();
    dropped.close();
  });
  const agent = newAgent(t);
  await agent.start();
  const check = async (body: object): Promise<Record<string, unknown>> => {
    const { status, data } = await agent.ask("POST", "/check", { timeoutMs: 5000, ...body });
    t.is(status, 200, data);
    return JSON.parse(data) as Record<string, unknown>;
  };
  const http = { kind: "http", ...web.endpoint };
  const good = await check({ ...http, path: "/a" });
  t.like(good, { ok: true, status: 200, body: "hello /a" });
  t.true(typeof good.ms === "number" && good.ms > 0);
  t.like(await check(http), { ok: true, body: "hello /" });
  // Any response is ok: the runner judges it. The start of the body is enough.
  t.like(await check({ ...http, path: "/long" }), { ok: true, status: 404, body: "x".repeat(200) });
  t.like(await check({ ...http, path: "/reset" }), { ok: false, kind: "reset" });
  t.like(await check({ ...http, path: "/silence", timeoutMs: 100 }), {
    ok: false,
    kind: "timeout",
    message: "no answer within 100 ms",
  });
  const tcp = await check({ kind: "tcp", ...web.endpoint });
  t.deepEqual(Object.keys(tcp).sort(), ["ms", "ok"]);
  t.true(tcp.ok);
  t.like(await check({ kind: "tcp", ...(await closedPort()) }), { ok: false, kind: "refused" });
  t.like(await check({ kind: "tcp", ...dropped.endpoint, timeoutMs: 100 }), { ok: false, kind: "timeout" });
  t.deepEqual(fs.readdirSync(agent.folder), ["samples.ndjson"]);
  await agent.collect();
  t.is(agent.lines.length, 1, "it is no sample");
});

test("a check sends the given Host header", async (t) => {
  const hosts: (string | undefined)[] = [];
  const web = await LocalHttp.start((_url, response) => {
    hosts.push(response.req.headers.host);
    response.end();
  });
  t.teardown(() => web.close());
  const agent = newAgent(t);
  await agent.start();
  const check = { kind: "http", ...web.endpoint, timeoutMs: 5000 };
  await agent.ask("POST", "/check", { ...check, host: "unknown.example" });
  await agent.ask("POST", "/check", check);
  t.deepEqual(hosts, ["unknown.example", `127.0.0.1:${web.endpoint.port}`]);
});

test("the number of parallel checks is limited", async (t) => {
  const web = await LocalHttp.start(() => undefined);
  t.teardown(() => web.close());
  const agent = newAgent(t);
  await agent.start();
  const check = { kind: "http", ...web.endpoint, timeoutMs: 3000 };
  const answers = Array.from({ length: 32 }, () => agent.ask("POST", "/check", check));
  await until("all are in progress", () => web.requests.length === 32);
  t.is((await agent.ask("POST", "/check", check)).status, 429);
  web.close();
  t.true((await Promise.all(answers)).every(({ status }) => status === 200));
  t.is((await agent.ask("POST", "/check", check)).status, 200);
});

test("an invalid check is refused with the reason", async (t) => {
  const agent = newAgent(t);
  await agent.start();
  const check = { kind: "http", ip: "127.0.0.1", port: 80, timeoutMs: 1000 };
  const refused: [object, string][] = [
    [{ ...check, kind: "udp" }, 'check.kind must be "tcp" or "http"'],
    [{ ...check, ip: "localhost" }, "check.ip must be an IP address"],
    [{ ...check, port: 0 }, "check.port must be a whole number from 1 to 65535"],
    [{ ...check, timeoutMs: 10_001 }, "check.timeoutMs must be a whole number from 50 to 10000"],
    [{ ...check, timeoutMs: undefined }, "check.timeoutMs is missing"],
    [
      { ...check, path: "/a b\r\nx: y" },
      "check.path must be a path that starts with '/' and has no query or space",
    ],
    [{ ...check, host: "a\r\nb" }, "check.host must be a DNS name"],
    [{ ...check, method: "POST" }, "check.method is unknown"],
  ];
  for (const [body, reason] of refused) {
    const { status, data } = await agent.ask("POST", "/check", body);
    t.deepEqual([status, data], [400, reason]);
  }
});

test("POST /log prints one line on stdout and refuses text that is not one line", async (t) => {
  const agent = newAgent(t);
  await agent.start();
  t.is((await agent.ask("POST", "/log", { text: "chaos-log-1 on node worker." })).status, 200);
  await until("it is printed", () => agent.stdout.includes("chaos-log-1 on node worker.\n"));
  for (const text of ["", "a\nb", "a\u0007", "\u001b[31m", "é", "x".repeat(501), 7]) {
    const { status, data } = await agent.ask("POST", "/log", { text });
    t.deepEqual([status, data], [400, "log.text must be 1 to 500 printable ASCII characters"]);
  }
  t.is((await agent.ask("POST", "/log", { text: "x", more: 1 })).status, 400);
  t.is((await agent.ask("POST", "/log", "no JSON")).status, 400);
  t.is((await agent.ask("GET", "/log")).status, 404);
  t.is(agent.stdout.split("\n").length, 3, "the first line, the printed one, and the end");
});

test("the agent starts from a ConfigMap, where its file is a link to a link", async (t) => {
  const mount = fs.mkdtempSync(path.join(os.tmpdir(), "prober-mount-"));
  t.teardown(() => fs.rmSync(mount, { recursive: true }));
  fs.mkdirSync(path.join(mount, "..2024"));
  fs.copyFileSync(AGENT, path.join(mount, "..2024", "agent.mjs"));
  fs.symlinkSync("..2024", path.join(mount, "..data"));
  fs.symlinkSync(path.join("..data", "agent.mjs"), path.join(mount, "agent.mjs"));
  const agent = newAgent(t, {}, path.join(mount, "agent.mjs"));
  await agent.start();
  t.is((await agent.ask("GET", "/healthz")).status, 200);
});

test("the agent easily fits into a ConfigMap", (t) => {
  t.true(fs.statSync(AGENT).size < 200_000);
});
