/** Reading the facts from an API server: what is forbidden or missing, how much is asked, and the command's exit codes. */
import test, { type ExecutionContext } from "ava";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { doctor } from "../../../src/commands/doctor-command.js";
import { ExitCode } from "../../../src/common/errors.js";
import { byExpiry, certificatesOf } from "../../../src/kube/certificates.js";
import type { RunView } from "../../../src/ui/base.js";
import { PlainView } from "../../../src/ui/plain.js";
import { type Draft, FakeApiServer, status } from "../../helpers/fake-api-server.js";
import { healthy } from "../../helpers/doctor-facts.js";
import { kubeconfigOf } from "../../helpers/kubeconfig.js";
import { CA, CLIENT_CERT, CLIENT_KEY, EXPIRED_CA, SERVER_CERT } from "../../helpers/tls-fixtures.js";
import { tlsServer } from "../../helpers/tls-server.js";

const COLLECTIONS = {
  pods: "/api/v1/namespaces/kube-system/pods",
  services: "/api/v1/namespaces/kube-system/services",
  deployments: "/apis/apps/v1/namespaces/kube-system/deployments",
  daemonSets: "/apis/apps/v1/namespaces/kube-system/daemonsets",
  replicaSets: "/apis/apps/v1/namespaces/kube-system/replicasets",
  budgets: "/apis/policy/v1/namespaces/kube-system/poddisruptionbudgets",
  nodes: "/api/v1/nodes",
} as const;

interface World {
  readonly server: FakeApiServer;
  readonly folder: string;
  /** Runs `chaos doctor`. */
  readonly look: () => Promise<{ readonly code: ExitCode; readonly summary: Summary; readonly text: string }>;
}

interface Summary {
  readonly findings: readonly { readonly code: string; readonly severity: string }[];
  readonly notLookedAt: readonly { readonly what: string; readonly because: string }[];
  readonly pods: readonly unknown[];
}

/** A cluster where everything works. Leases and times are as of now: the API server's clock counts. */
async function world(t: ExecutionContext): Promise<World> {
  const server = await FakeApiServer.start();
  t.teardown(async () => await server.close());
  const folder = await mkdtemp(join(tmpdir(), "chaos-doctor-"));
  t.teardown(async () => await rm(folder, { recursive: true, force: true }));
  const facts = healthy();
  for (const [name, collection] of Object.entries(COLLECTIONS))
    for (const object of facts[name as keyof typeof COLLECTIONS] ?? [])
      server.put(collection, object as unknown as Draft);
  server.put("/api/v1/namespaces", { metadata: { name: "kube-system" } });
  server.handle("GET", /^\/readyz$/, () => ({ status: 200, body: "[+]etcd ok\nreadyz check passed\n" }));
  server.handle("GET", /\/proxy\/metrics$/, () => ({ status: 200, body: "kubelet_x 1\n" }));
  const look: World["look"] = async () => {
    let summary: Summary | undefined;
    const printed: string[] = [];
    const stream = { write: (line: string) => printed.push(line) } as unknown as NodeJS.WritableStream;
    const timers = { setInterval: () => undefined, clearInterval: () => undefined };
    const view: RunView = new PlainView({ stream, out: stream, now: () => 0, timers });
    const show = view.result.bind(view);
    view.result = (lines, value) => {
      summary = value as Summary;
      show(lines, value);
    };
    const code = await doctor({
      select: { kubeconfigPath: await kubeconfigOf(folder, server.url) },
      reportsFolder: join(folder, "reports"),
      view,
      interrupted: new AbortController().signal,
      env: { XDG_STATE_HOME: folder },
    });
    if (summary === undefined) throw new Error("no result");
    return { code, summary, text: printed.join("") };
  };
  return { server, folder, look };
}

