/** Setting the switch up: recorded before it is created, created as the cluster allows, ready before the attack. */
import { PUBLIC_PODS } from "../../../src/own/pod-spec.js";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import type { Node, Pod } from "../../../src/kube/objects.js";
import { ApiUnreachableError, createTransport } from "../../../src/kube/transport.js";
import { inClusterTransport, inTurn } from "../../../src/safety/dead-man/api-access.js";
import { deployDeadMan, type DeadManOptions } from "../../../src/safety/dead-man/deploy-dead-man.js";
import { deadManCheck, othersOf } from "../../../src/safety/dead-man/dead-man-preflight.js";
import { readinessServer } from "../../../src/safety/dead-man/readyz.js";
import { ClusterCopy } from "../../../src/safety/journal/cluster-copy.js";
import type { PendingUndo, Undo } from "../../../src/safety/journal/journal.js";
import { undoAll } from "../../../src/safety/restore/undo-entries.js";
import { isNodeTarget } from "../../../src/targets/target.js";
import { status } from "../../helpers/fake-api-server.js";
import {
  journalText,
  NAMESPACES,
  opened,
  OWN,
  RUN,
  SleepingClock,
  undosOf,
} from "../../helpers/dead-man-world.js";
import {
  DEPLOYMENTS,
  deployment,
  putKubeDns,
  serve,
  type Served,
  targetOf,
  writes,
} from "../../helpers/target-fixtures.js";

const PODS = `${OWN}/pods`;
const API_SLICES = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";
const POD = `${PODS}/chaos-dead-man-${RUN}`;
const OURS = { "app.kubernetes.io/managed-by": "kube-system-chaos" } as const;

interface Prepared extends Served {
  readonly clock: SleepingClock;
  readonly options: DeadManOptions;
  readonly made: PendingUndo[];
  /** What was written to the journal, and how many writes the API server had received by then. */
  readonly intents: { readonly undo: Undo; readonly writes: number }[];
}

/** A deployed run before its baseline, on two workers; kube-dns runs on worker-1. */
async function prepared(t: ExecutionContext): Promise<Prepared> {
  const { server, transport } = await serve(t);
  putKubeDns(server);
  for (const name of ["default", "kube-system"]) server.put(NAMESPACES, { metadata: { name } });
  for (const name of ["guestbook", "kube-system-chaos"])
    server.put(NAMESPACES, { metadata: { name, labels: OURS } });
  const slice = (name: string, service: string, ...addresses: string[]): void =>
    void server.put(API_SLICES, {
      metadata: { name, labels: { "kubernetes.io/service-name": service } },
      endpoints: addresses.map((ip) => ({ addresses: [ip], conditions: { ready: true } })),
      ports: [{ name: "https", port: 6443 }],
    });
  slice("kubernetes", "kubernetes", "172.18.0.2");
  slice("kubernetes-v6", "kubernetes", "fd00::2");
  slice("other", "other", "172.18.0.9");
  const before = server.put(DEPLOYMENTS, deployment());
  const target = await targetOf(transport);
  const journalled = undosOf(before).filter(({ action }) => action === "remove");
  await new ClusterCopy(transport, RUN).write(journalText(opened(RUN), journalled));
  server.requests.length = 0;
  const clock = new SleepingClock();
  const intents: Prepared["intents"] = [];
  const made: PendingUndo[] = [];
  const ready = { conditions: [{ type: "Ready", status: "True" }] };
  const nodes = ["worker-1", "worker-2"].map((name): Node => ({
    metadata: { name, uid: name, resourceVersion: "1" },
    status: ready,
  }));
  clock.onTime = () => {
    if (server.object(POD) !== undefined) server.update(POD, { status: ready });
  };
  const intent = async (undo: Undo): Promise<number> =>
    await Promise.resolve(intents.push({ undo, writes: writes(server).length }));
  const options = {
    runId: RUN,
    userAgent: "kube-system-chaos/1 (dead-man run-1)",
    transport,
    clock,
    journal: { intent },
    made,
    nodes,
    target,
    others: [],
    attacked: [],
    pods: PUBLIC_PODS,
    note: () => undefined,
    program: "// program",
  } as const;
  return { server, transport, clock, options, made, intents };
}

