import test from "ava";
import type { ExecutionContext } from "ava";
import type { KubeObject } from "../../../src/kube/objects.js";
import type { GuestbookOptions } from "../../../src/application/guestbook.js";
import { experimentSchema } from "../../../src/experiment/schema.js";
import {
  ApplicationWatch,
  deployedObjects,
  foreignDifferences,
} from "../../../src/run/measuring/application-watch.js";
import { replaceDatabasePod } from "../../../src/run/phases/churn.js";
import { systemClock } from "../../../src/common/clock.js";
import type { RunContext } from "../../../src/run/context.js";
import type { Draft, FakeApiServer } from "../../helpers/fake-api-server.js";
import { serve, until, type Served } from "../../helpers/target-fixtures.js";

const NAMESPACES = "/api/v1/namespaces";
const DEPLOYMENTS = "/apis/apps/v1/namespaces/guestbook/deployments";
const SERVICES = "/api/v1/namespaces/guestbook/services";

const { guestbook } = experimentSchema.parse({
  apiVersion: "kube-system-chaos/v1",
  kind: "Experiment",
  metadata: { name: "x" },
  target: { component: "kube-dns" },
}).application as { guestbook: GuestbookOptions };

function deployment(name: string, change: Draft = {}): Draft {
  return {
    metadata: { name },
    spec: {
      replicas: 1,
      strategy: { type: "RollingUpdate", rollingUpdate: { maxSurge: "25%", maxUnavailable: "25%" } },
      selector: { matchLabels: { app: name } },
      template: { metadata: { labels: { app: name } }, spec: { containers: [{ name: "x", image: "x:1" }] } },
    },
    ...change,
  };
}

function putGuestbook(server: FakeApiServer): void {
  server.put(NAMESPACES, { metadata: { name: "guestbook" } });
  for (const { kind, name } of deployedObjects(guestbook)) {
    if (kind === "Deployment") server.put(DEPLOYMENTS, deployment(name));
    else
      server.put(SERVICES, { metadata: { name }, spec: { selector: { app: name }, ports: [{ port: 80 }] } });
  }
  // Someone else's object in the same namespace.
  server.put(DEPLOYMENTS, deployment("neighbour"));
}

interface Watched extends Served {
  /** The reported messages. */
  readonly reported: string[];
  readonly abort: AbortController;
  readonly done: Promise<void>;
}

async function watched(
  t: ExecutionContext,
  before: (server: FakeApiServer) => void = putGuestbook,
): Promise<Watched> {
  const served = await serve(t);
  before(served.server);
  const reported: string[] = [];
  const abort = new AbortController();
  const application = new ApplicationWatch({
    transport: served.transport,
    clock: systemClock(),
    namespace: "guestbook",
    objects: deployedObjects(guestbook),
    signal: abort.signal,
    onChange: (message) => void reported.push(message),
    resyncMs: 50,
  });
  const { synced, done } = application.start();
  t.teardown(async () => {
    abort.abort();
    await done;
  });
  await synced;
  return { ...served, reported, abort, done };
}

/** Waits until the namespace was read again successfully. */
async function settled({ server }: Watched): Promise<void> {
  const asked = server.requestsOf("GET", `${NAMESPACES}/guestbook`).length;
  await until("the namespace was read again", () => {
    return (
      server.requestsOf("GET", `${NAMESPACES}/guestbook`).filter(({ path, status }) => {
        return path === `${NAMESPACES}/guestbook` && status === 200;
      }).length > asked
    );
  });
}

const by = (manager: string): NonNullable<Draft["metadata"]> => ({
  managedFields: [
    { manager: "kube-system-chaos", time: "2026-01-01T00:00:00Z", fieldsV1: { "f:spec": {} } },
    { manager, time: "2026-01-01T00:01:00Z", fieldsV1: { "f:spec": { "f:replicas": {} } } },
    { manager: "kube-controller-manager", time: "2026-01-01T00:02:00Z", fieldsV1: { "f:status": {} } },
  ],
});

test("the objects of the guestbook, as the run deploys them", (t) => {
  const names = deployedObjects(guestbook).map(({ kind, name }) => `${kind} ${name}`);
  t.deepEqual(names.sort(), [
    "Deployment frontend",
    "Deployment frontend-env",
    "Deployment redis-follower",
    "Deployment redis-leader",
    "Service frontend",
    "Service redis-follower",
    "Service redis-leader",
  ]);
});