test("a healthy cluster: the table, no finding, exit code 0, and nothing but reading", async (t) => {
  const { server, look } = await world(t);
  const { code, summary, text } = await look();
  t.deepEqual(summary.findings, []);
  t.is(code, ExitCode.asExpected);
  t.is(summary.pods.length, 9);
  t.deepEqual(
    summary.notLookedAt.map(({ what }) => what),
    ["memory near its limit"],
  );
  t.regex(text, /NAME +READY +STATUS +RESTARTS +AGE +NODE\n/);
  t.regex(text, /9 of 9 pods ready; nothing found \(1 not looked at\)\n$/);
  t.deepEqual([...new Set(server.requests.map(({ method }) => method))], ["GET"]);
  const all = server.requests.filter(({ path }) => path === "/api/v1/pods");
  t.is(all.length, 1);
  t.is(all[0]?.query.get("fieldSelector"), "spec.nodeName=,status.phase=Pending");
  t.is(all[0]?.query.get("limit"), "500");
});

test("with findings the exit code is 1", async (t) => {
  const { server, look } = await world(t);
  server.update(`${COLLECTIONS.pods}/kube-proxy-worker`, { spec: { nodeName: "worker2" } });
  const { code, summary } = await look();
  t.deepEqual(
    summary.findings.map((each) => each.code),
    ["kube-proxy-missing"],
  );
  t.is(code, ExitCode.differs);
});

test("what is forbidden is named, and the rest is looked at", async (t) => {
  const { server, look } = await world(t);
  const forbidden =
    /\/(poddisruptionbudgets|apiservices|validatingwebhookconfigurations|certificatesigningrequests)$|\/proxy\/metrics$|^\/api\/v1\/pods$/;
  server.handle("GET", forbidden, () =>
    status(403, "Forbidden", 'x is forbidden: User "a" cannot list resource "x" in API group "y"'),
  );
  const { code, summary } = await look();
  t.is(code, ExitCode.asExpected);
  t.deepEqual(summary.notLookedAt.map(({ what }) => what).sort(), [
    "APIServices",
    "admission webhooks that guard kube-system",
    "admission webhooks that refuse what they cannot judge",
    "certificate requests of kubelets",
    "memory near its limit",
    "the PodDisruptionBudget of kube-dns",
    "the kubelets' certificates",
    "whether kube-scheduler does its work",
  ]);
  t.true(
    summary.notLookedAt.some(({ because }) => because.startsWith("forbidden: the user cannot list resource")),
  );
});

test("without the pods of kube-system there is nothing to show: refused, with what to do", async (t) => {
  const { server, look } = await world(t);
  server.handle("GET", /kube-system\/pods$/, () =>
    status(403, "Forbidden", 'pods is forbidden: User "a" cannot list'),
  );
  await t.throwsAsync(look, {
    message: /^cannot look at kube-system: the API server .* forbids the request: .*Ask for the right/,
  });
});

test("an API server whose own checks fail", async (t) => {
  const { server, look } = await world(t);
  server.handle("GET", /^\/readyz$/, () => ({
    status: 500,
    body: "[+]ping ok\n[-]etcd failed: reason withheld\n",
  }));
  const { summary } = await look();
  t.deepEqual(
    summary.findings.map((each) => each.code),
    ["api-server-not-ready"],
  );
});

test("certificates: the server's from the connection, the authority's and the user's from the kubeconfig", async (t) => {
  const { port } = await tlsServer(t);
  const { folder } = await world(t);
  const data = (pem: string): string => Buffer.from(pem).toString("base64");
  const path = await kubeconfigOf(folder, `https://127.0.0.1:${port}`, {
    // A rotation leaves the old authority in the bundle.
    cluster: { "certificate-authority-data": data(`${EXPIRED_CA}${CA}`) },
    user: { "client-certificate-data": data(CLIENT_CERT), "client-key-data": data(CLIENT_KEY) },
  });
  const read = await certificatesOf({ kubeconfigPath: path, userAgent: "chaos-test/1" });
  t.deepEqual(read, {
    serving: byExpiry(SERVER_CERT)[0],
    authority: byExpiry(CA)[0],
    client: byExpiry(CLIENT_CERT)[0],
    notRead: [],
  });
  t.true((read.serving?.toMs ?? 0) > Date.parse("2027-01-01"));
  const ends = byExpiry(`${CA}\n${EXPIRED_CA}`).map(({ toMs }) => new Date(toMs).getUTCFullYear());
  t.deepEqual(ends, [2021, 2126]);
});