const podOf = ({ server }: Served): Pod | undefined => server.object(POD) as Pod | undefined;

test("all objects are in the journal before the first is created, and the run's own undo removes them", async (t) => {
  const p = await prepared(t);
  const deployed = await deployDeadMan(p.options);
  t.is(deployed?.node, "worker-2", "not the target's node");
  t.is(deployed?.remark, undefined);
  t.is(await deployed?.problem(), undefined);
  const created = p.server.requestsOf("POST").map(({ path, body }) => {
    const { name } = (body as { metadata: { name: string } }).metadata;
    return `${path}/${name}`;
  });
  t.true(created.length >= 10, `${created.length} objects`);
  t.deepEqual(
    p.intents.map(({ undo }) => (undo.action === "remove" ? undo.path : undo.action)),
    created,
  );
  t.true(p.intents.every((each) => each.writes === 0));
  t.is(p.made.length, p.intents.length);
  const left = await undoAll(p.transport, p.made, async () => await Promise.resolve());
  t.deepEqual(left, []);
  for (const path of created) {
    const object = p.server.object(path);
    t.true(object === undefined || object.metadata.deletionTimestamp !== undefined, path);
  }
});

test("the addresses are the ready endpoints', also for IPv6, and the rights cover what the journal will remove", async (t) => {
  const p = await prepared(t);
  await deployDeadMan(p.options);
  const env = Object.fromEntries(
    (podOf(p)?.spec?.containers[0]?.env ?? []).map(({ name, value }) => [name, value ?? ""]),
  );
  t.is(env["CHAOS_API_SERVERS"], "https://172.18.0.2:6443 https://[fd00::2]:6443");
  t.regex(env["CHAOS_RIGHTS"] ?? "", /"verb":"delete","group":"","resource":"namespaces","name":"guestbook"/);
  const role = p.server.object(
    `/apis/rbac.authorization.k8s.io/v1/clusterroles/chaos-dead-man-${RUN}`,
  ) as unknown as { metadata: { ownerReferences: { uid: string }[] } };
  t.is(role.metadata.ownerReferences[0]?.uid, p.server.object(OWN)?.metadata.uid);
});

test("where critical pods are allowed only in kube-system, the pod has no priority", async (t) => {
  const p = await prepared(t);
  const message = "insufficient quota to match these scopes: [{PriorityClass In [system-cluster-critical]}]";
  p.server.fault({ kind: "status", status: 403, method: "POST", path: PODS, message });
  await deployDeadMan(p.options);
  t.is(podOf(p)?.spec?.priorityClassName, undefined);
  t.is(p.server.requestsOf("POST", PODS).length, 2);
  t.is(podOf(p)?.spec?.nodeName, "worker-2");
});

test("a forbidden pod is an error immediately", async (t) => {
  const p = await prepared(t);
  p.server.fault({
    kind: "status",
    status: 403,
    method: "POST",
    path: PODS,
    message: "violates PodSecurity",
  });
  await t.throwsAsync(deployDeadMan(p.options), { message: /violates PodSecurity/ });
  t.is(p.server.requestsOf("POST", PODS).length, 1);
  t.true(p.made.length >= 10, "what was made before it is known");
});

test("not ready within a minute: refused, with the reason and the answer of /readyz", async (t) => {
  const p = await prepared(t);
  p.clock.onTime = () => undefined;
  p.server.handle("GET", /\/proxy\/readyz$/, () => ({
    status: 503,
    body: "missing permissions: get nodes\n",
  }));
  await t.throwsAsync(deployDeadMan(p.options), {
    message:
      /cannot start the dead-man's switch on .*missing permissions: get nodes.*Nothing was attacked\. To run without it, leave --dead-man out/s,
  });
});