test("no change, no report: status and objects of someone else do not count", async (t) => {
  const watch = await watched(t);
  watch.server.update(`${DEPLOYMENTS}/frontend`, { status: { readyReplicas: 0 } });
  watch.server.update(`${DEPLOYMENTS}/frontend`, { metadata: { annotations: { note: "x" } } });
  watch.server.update(`${DEPLOYMENTS}/neighbour`, { spec: { replicas: 7 } });
  watch.server.remove(`${DEPLOYMENTS}/neighbour`);
  await settled(watch);
  t.deepEqual(watch.reported, []);
});

const CHANGES: readonly (readonly [string, (server: FakeApiServer) => void, RegExp])[] = [
  [
    "a Deployment is deleted",
    (server) => void server.remove(`${DEPLOYMENTS}/frontend`),
    /^the application's Deployment guestbook\/frontend was deleted by someone else\. /,
  ],
  [
    "a Service is deleted",
    (server) => void server.remove(`${SERVICES}/redis-leader`),
    /^the application's Service guestbook\/redis-leader was deleted by someone else\. /,
  ],
  [
    "a Deployment's deletion has begun",
    (server) =>
      server.update(`${DEPLOYMENTS}/redis-leader`, {
        metadata: { deletionTimestamp: "2026-01-01T00:00:00Z" },
      }),
    /Deployment guestbook\/redis-leader was deleted/,
  ],
  [
    "a Deployment is scaled, and by whom",
    (server) =>
      server.update(`${DEPLOYMENTS}/frontend`, { metadata: by("kubectl-scale"), spec: { replicas: 0 } }),
    /Deployment guestbook\/frontend was changed by kubectl-scale: \.spec\.replicas\. /,
  ],
  [
    "a template is changed",
    (server) =>
      server.update(`${DEPLOYMENTS}/frontend`, {
        spec: { template: { spec: { containers: [{ name: "x", image: "x:2" }] } } },
      }),
    /changed by someone else: \.spec\.template\.spec\.containers\. /,
  ],
  [
    "someone else restarts it",
    (server) =>
      server.update(`${DEPLOYMENTS}/redis-leader`, {
        spec: { template: { metadata: { annotations: { "kubectl.kubernetes.io/restartedAt": "now" } } } },
      }),
    /changed by someone else: \.spec\.template\.metadata\.annotations\. /,
  ],
  [
    "a Service routes elsewhere",
    (server) => server.update(`${SERVICES}/frontend`, { spec: { selector: { app: "other" } } }),
    /Service guestbook\/frontend was changed by someone else: \.spec\.selector\.app\. /,
  ],
  [
    "the namespace is being deleted",
    (server) =>
      server.update(`${NAMESPACES}/guestbook`, { metadata: { deletionTimestamp: "2026-01-01T00:00:00Z" } }),
    /^the namespace guestbook of the application is being deleted\. /,
  ],
  [
    "the namespace and everything in it are gone: one message, with the cause",
    (server) => {
      server.remove(`${NAMESPACES}/guestbook`);
      for (const { kind, name } of deployedObjects(guestbook))
        server.remove(`${kind === "Deployment" ? DEPLOYMENTS : SERVICES}/${name}`);
    },
    /^the namespace guestbook of the application is gone\. /,
  ],
];

for (const [what, change, expected] of CHANGES) {
  test(`${what}: reported once`, async (t) => {
    const watch = await watched(t);
    // The namespace must be known before it is changed.
    await settled(watch);
    change(watch.server);
    await until("it was reported", () => watch.reported.length > 0);
    watch.server.remove(`${DEPLOYMENTS}/redis-follower`);
    await settledOrGone(watch);
    t.is(watch.reported.length, 1);
    t.regex(watch.reported[0] ?? "", expected);
    t.regex(watch.reported[0] ?? "", /not caused by the component$/);
  });
}

/** Waits until one more read of the namespace was answered, with any answer. */
async function settledOrGone({ server }: Watched): Promise<void> {
  const path = `${NAMESPACES}/guestbook`;
  const answered = (): number =>
    server.requests.filter((request) => request.path === path && request.status !== undefined).length;
  const before = answered();
  await until("the namespace was read again", () => answered() > before);
}

