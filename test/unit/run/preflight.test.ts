import { experiment } from "../../helpers/experiments.js";
import test from "ava";
import { status } from "../../helpers/fake-api-server.js";
import type { ExecutionContext } from "ava";
import type { RunEventBody } from "../../../src/evidence/events.js";
import { ownPods } from "../../../src/application/own-pods.js";
import { serverVersion } from "../../../src/kube/api.js";
import type { Node } from "../../../src/kube/objects.js";
import type { Attack } from "../../../src/experiment/schema.js";
import {
  type JournalOpen,
  type JournalState,
  UnreadableJournalError,
} from "../../../src/safety/journal/journal.js";
import { LOCK_PATH } from "../../../src/safety/lock/lease.js";
import { describePermission, type Permission } from "../../../src/kube/permission.js";
import {
  attackProblem,
  nodeAccessCheck,
  preflight,
  type PreflightInput,
  type PreflightOutcome,
  refusalOfForbidden,
} from "../../../src/run/phases/preflight.js";
import { planLines } from "../../../src/run/phases/plan-lines.js";
import type { AnyTarget } from "../../../src/targets/target.js";
import { putKubeDns, type Served, serve, writes } from "../../helpers/target-fixtures.js";

const NAMESPACES = "/api/v1/namespaces";
const LEASES = LOCK_PATH.replace(/\/[^/]+$/, "");
const OURS = { "app.kubernetes.io/managed-by": "kube-system-chaos" };

const node = (name: string, change: { provider?: string; images?: string[]; spec?: object } = {}): Node =>
  ({
    metadata: { name },
    spec: { providerID: `${change.provider ?? "kind"}://x/${name}`, ...change.spec },
    status: {
      conditions: [{ type: "Ready", status: "True" }],
      images: (change.images ?? []).map((image) => ({ names: [image] })),
    },
  }) as unknown as Node;

const unfinished = (runId: string): JournalState =>
  ({
    folder: "f",
    open: { runId } as JournalOpen,
    intents: [],
    pending: [],
    copied: false,
    adopted: false,
    closed: false,
  }) satisfies JournalState;

const DAMAGED = new UnreadableJournalError("/state/run-c", "its opening record is damaged");

interface Asked extends PreflightOutcome {
  readonly events: readonly RunEventBody[];
  /** Names of the failed checks, in order. */
  readonly failed: readonly string[];
  /** Details of all checks with this name. */
  detail(name: string): string;
}

async function ask(served: Served, change: Partial<PreflightInput> = {}): Promise<Asked> {
  const events: RunEventBody[] = [];
  const outcome = await preflight({
    transport: served.transport,
    context: "kind-chaos",
    version: await serverVersion(served.transport),
    nodes: [node("worker-1")],
    canaries: "kube-system-chaos-canary-3f9a",
    podSettings: {},
    resolved: experiment(),
    nodeAccess: { none: "not on this machine" },
    unfinished: { runs: [], unreadable: [] },
    confirm: async () => await Promise.reject(new Error("no confirmation expected")),
    allowing: (context) => `chaos run x --context ${context} --yes`,
    emit: (body) => events.push(body),
    ...change,
  });
  const { checks } = outcome;
  return {
    ...outcome,
    events,
    failed: checks.filter(({ ok }) => !ok).map(({ name }) => name),
    detail: (name) =>
      checks
        .filter((check) => check.name === name)
        .map(({ detail }) => detail)
        .join("\n"),
  };
}

/** Denies the matching permissions in access reviews. */
function forbid(served: Served, match: (permission: Permission) => boolean): void {
  served.server.handle("POST", /selfsubjectaccessreviews$/, ({ body }) => {
    const permission = (body as { spec: { resourceAttributes: Permission } }).spec.resourceAttributes;
    return { status: 201, body: { status: { allowed: !match(permission) } } };
  });
}

/** The permissions asked about in access reviews so far. */
function rightsAskedFor(served: Served): string[] {
  return served.server
    .requestsOf("POST", "selfsubjectaccessreviews")
    .map(({ body }) =>
      describePermission((body as { spec: { resourceAttributes: Permission } }).spec.resourceAttributes),
    );
}

async function healthy(t: ExecutionContext): Promise<Served> {
  const served = await serve(t);
  putKubeDns(served.server);
  return served;
}

