import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import type { ExecutionContext } from "ava";
import { identityOf } from "../../../src/kube/authentication.js";
import { connect } from "../../../src/kube/connect.js";
import { cachedCredentials } from "../../../src/kube/credentials.js";
import { pluginOf } from "../../../src/kube/exec-plugin.js";
import { clusterAccess } from "../../../src/kube/kubeconfig/access.js";
import { sleep } from "../../../src/common/clock.js";
import { ChaosError, ExitCode, messageOf, UsageError } from "../../../src/common/errors.js";
import { FakeApiServer } from "../../helpers/fake-api-server.js";

const SECRET = "s3cr3t-t0ken";
const TSX = import.meta.resolve("tsx");

interface Files {
  readonly server: FakeApiServer;
  readonly folder: string;
  /** Writes a kubeconfig whose user is this; its path. */
  readonly kubeconfig: (user: object, more?: object) => string;
}

async function setUp(t: ExecutionContext): Promise<Files> {
  const server = await FakeApiServer.start();
  const folder = mkdtempSync(join(tmpdir(), "connect-test-"));
  t.teardown(async () => {
    rmSync(folder, { recursive: true });
    await server.close();
  });
  return {
    server,
    folder,
    kubeconfig: (user, more = {}) => {
      const path = join(folder, "kubeconfig");
      const config = {
        "current-context": "one",
        clusters: [{ name: "c", cluster: { server: server.url } }],
        users: [{ name: "u", user }],
        contexts: [
          { name: "one", context: { cluster: "c", user: "u" } },
          { name: "two", context: { cluster: "missing", user: "u" } },
        ],
        ...more,
      };
      writeFileSync(path, JSON.stringify(config));
      return path;
    },
  };
}

const authorization = (server: FakeApiServer): (string | undefined)[] =>
  server.requests.map((request) => request.headers.authorization);

test("a token, and the connection's server and context", async (t) => {
  const { server, kubeconfig } = await setUp(t);
  const kubeconfigPath = kubeconfig({ token: SECRET });
  const connection = await connect({ kubeconfigPath, userAgent: "t" });
  t.like(connection, { server: server.url, context: "one", kubeconfigPath });
  await connection.transport.json({ method: "GET", path: "/version" });
  t.deepEqual(authorization(server), [`Bearer ${SECRET}`]);
  connection.transport.close();
});

test("name and password", async (t) => {
  const { server, kubeconfig } = await setUp(t);
  const { transport } = await connect({
    kubeconfigPath: kubeconfig({ username: "a", password: "b" }),
    userAgent: "t",
  });
  await transport.json({ method: "GET", path: "/version" });
  t.deepEqual(authorization(server), ["Basic YTpi"]);
  transport.close();
});

test("bad usage: no such file, context or cluster; the error lists the contexts", async (t) => {
  const { folder, kubeconfig } = await setUp(t);
  const kubeconfigPath = kubeconfig({});
  const cases: [{ kubeconfigPath: string; context?: string }, RegExp][] = [
    [{ kubeconfigPath: join(folder, "none") }, /there is no such file/],
    [{ kubeconfigPath, context: "three" }, /no context "three" in .*It has: "one", "two"/],
    [{ kubeconfigPath, context: "two" }, /names the cluster "missing"/],
    [
      { kubeconfigPath: kubeconfig({}, { "current-context": "" }) },
      /no current context .*It has: "one", "two"/,
    ],
  ];
  for (const [options, expected] of cases.slice(0, 3)) {
    const error = await t.throwsAsync(connect({ ...options, userAgent: "t" }), { instanceOf: UsageError });
    t.regex(messageOf(error), expected);
    t.is(error?.exitCode, ExitCode.usage);
  }
  const last = cases[3];
  if (last !== undefined)
    t.regex(messageOf(await t.throwsAsync(connect({ ...last[0], userAgent: "t" }))), last[1]);
});

test("a kubeconfig that is not YAML: the error has the line but no quote", async (t) => {
  const { folder } = await setUp(t);
  const kubeconfigPath = join(folder, "bad");
  writeFileSync(kubeconfigPath, `users:\n- user: {token: "${SECRET}\n`);
  const error = await t.throwsAsync(connect({ kubeconfigPath, userAgent: "t" }), { instanceOf: UsageError });
  t.regex(messageOf(error), /bad:\d: .*not valid YAML/);
  t.notRegex(`${messageOf(error)}${error?.stack}`, new RegExp(SECRET));
});