test("deleted and recreated under the same name: reported, with who did it", async (t) => {
  const watch = await watched(t);
  watch.server.silenceWatches();
  watch.server.remove(`${DEPLOYMENTS}/frontend`);
  watch.server.put(DEPLOYMENTS, deployment("frontend"));
  await until("it was reported", () => watch.reported.length > 0);
  t.regex(watch.reported[0] ?? "", /frontend was (deleted by someone else|deleted and recreated)/);
});

test("an object missing from the first list was deleted after the deployment", async (t) => {
  const watch = await watched(t, (server) => {
    putGuestbook(server);
    server.remove(`${DEPLOYMENTS}/frontend-env`);
  });
  await until("it was reported", () => watch.reported.length > 0);
  t.regex(watch.reported[0] ?? "", /Deployment guestbook\/frontend-env is gone: someone else deleted it/);
});

test("the run's own replacement of the database pod is not a foreign change", async (t) => {
  const watch = await watched(t);
  const reported: unknown[] = [];
  const context = {
    transport: watch.transport,
    clock: systemClock(),
    recorder: { emit: (body: unknown) => void reported.push(body) },
    resolved: { experiment: { application: { guestbook } } },
  } as unknown as RunContext;
  // No controller replaces the pod here: only the change of the Deployment matters.
  const over = new AbortController();
  const churning = replaceDatabasePod(context, { rehearsal: false, signal: over.signal });
  await until("the Deployment was patched", () =>
    watch.server.requestsOf("PATCH").some(({ status }) => status === 200),
  );
  await settled(watch);
  over.abort();
  t.false(await churning);
  t.like(reported[0], { type: "churn", ok: false });
  t.deepEqual(watch.reported, []);
  // Only that: the next change of the same object is a foreign change.
  watch.server.update(`${DEPLOYMENTS}/redis-leader`, { spec: { replicas: 0 } });
  await until("it was reported", () => watch.reported.length > 0);
  t.regex(watch.reported[0] ?? "", /redis-leader was changed by .*: \.spec\.replicas/);
});

test("after the signal nothing is reported: the run's own tear-down", async (t) => {
  const watch = await watched(t);
  watch.abort.abort();
  watch.server.remove(`${NAMESPACES}/guestbook`);
  watch.server.remove(`${DEPLOYMENTS}/frontend`);
  await watch.done;
  t.deepEqual(watch.reported, []);
});

test("an API server that is unreachable, refuses or restarts says nothing about the application", async (t) => {
  const watch = await watched(t);
  const heal = [
    watch.server.fault({ kind: "status", status: 429, retryAfter: 0.01, times: Infinity }),
    watch.server.fault({ kind: "reset", times: Infinity }),
  ];
  watch.server.resetWatches();
  await until("some requests had failed", () => {
    return watch.server.requests.filter(({ status }) => status === 429).length > 3;
  });
  heal.forEach((each) => each());
  await settled(watch);
  t.deepEqual(watch.reported, []);
});

test("a missing permission ends the watch with the API server's message", async (t) => {
  const { server, transport } = await serve(t);
  putGuestbook(server);
  server.fault({ kind: "status", status: 403, path: "/deployments", reason: "Forbidden", times: Infinity });
  const abort = new AbortController();
  const { synced, done } = new ApplicationWatch({
    transport,
    clock: systemClock(),
    namespace: "guestbook",
    objects: deployedObjects(guestbook),
    signal: abort.signal,
    onChange: () => t.fail(),
  }).start();
  await t.throwsAsync(done, { message: /Forbidden/ });
  await t.throwsAsync(synced, { message: /Forbidden/ });
  abort.abort();
});

test("differences: the run's own stamp and strategy do not count, in either order", (t) => {
  const object = (spec: unknown): KubeObject => ({
    metadata: { name: "x", uid: "1", resourceVersion: "1" },
    spec,
  });
  const plain = object({
    replicas: 1,
    strategy: {},
    template: { metadata: { labels: { a: "b" } }, spec: {} },
  });
  const own = object({
    replicas: 1,
    strategy: { type: "RollingUpdate" },
    template: {
      metadata: { labels: { a: "b" }, annotations: { "kube-system-chaos/replaced-at": "t" } },
      spec: {},
    },
  });
  t.deepEqual(foreignDifferences(plain, own), []);
  t.deepEqual(foreignDifferences(own, plain), []);
  t.deepEqual(foreignDifferences(plain, object({ replicas: 1 })), [".spec.template"]);
  t.deepEqual(foreignDifferences(object({ clusterIP: "a" }), object({ clusterIP: "b" })), [
    ".spec.clusterIP",
  ]);
});
