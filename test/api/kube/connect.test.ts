import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import type { ExecutionContext } from "ava";
import { connect } from "../../../src/kube/connect.js";
import { cachedCredentials } from "../../../src/kube/credentials.js";
import { ExitCode, messageOf, UsageError } from "../../../src/common/errors.js";
import { FakeApiServer } from "../../helpers/fake-api-server.js";

const SECRET = "s3cr3t-t0ken";

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
    [{ kubeconfigPath: join(folder, "none") }, /ENOENT/],
    [{ kubeconfigPath, context: "three" }, /No context "three" in .*It has: one, two\./],
    [{ kubeconfigPath, context: "two" }, /names the cluster "missing"/],
    [
      { kubeconfigPath: kubeconfig({}, { "current-context": "" }) },
      /No current context .*It has: one, two\./,
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
  t.regex(messageOf(error), /line \d/);
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

test("a plugin that fails or prints nonsense: the error has its message, not its secrets", async (t) => {
  const { folder, kubeconfig } = await setUp(t);
  const failing = plugin(folder, `console.error("please log in"); process.exit(1)`);
  const options = { kubeconfigPath: kubeconfig({ exec: failing.exec }), userAgent: "t" };
  t.regex(
    messageOf(await t.throwsAsync(connect(options))),
    /No credentials for context "one".*please log in/,
  );
  const odd = plugin(folder, `console.log("${SECRET}")`);
  const error = await t.throwsAsync(
    connect({ kubeconfigPath: kubeconfig({ exec: odd.exec }), userAgent: "t" }),
  );
  t.regex(messageOf(error), /not JSON/);
  t.notRegex(`${messageOf(error)}${error?.stack}`, new RegExp(SECRET));
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