/** A plugin that records each start in a file, then runs the script. */
function plugin(folder: string, script: string): { exec: object; starts: () => number } {
  const log = join(folder, "starts");
  writeFileSync(log, "");
  const code = `require("fs").appendFileSync(${JSON.stringify(log)}, "x");${script}`;
  const exec = {
    apiVersion: "client.authentication.k8s.io/v1",
    command: process.execPath,
    args: ["-e", code],
    interactiveMode: "Never",
  };
  return { exec, starts: () => readFileSync(log, "utf8").length };
}

test("a credential plugin runs once for many requests, and gets KUBERNETES_EXEC_INFO", async (t) => {
  const { server, folder, kubeconfig } = await setUp(t);
  const { exec, starts } = plugin(
    folder,
    `const { apiVersion, kind } = JSON.parse(process.env.KUBERNETES_EXEC_INFO);
     console.log(JSON.stringify({ apiVersion, kind, status: { token: "t" } }));`,
  );
  const { transport } = await connect({ kubeconfigPath: kubeconfig({ exec }), userAgent: "t" });
  const call = (): Promise<unknown> => transport.json({ method: "GET", path: "/version" });
  await Promise.all([call(), call(), call()]);
  t.is(starts(), 1);
  t.deepEqual(authorization(server), ["Bearer t", "Bearer t", "Bearer t"]);
  transport.close();
});