test("everything passes: every check has a detail, the target is found, nothing is changed", async (t) => {
  const served = await healthy(t);
  const asked = await ask(served);
  t.deepEqual(asked.failed, []);
  t.deepEqual(
    asked.checks.map(({ name }) => name),
    [
      "api",
      "context",
      "journal",
      "lock",
      "target",
      "permissions",
      "return",
      "nodes",
      "node access",
      "images",
    ],
  );
  t.true(asked.checks.every(({ detail }) => detail !== ""));
  t.like(asked.target, { kind: "Deployment", name: "kube-dns", count: 2 });
  t.regex(
    asked.detail("target"),
    /Deployment kube-system\/kube-dns, 2 of 2 pods ready; Pod → ReplicaSet → Deployment/,
  );
  t.regex(asked.detail("node access"), /not on this machine.*only the API/);
  t.regex(asked.detail("images"), /to be pulled: .*redis:6\.0\.5/);
  t.deepEqual(writes(served.server), []);
  t.deepEqual(
    asked.events,
    asked.checks.map((check) => ({ type: "check", ...check })),
    "each check is also an event",
  );
});

test("a policy that would refuse the workload's return refuses the run, by its name", async (t) => {
  const served = await healthy(t);
  const message =
    "deployments.apps \"kube-dns\" is forbidden: ValidatingAdmissionPolicy 'no-dns' with binding 'b' denied request: no";
  served.server.handle("POST", /\/deployments$/, () => status(422, "Invalid", message));
  const asked = await ask(served);
  t.deepEqual(asked.failed, ["return"]);
  t.regex(
    asked.detail("return"),
    /Deployment kube-system\/kube-dns cannot be created again: .*'no-dns'.*\. It would not/,
  );
  const control = await ask(served, { resolved: experiment({ attack: { type: "none" } }) });
  t.deepEqual(control.failed, [], "a control run takes nothing down");
});

test("an unreadable journal is enough to refuse", async (t) => {
  const unreadable = { runs: [], unreadable: [DAMAGED] };
  const asked = await ask(await healthy(t), { unfinished: unreadable });
  t.deepEqual(asked.failed, ["journal"]);
  t.is(asked.detail("journal"), DAMAGED.message);
});

test("everything fails: all problems are reported together", async (t) => {
  const served = await serve(t);
  served.server.put(LEASES, {
    metadata: { name: "kube-system-chaos" },
    spec: { holderIdentity: "run-0@elsewhere", renewTime: "2026-08-01T12:00:00Z" },
  });
  served.server.put(NAMESPACES, { metadata: { name: "guestbook" } });
  served.server.put(NAMESPACES, { metadata: { name: "kube-system-chaos", labels: { a: "b" } } });
  forbid(served, ({ verb, resource }) => verb === "delete" && resource === "pods");
  const asked = await ask(served, {
    context: "prod",
    nodes: [node("n1", { provider: "gce", spec: { unschedulable: true } })],
    unfinished: { runs: [unfinished("run-a"), unfinished("run-b")], unreadable: [DAMAGED] },
    confirm: async () => await Promise.resolve(false),
  });
  t.deepEqual(asked.failed, [
    "context",
    "journal",
    "lock",
    "target",
    "permissions",
    "namespace",
    "namespace",
    "nodes",
  ]);
  t.is(asked.target, undefined);
  t.regex(asked.detail("context"), /belong to gce: n1\..*: chaos run x --context prod --yes$/);
  t.regex(asked.detail("journal"), /run-a, run-b.*chaos restore --all/);
  t.regex(asked.detail("journal"), /\/state\/run-c cannot be read.*chaos restore --forget run-c/);
  t.regex(asked.detail("lock"), /run-0@elsewhere.*kubectl -n kube-system delete lease/);
  t.regex(
    asked.detail("target"),
    /looked for a Deployment with k8s-app=kube-dns .*in kube-system.*found none/,
  );
  t.regex(asked.detail("permissions"), /missing: delete pods in /);
  t.regex(
    asked.detail("namespace"),
    /guestbook already exists and was not created by this tool\. Choose another/,
  );
  t.regex(
    asked.detail("namespace"),
    /kube-system-chaos already exists and was not created by this tool\. (?!Choose another)/,
  );
  t.deepEqual(writes(served.server), []);
});