test("interrupted during the wait: no error", async (t) => {
  const p = await prepared(t);
  const interrupted = new AbortController();
  p.clock.onTime = () => interrupted.abort();
  t.is(await deployDeadMan({ ...p.options, signal: interrupted.signal }), undefined);
});

test("problem: gone, being deleted, or not ready any more", async (t) => {
  const p = await prepared(t);
  const deployed = await deployDeadMan(p.options);
  p.server.update(POD, {
    status: { conditions: [{ type: "Ready", status: "False", message: "unhealthy" }] },
  });
  t.regex((await deployed?.problem()) ?? "", /unhealthy/);
  p.server.update(POD, { metadata: { deletionTimestamp: "2026-08-01T12:00:00Z" } });
  t.regex((await deployed?.problem()) ?? "", /is being deleted/);
  p.server.remove(POD);
  t.regex((await deployed?.problem()) ?? "", /no longer exists/);
});

test("a prepared namespace: the ClusterRole is created first and owns everything else", async (t) => {
  const p = await prepared(t);
  p.server.update(OWN, { metadata: { labels: { "kube-system-chaos/prepared": "true" } } });
  await deployDeadMan(p.options);
  const created = p.server.requestsOf("POST").map(({ path, body }) => {
    const { name } = (body as { metadata: { name: string } }).metadata;
    return `${path}/${name}`;
  });
  const role = p.server.object(created[0] ?? "");
  t.is(role?.kind, "ClusterRole");
  t.is(role?.metadata.ownerReferences, undefined);
  t.true(created.length >= 10);
  for (const path of created.slice(1))
    t.deepEqual(
      p.server.object(path)?.metadata.ownerReferences?.map(({ kind, uid }) => ({ kind, uid })),
      [{ kind: "ClusterRole", uid: role?.metadata.uid ?? "" }],
      path,
    );
  t.deepEqual(
    p.intents.map(({ undo }) => (undo.action === "remove" ? undo.path : undo.action)),
    created,
  );
  t.true(p.intents.every((each) => each.writes === 0));
});

test("an API server without an address: refused before anything is created", async (t) => {
  const p = await prepared(t);
  p.server.update(`${API_SLICES}/kubernetes`, {
    endpoints: [{ addresses: ["172.18.0.2"], conditions: { ready: false } }],
  });
  p.server.remove(`${API_SLICES}/kubernetes-v6`);
  await t.throwsAsync(deployDeadMan(p.options), { message: /no endpoint/ });
  t.deepEqual(writes(p.server), []);
  t.deepEqual(p.intents, []);
});

test("in the pod: sends the ServiceAccount's token, and reads it again when it is refused", async (t) => {
  const { server } = await serve(t);
  const folder = await mkdtemp(join(tmpdir(), "chaos-account-"));
  t.teardown(async () => await rm(folder, { recursive: true, force: true }));
  await writeFile(join(folder, "ca.crt"), "ca");
  await writeFile(join(folder, "token"), "first\n");
  const transport = inClusterTransport({ servers: [server.url], userAgent: "x" }, folder);
  t.teardown(() => transport.close());
  let valid = "first";
  server.handle("GET", /version/, ({ headers }) =>
    headers.authorization === `Bearer ${valid}` ? undefined : status(401, "Unauthorized", "no"),
  );
  t.is((await transport.request({ method: "GET", path: "/version" })).status, 200);
  valid = "second";
  await writeFile(join(folder, "token"), "second\n");
  t.is((await transport.request({ method: "GET", path: "/version" })).status, 200);
  t.deepEqual(
    server.requestsOf("GET", "/version").map(({ headers }) => headers.authorization),
    ["Bearer first", "Bearer first", "Bearer second"],
  );
});

test("several API servers: after one does not answer, the next request goes to the next one", async (t) => {
  const { server } = await serve(t);
  const dead = createTransport({ server: "http://127.0.0.1:1", userAgent: "x" });
  const live = createTransport({ server: server.url, userAgent: "x" });
  const transport = inTurn([dead, live]);
  t.teardown(() => transport.close());
  const ask = async (): Promise<unknown> =>
    await transport.json({ method: "GET", path: "/version", retry: false });
  await t.throwsAsync(ask(), { instanceOf: ApiUnreachableError });
  await ask();
  await ask();
  t.is(server.requestsOf("GET", "/version").length, 2);
  server.fault({ kind: "status", status: 500, path: "/version" });
  await t.throwsAsync(ask(), { message: /HTTP 500/ });
  await ask();
  t.is(server.requestsOf("GET", "/version").length, 4, "an answer, whatever it says, is no reason to change");
});