test("a plugin that fails, prints noise or does not exist: the command, its exit code, the hint; no secret", async (t) => {
  const { folder, kubeconfig } = await setUp(t);
  const hint = { installHint: "Get it:\n  brew install x\u001b[31m" };
  const said = async (exec: object, exitCode: ExitCode): Promise<string> => {
    const options = { kubeconfigPath: kubeconfig({ exec: { ...exec, ...hint } }), userAgent: "t" };
    const error = await t.throwsAsync(connect(options), { instanceOf: ChaosError });
    t.is(error?.exitCode, exitCode);
    t.notRegex(`${messageOf(error)}${error?.stack}`, new RegExp(SECRET));
    return messageOf(error);
  };
  const failing = plugin(folder, `process.exit(7)`).exec;
  t.regex(
    await said(failing, 4),
    /plugin .*node of .*kubeconfig: user "u" failed with exit code 7.*Get it: brew install x\\u\{1b\}\[31m/,
  );
  t.regex(
    await said(plugin(folder, `process.kill(process.pid, "SIGTERM")`).exec, 4),
    /failed with signal SIGTERM/,
  );
  t.regex(
    await said(plugin(folder, `console.log("${SECRET}")`).exec, 4),
    /bytes that are not JSON \(exit code 0\)/,
  );
  const answers: [object, RegExp][] = [
    [{ kind: "Pod" }, /no ExecCredential/],
    [
      { kind: "ExecCredential", apiVersion: "client.authentication.k8s.io/v1beta1" },
      /but the kubeconfig asks for .*\/v1/,
    ],
    [credential({}), /neither a token nor a client certificate/],
    [credential({ clientKeyData: SECRET }), /without its key, or a key without it/],
    [credential({ token: 5 }), /not text/],
    [credential({ token: "t", expirationTimestamp: "soon" }), /expirationTimestamp that is not a time/],
    [
      credential({ clientCertificateData: SECRET, clientKeyData: SECRET }),
      /printed an invalid certificate or key/,
    ],
  ];
  for (const [answer, expected] of answers) {
    const { exec } = plugin(folder, `console.log(${JSON.stringify(JSON.stringify(answer))})`);
    t.regex(await said(exec, expected.source.includes("invalid certificate") ? 3 : 4), expected);
  }
  t.regex(
    await said({ ...failing, command: "no-such-plugin" }, 3),
    /cannot run .*no-such-plugin.*no such program.*Get it/,
  );
  t.regex(await said({ ...failing, command: "./no-such" }, 3), new RegExp(`${folder}/no-such of`));
  writeFileSync(join(folder, "text"), "");
  t.regex(await said({ ...failing, command: "./text" }, 3), /it is not executable/);
  if (process.stdin.isTTY !== true)
    t.regex(await said({ ...failing, interactiveMode: "Always" }, 3), /standard input is no terminal/);
});

function credential(status: object): object {
  return { kind: "ExecCredential", apiVersion: "client.authentication.k8s.io/v1", status };
}

test("a plugin gets its variables, and the cluster with provideClusterInfo", async (t) => {
  const { folder, kubeconfig, server } = await setUp(t);
  const file = join(folder, "info");
  const { exec } = plugin(
    folder,
    `require("fs").writeFileSync(${JSON.stringify(file)}, process.env.A + process.env.KUBERNETES_EXEC_INFO);
     console.log(${JSON.stringify(JSON.stringify(credential({ token: "t" })))});`,
  );
  const extensions = [{ name: "client.authentication.k8s.io/exec", extension: { audience: "x" } }];
  const clusters = [{ name: "c", cluster: { server: server.url, "tls-server-name": "n", extensions } }];
  const more = { ...exec, provideClusterInfo: true, env: [{ name: "A", value: "a" }] };
  const { transport } = await connect({
    kubeconfigPath: kubeconfig({ exec: more }, { clusters }),
    userAgent: "t",
  });
  transport.close();
  const text = readFileSync(file, "utf8");
  t.is(text[0], "a");
  t.deepEqual(JSON.parse(text.slice(1)), {
    kind: "ExecCredential",
    apiVersion: "client.authentication.k8s.io/v1",
    spec: {
      interactive: false,
      cluster: { server: server.url, "tls-server-name": "n", config: { audience: "x" } },
    },
  });
});

test("two connections share a plugin's run; expired or refused credentials start it again", async (t) => {
  const { server, folder, kubeconfig } = await setUp(t);
  const { exec, starts } = plugin(
    folder,
    `const n = require("fs").readFileSync(${JSON.stringify(join(folder, "starts"))}, "utf8").length;
     const past = n === 2 ? { expirationTimestamp: "2001-01-01T00:00:00Z" } : {};
     console.log(JSON.stringify({ kind: "ExecCredential", apiVersion: "client.authentication.k8s.io/v1",
       status: { token: "t" + n, ...past } }));`,
  );
  const options = { kubeconfigPath: kubeconfig({ exec }), userAgent: "t" };
  const [one, two] = [await connect(options), await connect(options)];
  t.is(starts(), 1);
  const call = async (): Promise<unknown> => await one.transport.json({ method: "GET", path: "/version" });
  await call();
  // Refused credentials that are just fetched are not fetched again (5 s): a new connection fetches them.
  server.handle("GET", /version/, (request) =>
    request.headers.authorization === "Bearer t1" ? { status: 401 } : undefined,
  );
  await t.throwsAsync(call());
  t.is(starts(), 1);
  const { user } = await clusterAccess({ ...options, env: {} });
  if (user.exec !== undefined)
    pluginOf({ exec: user.exec, userWords: "", cluster: undefined, env: {} }).forget();
  const three = await connect(options);
  t.is(starts(), 2);
  // The second run's credentials have expired, so the next connection runs the plugin a third time.
  const four = await connect(options);
  t.is(starts(), 3);
  await four.transport.json({ method: "GET", path: "/version" });
  t.deepEqual(authorization(server).at(-1), "Bearer t3");
  for (const { transport } of [one, two, three, four]) transport.close();
});

test("a signal ends a plugin that waits, also one that ignores SIGTERM, with exit code 130", async (t) => {
  const { folder, kubeconfig } = await setUp(t);
  for (const ignore of ["", `process.on("SIGTERM", () => {});`]) {
    const pidFile = join(folder, `pid${ignore.length}`);
    const { exec } = plugin(
      folder,
      `${ignore} require("fs").writeFileSync(${JSON.stringify(pidFile)}, String(process.pid)); setInterval(() => {}, 1e6);`,
    );
    const controller = new AbortController();
    const connecting = connect({
      kubeconfigPath: kubeconfig({ exec }),
      userAgent: "t",
      signal: controller.signal,
    });
    const failed = t.throwsAsync(connecting, { instanceOf: ChaosError });
    while (!existsSync(pidFile) || readFileSync(pidFile, "utf8") === "") await sleep(10);
    const began = performance.now();
    controller.abort();
    t.is((await failed)?.exitCode, ExitCode.interrupted);
    t.true(performance.now() - began < 5_000);
    t.throws(() => process.kill(Number(readFileSync(pidFile, "utf8")), 0), { code: "ESRCH" });
  }
});

test("a plugin's stderr is shown as it comes, before it answers", async (t) => {
  const { folder, kubeconfig } = await setUp(t);
  const { exec } = plugin(
    folder,
    `console.error("open https://login and enter ABCD"); setInterval(() => {}, 1e6);`,
  );
  const script = `import { connect } from ${JSON.stringify(new URL("../../../src/kube/connect.ts", import.meta.url).href)};
    const controller = new AbortController();
    process.on("SIGINT", () => controller.abort());
    await connect({ kubeconfigPath: process.argv[1], userAgent: "t", signal: controller.signal })
      .catch((error) => (process.exitCode = error.exitCode));`;
  const child = spawn(
    process.execPath,
    ["--import", TSX, "--input-type=module", "-e", script, kubeconfig({ exec })],
    {
      stdio: ["ignore", "inherit", "pipe"],
    },
  );
  let said = "";
  child.stderr.on("data", (chunk: Buffer) => {
    said += chunk.toString();
    if (said.includes("ABCD")) child.kill("SIGINT");
  });
  const [code] = (await once(child, "exit")) as [number];
  t.is(code, ExitCode.interrupted);
  t.regex(said, /enter ABCD/);
});

test("a token file is read again when it changes; while it cannot be read, the last token is used", async (t) => {
  const { server, folder, kubeconfig } = await setUp(t);
  const file = join(folder, "token");
  const options = { kubeconfigPath: kubeconfig({ tokenFile: "token", token: "" }), userAgent: "t" };
  t.regex(
    messageOf(await t.throwsAsync(connect(options), { instanceOf: UsageError })),
    /tokenFile: cannot read \S*token: there is no such file or folder\. Correct /,
  );
  writeFileSync(file, "");
  t.regex(
    messageOf(await t.throwsAsync(connect(options), { instanceOf: UsageError })),
    /tokenFile .*token is empty/,
  );
  writeFileSync(file, "one\n");
  const source = identityOf(await clusterAccess({ ...options, env: {} }), undefined, {});
  t.deepEqual((await source.fetch()).headers, { Authorization: "Bearer one" });
  writeFileSync(file, "two\n");
  t.deepEqual((await source.fetch()).headers, { Authorization: "Bearer two" });
  rmSync(file);
  t.deepEqual((await source.fetch()).headers, { Authorization: "Bearer two" });
  writeFileSync(file, "three");
  const { transport } = await connect(options);
  await transport.json({ method: "GET", path: "/version" });
  t.deepEqual(authorization(server), ["Bearer three"]);
  transport.close();
});

test("credentials: one fetch for all, cached for a minute, fetched again when refused unless just fetched", async (t) => {
  let now = 0;
  let fetches = 0;
  let forgotten = 0;
  const credentials = cachedCredentials({
    fetch: async () => await Promise.resolve({ n: String(++fetches) }),
    forget: () => void forgotten++,
    now: () => now,
  });
  await Promise.all([credentials.headers(), credentials.headers()]);
  t.is(fetches, 1);
  now = 59_999;
  t.deepEqual(await credentials.headers(), { n: "1" });
  now = 60_000;
  t.deepEqual(await credentials.headers(), { n: "2" });
  credentials.forget();
  t.deepEqual([forgotten, (await credentials.headers()).n], [0, "2"]);
  now += 5_000;
  credentials.forget();
  t.deepEqual([forgotten, (await credentials.headers()).n], [1, "3"]);
});

test("credentials: a failed fetch rejects all callers, and is not cached", async (t) => {
  let fails = true;
  const credentials = cachedCredentials({
    fetch: async () => {
      await Promise.resolve();
      if (fails) throw new Error("plugin");
      return { ok: "1" };
    },
    forget: () => undefined,
  });
  const both = [credentials.headers(), credentials.headers()];
  for (const each of both) t.is((await t.throwsAsync(each))?.message, "plugin");
  fails = false;
  t.deepEqual(await credentials.headers(), { ok: "1" });
});