test("not local: attacked only when named and confirmed; a local cluster needs no confirmation", async (t) => {
  const served = await healthy(t);
  const remote = { nodes: [node("n1", { provider: "aws" })] };
  const yes = await ask(served, { ...remote, confirm: async () => await Promise.resolve(true) });
  t.deepEqual(yes.failed, []);
  t.regex(yes.detail("context"), /belong to aws.*named and confirmed/);
  const no = await ask(served, { ...remote, confirm: async () => await Promise.resolve(false) });
  t.deepEqual(no.failed, ["context"]);
});

test("missing permissions: each is named", async (t) => {
  const served = await healthy(t);
  forbid(
    served,
    ({ resource, verb, namespace }) =>
      (resource === "leases" && verb === "update") ||
      (resource === "deployments" && verb === "create" && namespace === "kube-system"),
  );
  const asked = await ask(served);
  t.deepEqual(asked.failed, ["permissions"]);
  const said = asked.detail("permissions");
  t.regex(said, /update coordination\.k8s\.io\/leases kube-system-chaos in kube-system/);
  t.regex(said, /create apps\/deployments in kube-system/);
  t.is(said.split(";").length, 2);
});

test("a forbidden read: its check says so, and the missing permissions are still listed", async (t) => {
  const served = await healthy(t);
  served.server.fault({ kind: "status", status: 403, reason: "Forbidden", path: "leases", times: Infinity });
  served.server.fault({
    kind: "status",
    status: 403,
    reason: "Forbidden",
    path: "deployments",
    times: Infinity,
  });
  served.server.fault({
    kind: "status",
    status: 403,
    reason: "Forbidden",
    path: "/namespaces/guestbook",
    times: Infinity,
  });
  forbid(served, ({ resource }) => ["leases", "deployments", "namespaces"].includes(resource));
  const asked = await ask(served);
  t.deepEqual(asked.failed, ["lock", "target", "permissions", "namespace"]);
  for (const name of ["lock", "target", "namespace"]) t.regex(asked.detail(name), /403 Forbidden/);
  t.regex(asked.detail("permissions"), /get coordination\.k8s\.io\/leases.*list apps\/deployments/);
  t.is(asked.target, undefined);
});

test("a failing API server is an error, not a refusal", async (t) => {
  const served = await healthy(t);
  served.server.fault({ kind: "status", status: 500, path: "leases", times: Infinity });
  await t.throwsAsync(ask(served), { message: /500/ });
});

test("the target's kind and the attack decide the permissions, even if the target is not found", async (t) => {
  const served = await healthy(t);
  const asked = await ask(served, {
    resolved: experiment({
      target: { kind: "DaemonSet", namespace: "kube-system", name: "kube-proxy" },
      attack: { type: "delete-workload" },
    }),
  });
  t.deepEqual(asked.failed, ["target"]);
  t.regex(asked.detail("target"), /DaemonSet kube-system\/kube-proxy does not exist/);
  const rights = served.server.requestsOf("POST", "selfsubjectaccessreviews").map(({ body }) => {
    const { spec } = body as { spec: { resourceAttributes: Permission } };
    return `${spec.resourceAttributes.verb} ${spec.resourceAttributes.resource} ${spec.resourceAttributes.namespace}`;
  });
  t.true(rights.includes("delete daemonsets kube-system"));
  t.false(rights.includes("delete deployments kube-system"));
});

test("own namespaces are reused", async (t) => {
  const served = await healthy(t);
  for (const name of ["guestbook", "kube-system-chaos"]) {
    served.server.put(NAMESPACES, { metadata: { name, labels: OURS } });
  }
  t.deepEqual((await ask(served)).failed, []);
});

test("a guestbook that an earlier run kept: the run says that it goes, unless it is kept again", async (t) => {
  const served = await healthy(t);
  served.server.put(NAMESPACES, { metadata: { name: "guestbook", labels: OURS } });
  const told = async (change: Partial<PreflightInput>): Promise<string[]> => {
    const { checks } = await ask(served, change);
    return checks.filter(({ name }) => name === "namespace").map(({ detail }) => detail);
  };
  t.deepEqual(await told({ keepApp: false }), [
    "an earlier run left its guestbook in guestbook (--keep-app): this run uses it and removes it at its end. Add --keep-app to keep it",
  ]);
  t.deepEqual(await told({ keepApp: true }), []);
  t.deepEqual(await told({ keepApp: false, ownId: "session-1" }), [], "the session has said it");
});