test("/readyz answers 200, or 503 with the reason; other paths answer 404", async (t) => {
  let problem: string | undefined = "missing permissions: get nodes";
  const server = readinessServer(() => problem).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  t.teardown(() => server.close());
  const address = server.address();
  const port = typeof address === "object" ? address?.port : undefined;
  const ask = async (path: string): Promise<[number, string]> => {
    const answer = await fetch(`http://127.0.0.1:${port}${path}`, { headers: { connection: "close" } });
    return [answer.status, await answer.text()];
  };
  t.deepEqual(await ask("/readyz"), [503, "missing permissions: get nodes\n"]);
  problem = undefined;
  t.deepEqual(await ask("/readyz"), [200, "ok\n"]);
  t.is((await ask("/"))[0], 404);
});

const GUESTBOOK_GOES = [{ name: "guestbook", stays: false }];

test("preflight: says what the switch can do, before the first change", async (t) => {
  const { options, transport, server } = await prepared(t);
  const run = { target: options.target, others: [], namespaces: GUESTBOOK_GOES };
  t.deepEqual(await deadManCheck(transport, run), {
    ok: true,
    detail:
      "until the run ends, its ServiceAccount can create workloads in kube-system: this is as powerful as cluster-admin",
  });
  t.deepEqual(writes(server), []);
});

test("preflight: the runner cannot grant a right that it lacks", async (t) => {
  const { options, transport, server } = await prepared(t);
  server.handle("POST", /selfsubjectaccessreviews$/, ({ body }) => {
    const { resourceAttributes } = (body as { spec: { resourceAttributes: { resource: string } } }).spec;
    const allowed = resourceAttributes.resource !== "clusterroles";
    return { status: 201, body: { ...(body as object), status: { allowed } } };
  });
  const check = await deadManCheck(transport, {
    target: options.target,
    others: [],
    namespaces: GUESTBOOK_GOES,
  });
  t.false(check.ok);
  t.regex(
    check.detail,
    /missing permissions: create rbac.authorization.k8s.io\/clusterroles; get .*; delete /,
  );
});

test("preflight: in a prepared namespace the runner must be able to delete what the switch empties", async (t) => {
  const { options, transport, server } = await prepared(t);
  server.update(OWN, { metadata: { labels: { "kube-system-chaos/prepared": "true" } } });
  server.handle("POST", /selfsubjectaccessreviews$/, ({ body }) => {
    const { resourceAttributes } = (
      body as { spec: { resourceAttributes: { verb: string; resource: string } } }
    ).spec;
    const allowed = resourceAttributes.verb !== "delete" || resourceAttributes.resource !== "secrets";
    return { status: 201, body: { ...(body as object), status: { allowed } } };
  });
  const check = await deadManCheck(transport, { target: options.target, others: [], namespaces: [] });
  t.false(check.ok);
  t.regex(check.detail, /missing permissions: delete secrets in kube-system-chaos\./);
});

test("others: the companions, and what a function check changes", async (t) => {
  const { options } = await prepared(t);
  const { target } = options;
  if (isNodeTarget(target)) throw new Error("no workload");
  t.deepEqual(othersOf([], undefined), []);
  t.deepEqual(othersOf([target], undefined), [
    { kind: "Deployment", namespace: "kube-system", names: ["kube-dns"] },
  ]);
  const [corrected, ...more] = othersOf([], "fluentd-is-scaled");
  t.is(more.length, 0);
  t.is(corrected?.kind, "DaemonSet");
  t.is(corrected?.namespace, "kube-system");
  t.true((corrected?.names ?? []).length > 0);
});