const PREPARED = { ...OURS, "kube-system-chaos/prepared": "true" };

test("prepared namespaces: each is named, and no permission to create or delete it is needed", async (t) => {
  const served = await healthy(t);
  for (const name of ["guestbook", "kube-system-chaos", "kube-system-chaos-canaries"]) {
    served.server.put(NAMESPACES, { metadata: { name, labels: PREPARED } });
  }
  const asked = await ask(served);
  t.deepEqual(asked.failed, []);
  t.deepEqual(asked.detail("namespace").split("\n"), [
    "guestbook is prepared: the run uses it as it is and empties it afterwards",
    "kube-system-chaos is prepared: the run uses it as it is and empties it afterwards",
  ]);
  const rights = rightsAskedFor(served);
  t.false(rights.some((right) => /^(create|delete) namespaces/.test(right)));
  t.false(
    rights.some((right) => right.includes("canaries")),
    "kube-dns has no canaries",
  );
});

test("a prepared namespace for canaries is used instead of the run's own", async (t) => {
  const served = await healthy(t);
  const resolved = experiment({ target: { component: "kube-scheduler" }, attack: { type: "static-pod" } });
  await ask(served, { resolved });
  const own = rightsAskedFor(served);
  t.true(own.includes("create pods in kube-system-chaos-canary-3f9a"));
  t.true(own.includes("delete namespaces kube-system-chaos-canary-3f9a"));
  const name = "kube-system-chaos-canaries";
  served.server.put(NAMESPACES, { metadata: { name, labels: PREPARED } });
  served.server.requests.length = 0;
  const asked = await ask(served, { resolved });
  const prepared = rightsAskedFor(served);
  t.true(prepared.includes(`create pods in ${name}`));
  t.true(prepared.includes("delete namespaces guestbook"), "that one is not prepared");
  t.false(prepared.some((right) => right.includes("canary-3f9a")));
  t.regex(asked.detail("namespace"), /kube-system-chaos-canaries is prepared/);
});

test("a namespace that is prepared for someone else, or is being deleted, does not count as prepared", async (t) => {
  const served = await healthy(t);
  const label = { "kube-system-chaos/prepared": "true" };
  served.server.put(NAMESPACES, { metadata: { name: "guestbook", labels: label } });
  served.server.put(NAMESPACES, {
    metadata: { name: "kube-system-chaos", labels: PREPARED, deletionTimestamp: "2026-08-01T12:00:00Z" },
  });
  const asked = await ask(served);
  t.deepEqual(asked.failed, ["namespace"]);
  t.regex(asked.detail("namespace"), /^namespace guestbook already exists and was not created by this tool/);
  t.true(rightsAskedFor(served).includes("delete namespaces kube-system-chaos"));
});

test("if the first requests are forbidden, all missing permissions are reported together", async (t) => {
  const served = await healthy(t);
  forbid(
    served,
    ({ resource, verb }) => resource === "nodes" || (resource === "secrets" && verb === "create"),
  );
  const options = { privilegedPods: false, canaries: "kube-system-chaos-canary-3f9a" };
  const forbidden = await t.throwsAsync(async () => {
    served.server.fault({ kind: "status", status: 403, reason: "Forbidden", path: "/nodes" });
    await served.transport.json({ method: "GET", path: "/api/v1/nodes" });
  });
  const refusal = await refusalOfForbidden(served.transport, experiment(), forbidden, options);
  t.is(refusal?.exitCode, 4);
  t.is(
    refusal?.message,
    "permissions: missing: list nodes; watch nodes; create secrets in kube-system-chaos. `chaos rbac` prints the minimal Roles. Nothing was changed.",
  );
  t.is(refusal?.cause, forbidden);
  const another = new Error("another");
  t.is(await refusalOfForbidden(served.transport, experiment(), another, options), undefined);
});

test("the experiment sets the application's namespace", async (t) => {
  const served = await healthy(t);
  served.server.put(NAMESPACES, { metadata: { name: "guestbook" } });
  served.server.put(NAMESPACES, { metadata: { name: "shop" } });
  const resolved = experiment({ application: { guestbook: { namespace: "shop" } } });
  const asked = await ask(served, { resolved });
  t.deepEqual(asked.failed, ["namespace"]);
  t.regex(asked.detail("namespace"), /^namespace shop already exists/);
});

test("an existing application must be there and ready; its namespace is neither created nor checked", async (t) => {
  const served = await healthy(t);
  const write = { service: "api", port: "http", http: { method: "POST" } } as const;
  const resolved = experiment({ application: { existing: { namespace: "shop", write } } });
  const absent = await ask(served, { resolved });
  t.deepEqual(absent.failed, ["application"]);
  t.is(absent.detail("application"), "Service shop/api does not exist. Correct the name");
  served.server.put("/api/v1/namespaces/shop/services", {
    metadata: { name: "api" },
    spec: { clusterIP: "10.96.0.5", ports: [{ name: "http", port: 80 }] },
  });
  t.regex((await ask(served, { resolved })).detail("application"), /has no ready pod behind it/);
  served.server.put("/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices", {
    metadata: { name: "api-1", labels: { "kubernetes.io/service-name": "api" } },
    addressType: "IPv4",
    ports: [{ name: "http", port: 8080 }],
    endpoints: [{ addresses: ["10.244.0.1"], targetRef: { name: "api-1" } }],
  });
  const asked = await ask(served, { resolved });
  t.deepEqual(asked.failed, []);
  t.is(asked.detail("application"), "shop/api exists: POST api:http/ through dns");
  t.is(asked.detail("images"), "to be pulled: docker.io/library/node:18-bookworm-slim");
  t.regex(
    JSON.stringify(asked.events.filter(({ type }) => type === "warning")),
    /each write may add a record to the application \(POST is not idempotent\): about 300 before the recovery/,
  );
  const plan = planLines(
    { file: "x.yaml", keepApp: false },
    { ...asked, target: asked.target as AnyTarget, pods: ownPods({}, []) },
  ).join("\n");
  t.regex(plan, /uses +the application shop\/api/);
  t.regex(plan, /removes +kube-system-chaos$/m);
  t.notRegex(plan, /guestbook/);
});

test("nodes and images: only schedulable nodes count", async (t) => {
  const served = await healthy(t);
  const images = [
    "us-docker.pkg.dev/google-samples/containers/gke/gb-frontend:v5",
    "docker.io/library/redis:6.0.5",
    "us-docker.pkg.dev/google-samples/containers/gke/gb-redis-follower:v2",
    "docker.io/library/node:18-bookworm-slim",
  ];
  const tainted = node("control-plane", { spec: { taints: [{ key: "k", effect: "NoSchedule" }] } });
  const whole = await ask(served, { nodes: [tainted, node("w1", { images }), node("w2", { images })] });
  t.is(whole.detail("nodes"), "2 schedulable: w1, w2");
  t.is(whole.detail("images"), "all on the nodes already");
  const half = await ask(served, {
    nodes: [node("w1", { images }), node("w2", { images: images.slice(1) })],
  });
  t.is(half.detail("images"), `to be pulled: ${images[0]}`);
  const none = await ask(served, { nodes: [tainted] });
  t.deepEqual(none.failed, ["nodes"]);
});

test("two workloads with the component's label: refused, with their names", async (t) => {
  const served = await healthy(t);
  served.server.put("/apis/apps/v1/namespaces/kube-system/deployments", {
    metadata: { name: "node-local-dns", labels: { "k8s-app": "kube-dns" } },
  });
  const asked = await ask(served);
  t.deepEqual(asked.failed, ["target"]);
  t.regex(asked.detail("target"), /Deployment kube-dns \(2 wanted\), Deployment node-local-dns \(1 wanted\)/);
});

const nodeTarget = { kind: "SystemdUnit", name: "kubelet", nodes: ["worker-1"] } as unknown as AnyTarget;

for (const [kind, attack, fits] of [
  ["Deployment", "delete-workload", true],
  ["Deployment", "scale-to-zero", true],
  ["Deployment", "static-pod", false],
  ["DaemonSet", "delete-pods", true],
  ["DaemonSet", "scale-to-zero", false],
  ["StaticPod", "static-pod", true],
  ["StaticPod", "delete-workload", false],
  ["SystemdUnit", "systemd-unit", true],
  ["SystemdUnit", "delete-pods", false],
  ["SystemdUnit", "none", true],
] as const) {
  test(`${attack} ${fits ? "fits" : "does not fit"} a ${kind}`, (t) => {
    const resolved = { component: undefined, attack: { type: attack } as Attack };
    const problem = attackProblem({ kind, name: "x" }, resolved);
    t.is(problem === undefined, fits, problem);
  });
}

test("for a kube-proxy that is a static pod (GKE) the refusal names the attack that fits", (t) => {
  const { component } = experiment({ target: { component: "kube-proxy" } });
  const problem = attackProblem(
    { kind: "StaticPod", name: "kube-proxy" },
    { component, attack: { type: "delete-workload", gracePeriod: 1000 } },
  );
  t.regex(problem ?? "", /kube-proxy is a StaticPod here.*attack\.type can be static-pod$/);
});

test("a node component needs node access, and the API server's must not lead through the API server", (t) => {
  const kubelet = experiment({ target: { component: "kubelet" } });
  const etcd = experiment({ target: { component: "etcd" } });
  const none = { none: "the engine does not answer" };
  const access = (type: string): PreflightInput["nodeAccess"] =>
    ({ how: type, spec: { type } }) as unknown as PreflightInput["nodeAccess"];
  t.false(nodeAccessCheck(none, nodeTarget, kubelet).ok);
  t.regex(nodeAccessCheck(none, nodeTarget, kubelet).detail, /the engine does not answer.*--node-access pod/);
  t.true(nodeAccessCheck(none, undefined, kubelet).ok);
  t.true(nodeAccessCheck(none, nodeTarget, { ...kubelet, attack: { type: "none" } }).ok);
  t.true(nodeAccessCheck(access("pod"), nodeTarget, kubelet).ok);
  t.false(nodeAccessCheck(access("pod"), nodeTarget, etcd).ok);
  t.true(nodeAccessCheck(access("engine"), nodeTarget, etcd).ok);
});

test("a unit that nobody has looked at is assumed, not a passed check", async (t) => {
  const served = await healthy(t);
  const pod = { how: "pods", spec: { type: "pod" } } as unknown as PreflightInput["nodeAccess"];
  const asked = await ask(served, {
    resolved: experiment({ target: { component: "kubelet" } }),
    nodeAccess: pod,
  });
  t.deepEqual(asked.failed, []);
  t.like(
    asked.checks.find(({ name }) => name === "target"),
    { ok: true, assumed: true },
  );
  t.regex(asked.detail("target"), /\(assumed, checked once node access is there\)$/);
  t.like(
    asked.events.find((event) => event.type === "check" && event.name === "target"),
    { assumed: true },
  );
  const plan = planLines(
    { file: "x.yaml", keepApp: false },
    { ...asked, target: asked.target as AnyTarget, pods: ownPods({}, ["amd64"]) },
  );
  t.true(plan.some((line) => line.startsWith("  ? target: ")));
  t.false(plan.some((line) => line.startsWith("  ✓ target: ")));
});

test("node access that was asked for and does not work is refused, also where it is not needed", async (t) => {
  const asked = await ask(await healthy(t), {
    nodeAccess: { none: "not on this machine", asked: "engine" },
  });
  t.deepEqual(asked.failed, ["node access"]);
  t.is(
    asked.detail("node access"),
    "--node-access engine does not work: not on this machine. Omit it, or name another",
  );
});

test("nodes that are left out are named in a warning, and are not part of the target", async (t) => {
  const served = await healthy(t);
  const nodes = [
    node("worker-1"),
    node("cordoned", { spec: { unschedulable: true } }),
    { ...node("lost"), status: { conditions: [{ type: "Ready", status: "Unknown" }] } } as unknown as Node,
  ];
  const asked = await ask(served, {
    nodes,
    resolved: experiment({ target: { component: "kubelet" }, attack: { type: "none" } }),
  });
  t.deepEqual(
    asked.events.flatMap((event) => (event.type === "warning" ? [event.text] : [])),
    ["nodes that are left out: lost (not ready)"],
  );
  t.like(asked.target, { nodes: ["cordoned", "worker-1"] });
});
