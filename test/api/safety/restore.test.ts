import { after } from "../../../src/common/clock.js";
import test from "ava";
import type { Clock } from "../../../src/common/clock.js";
import { differences, sanitised } from "../../../src/kube/declared.js";
import type { KubeObject } from "../../../src/kube/objects.js";
import type { Undo } from "../../../src/safety/journal/journal.js";
import { type Undone } from "../../../src/safety/journal/undo.js";
import { namespacesOf } from "../../../src/safety/restore/order.js";
import { restoredEvent, undo, undoAll, undoTogether } from "../../../src/safety/restore/undo-entries.js";
import type { FakeApiServer } from "../../helpers/fake-api-server.js";
import { deployment, DEPLOYMENTS, LABELS, pod, serve, writes } from "../../helpers/target-fixtures.js";

const PATH = `${DEPLOYMENTS}/kube-dns`;
const NAMESPACES = "/api/v1/namespaces";
const OURS = { "app.kubernetes.io/managed-by": "kube-system-chaos" } as const;

/** A clock that only `sleep` moves. */
function sleepingClock(onSleep: (now: number) => void = () => undefined): Clock {
  let now = 0;
  return {
    now: () => now,
    after,
    wall: () => new Date(now),
    sleep: async (ms) => {
      now += ms;
      await Promise.resolve(onSleep(now));
    },
  };
}

/** The Deployment from before the run, and the entry that restores it. */
function snapshot(server: FakeApiServer): { before: KubeObject; entry: Undo } {
  const before = server.put(DEPLOYMENTS, deployment());
  return {
    before,
    entry: { action: "restore-workload", path: PATH, collection: DEPLOYMENTS, object: before },
  };
}

/** addon-manager's way: from its manifest, which lacks what it lacks, under kubectl's name. */
function recreate(server: FakeApiServer, change: Record<string, unknown> = {}): KubeObject {
  const { metadata, spec } = deployment() as { metadata: object; spec: object };
  return server.put(DEPLOYMENTS, {
    metadata: {
      ...metadata,
      annotations: { "kubectl.kubernetes.io/last-applied-configuration": "{}" },
      managedFields: [
        { manager: "kube-controller-manager", time: "2026-08-01T12:00:09Z" },
        { manager: "kubectl-client-side-apply", time: "2026-08-01T12:00:01Z" },
      ],
      ...(change["metadata"] as object | undefined),
    },
    spec: { ...spec, replicas: 1, ...(change["spec"] as object | undefined) },
  });
}

const remove = (path: string, labels: Readonly<Record<string, string>> = OURS): Undo => ({
  action: "remove",
  path,
  object: { kind: "Namespace", name: path.split("/").at(-1) ?? "" },
  labels,
});

test("sanitised: removes what the server sets and keeps everything that an owner declares", (t) => {
  const declared = {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: {
      name: "kube-dns",
      namespace: "kube-system",
      labels: { a: "b" },
      annotations: { "kubectl.kubernetes.io/last-applied-configuration": "{}", note: "n" },
      finalizers: ["example.com/f"],
      ownerReferences: [{ apiVersion: "v1", kind: "Addon", name: "x", uid: "y" }],
    },
    spec: { replicas: 2, template: { metadata: { creationTimestamp: null } } },
  };
  const live = {
    ...declared,
    metadata: {
      ...declared.metadata,
      annotations: { ...declared.metadata.annotations, "deployment.kubernetes.io/revision": "4" },
      uid: "u",
      resourceVersion: "9",
      generation: 4,
      creationTimestamp: "2026-08-01T12:00:00Z",
      managedFields: [{ manager: "m" }],
      selfLink: "/apis/…",
      generateName: "kube-dns-",
      deletionTimestamp: "2026-08-01T12:00:01Z",
      deletionGracePeriodSeconds: 0,
    },
    status: { replicas: 2 },
  } as unknown as KubeObject;
  const copy = structuredClone(live);
  t.deepEqual(sanitised(live), declared as unknown as KubeObject);
  t.deepEqual(live, copy, "the snapshot itself is not changed");
  t.deepEqual(sanitised(sanitised(live)), sanitised(live));
});

test("sanitised: removes the annotations field when none is left", (t) => {
  const bare = { metadata: { name: "a" } } as KubeObject;
  const counted = {
    metadata: { name: "a", annotations: { "deployment.kubernetes.io/revision": "1" } },
  } as unknown as KubeObject;
  t.deepEqual(sanitised(counted), sanitised(bare));
  t.false("annotations" in sanitised(counted).metadata);
});

test("differences: names paths and ignores the order of keys", (t) => {
  t.deepEqual(differences({ a: 1, b: { c: [1], d: 2 } }, { b: { d: 2, c: [1] }, a: 1 }), []);
  t.deepEqual(differences({ spec: { replicas: 2 } }, { spec: { replicas: 1 } }), [".spec.replicas"]);
  t.deepEqual(differences({ m: { a: "x" } }, { m: { b: "x" } }), [".m.a", ".m.b"]);
  t.deepEqual(differences({ l: [1, 2] }, { l: [2, 1] }), [".l"]);
  t.deepEqual(differences({ l: [] }, { l: {} }), [".l"]);
  t.deepEqual(differences({ a: null }, { a: {} }), [".a"]);
  t.deepEqual(differences({}, { a: 0 }), [".a"]);
  t.deepEqual(differences(1, 2), ["."]);
});

test("a deleted workload is recreated, equal to the snapshot except for what the server sets", async (t) => {
  const { server, transport } = await serve(t);
  const { before, entry } = snapshot(server);
  server.remove(PATH);
  const undone = await undo(transport, entry);
  const after = server.object(PATH);
  t.deepEqual(sanitised(after as KubeObject), sanitised(before));
  t.not(after?.metadata.uid, before.metadata.uid);
  t.is(undone.how, "created");
  t.is(undone.by, "runner");
  t.is(undone.object.uid, after?.metadata.uid);
  const [request, fields, ...others] = writes(server);
  t.is(others.length, 0);
  t.is(`${fields?.method} ${fields?.path}`, `PUT ${PATH}`, "its fields go back to their owners");
  t.is(`${request?.method} ${request?.path}`, `POST ${DEPLOYMENTS}`);
  const body = request?.body as KubeObject;
  t.deepEqual(body, sanitised(before), "nothing that the server sets is sent");
});

test("a workload that another restorer recreated with less is fully repaired, and the restorer is named", async (t) => {
  const { server, transport } = await serve(t);
  const { before, entry } = snapshot(server);
  server.remove(PATH);
  const theirs = recreate(server);
  const undone = await undo(transport, entry);
  const after = server.object(PATH);
  t.deepEqual(sanitised(after as KubeObject), sanitised(before));
  t.is(after?.metadata.uid, theirs.metadata.uid, "repaired in its place, not deleted again");
  t.is(undone.how, "patched");
  t.is(undone.by, "kubectl-client-side-apply", "the first to have written it");
  t.deepEqual(
    writes(server).map(({ method }) => method),
    ["PUT", "PUT"],
  );
});

test("a workload recreated without replicas and with an extra label: the snapshot wins", async (t) => {
  const { server, transport } = await serve(t);
  const { before, entry } = snapshot(server);
  server.remove(PATH);
  recreate(server, { metadata: { labels: { ...LABELS, theirs: "1" } }, spec: { replicas: undefined } });
  t.is((await undo(transport, entry)).how, "patched");
  t.deepEqual(sanitised(server.object(PATH) as KubeObject), sanitised(before));
});

test("a workload that another restorer recreated equal: found, with the restorer's name, and nothing is written", async (t) => {
  const { server, transport } = await serve(t);
  const { before, entry } = snapshot(server);
  server.remove(PATH);
  const { metadata, spec } = deployment() as { metadata: Record<string, unknown>; spec: object };
  server.put(DEPLOYMENTS, {
    metadata: {
      ...metadata,
      annotations: { note: "kept", "deployment.kubernetes.io/revision": "1" },
      generation: 1,
      managedFields: [{ manager: "addon-manager", time: "2026-08-01T12:00:01Z" }],
    },
    spec,
  });
  const undone = await undo(transport, entry);
  t.is(undone.how, "found");
  t.is(undone.by, "addon-manager");
  t.not(undone.object.uid, before.metadata.uid);
  t.deepEqual(writes(server), []);
});

test("a workload that was never gone: untouched, and nothing is written, whatever its status", async (t) => {
  const { server, transport } = await serve(t);
  const { entry } = snapshot(server);
  server.update(PATH, { status: { readyReplicas: 0 } });
  const undone = await undo(transport, entry);
  t.is(undone.how, "untouched");
  t.is(undone.by, "runner");
  t.deepEqual(writes(server), []);
});

test("a workload that was never gone but changed is patched by the runner, whatever its creator", async (t) => {
  const { server, transport } = await serve(t);
  const { before, entry } = snapshot(server);
  server.update(PATH, { spec: { replicas: 0 } });
  const undone = await undo(transport, entry);
  t.is(undone.how, "patched");
  t.is(undone.by, "runner");
  t.is(undone.object.uid, before.metadata.uid);
  t.deepEqual(sanitised(server.object(PATH) as KubeObject), sanitised(before));
});

test("created, but the answer was lost: the next attempt finds the runner's own object", async (t) => {
  const { server, transport } = await serve(t);
  const { before, entry } = snapshot(server);
  server.remove(PATH);
  server.handle("POST", /deployments$/, ({ body }) => {
    const made = body as { metadata: object; spec: object };
    const managedFields = [{ manager: "kube-system-chaos", time: "2026-08-01T12:00:01Z" }];
    server.put(DEPLOYMENTS, { ...made, metadata: { ...made.metadata, managedFields } });
    return { status: 500, body: { kind: "Status", code: 500, message: "etcdserver: request timed out" } };
  });
  const undone: Undone[] = [];
  const failures = await undoAll(
    transport,
    [{ seq: 1, undo: entry }],
    async (_seq, each) => await Promise.resolve(void undone.push(each)),
    { clock: sleepingClock(), limitMs: 5_000 },
  );
  t.deepEqual(failures, []);
  t.deepEqual(
    undone.map(({ how, by }) => `${how} by ${by}`),
    ["found by runner"],
  );
  t.deepEqual(sanitised(server.object(PATH) as KubeObject), sanitised(before));
  t.deepEqual(
    writes(server).map(({ method }) => method),
    ["POST", "PUT"],
  );
});

test("undoing twice is the same as once: the second attempt finds what the first created", async (t) => {
  const { server, transport } = await serve(t);
  const { entry } = snapshot(server);
  for (const [begin, how] of [
    [() => server.update(PATH, { spec: { replicas: 1 } }), "untouched"],
    [() => server.remove(PATH), "found"],
  ] as const) {
    begin();
    await undo(transport, entry);
    const first = structuredClone(server.object(PATH));
    const count = writes(server).length;
    t.is((await undo(transport, entry)).how, how);
    t.deepEqual(server.object(PATH), first);
    t.is(writes(server).length, count);
  }
});

test("someone else creates it between the read and the creation: it is repaired in the end", async (t) => {
  const { server, transport } = await serve(t);
  const { before, entry } = snapshot(server);
  server.remove(PATH);
  let raced = false;
  server.handle("POST", /deployments$/, () => {
    if (!raced) recreate(server);
    raced = true;
    return undefined;
  });
  const undone = await undo(transport, entry);
  t.is(undone.how, "patched");
  t.is(undone.by, "kubectl-client-side-apply");
  t.deepEqual(sanitised(server.object(PATH) as KubeObject), sanitised(before));
  t.deepEqual(
    writes(server).map(({ method, status }) => `${method} ${status}`),
    ["POST 409", "PUT 200", "PUT 200"],
  );
});

test("someone else changes it between the read and the repair: it is read again and repaired", async (t) => {
  const { server, transport } = await serve(t);
  const { before, entry } = snapshot(server);
  server.update(PATH, { spec: { replicas: 1 } });
  let races = 0;
  server.handle("PUT", /kube-dns$/, () => {
    if (races++ < 3) server.update(PATH, { spec: { replicas: races + 5 } });
    return undefined;
  });
  t.is((await undo(transport, entry)).how, "patched");
  t.deepEqual(sanitised(server.object(PATH) as KubeObject), sanitised(before));
  t.deepEqual(
    writes(server).map(({ status }) => status),
    [409, 409, 409, 200, 200],
  );
});

test("someone else deletes it between the read and the repair: it is created", async (t) => {
  const { server, transport } = await serve(t);
  const { before, entry } = snapshot(server);
  server.update(PATH, { spec: { replicas: 1 } });
  let raced = false;
  server.handle("PUT", /kube-dns$/, () => {
    if (!raced) server.remove(PATH);
    raced = true;
    return undefined;
  });
  t.is((await undo(transport, entry)).how, "created");
  t.deepEqual(sanitised(server.object(PATH) as KubeObject), sanitised(before));
});

test("repeated conflicts end with an error, not in an endless loop", async (t) => {
  const { server, transport } = await serve(t);
  const { entry } = snapshot(server);
  server.update(PATH, { spec: { replicas: 1 } });
  server.fault({ kind: "status", status: 409, reason: "Conflict", method: "PUT", times: Infinity });
  await t.throwsAsync(undo(transport, entry), { message: /409/ });
  t.is(writes(server).length, 10);
});

test("still being deleted: the error names the finalizers, and nothing is written", async (t) => {
  const { server, transport } = await serve(t);
  const { entry } = snapshot(server);
  server.update(PATH, {
    metadata: { deletionTimestamp: "2026-08-01T12:00:00Z", finalizers: ["foregroundDeletion"] },
  });
  await t.throwsAsync(undo(transport, entry), { message: /still being deleted.*foregroundDeletion/ });
  t.deepEqual(writes(server), []);
});

test("remove: an own object is deleted by its uid, in the background", async (t) => {
  const { server, transport } = await serve(t);
  const made = server.put(NAMESPACES, { metadata: { name: "guestbook", labels: { ...OURS, more: "1" } } });
  const undone = await undo(transport, remove(`${NAMESPACES}/guestbook`));
  t.is(undone.how, "removed");
  t.is(server.object(`${NAMESPACES}/guestbook`), undefined);
  t.like(writes(server)[0]?.body, {
    kind: "DeleteOptions",
    apiVersion: "v1",
    propagationPolicy: "Background",
    preconditions: { uid: made.metadata.uid },
  });
});

test("remove: a namespace is emptied first, owners first, and nothing outside it is changed", async (t) => {
  const { server, transport } = await serve(t);
  const place = (namespace: string): string => `/apis/apps/v1/namespaces/${namespace}`;
  for (const name of ["guestbook", "shop"]) {
    server.put(NAMESPACES, { metadata: { name, labels: OURS } });
    for (const resource of ["replicasets", "daemonsets", "deployments"]) {
      server.put(`${place(name)}/${resource}`, { metadata: { name: "x" } });
    }
    server.put(`${NAMESPACES}/${name}/pods`, pod("x"));
  }
  // The kubelet of its node: a pod that is being deleted is gone soon.
  server.handle("GET", /guestbook\/pods$/, () => {
    if (server.requestsOf("DELETE", "pods").length > 0)
      server.finishDeletions(`${NAMESPACES}/guestbook/pods`);
    return undefined;
  });
  await undo(transport, remove(`${NAMESPACES}/guestbook`));
  t.deepEqual(
    writes(server).map(({ path }) => path.replace(/^.*guestbook\/?/, "")),
    ["deployments/x", "daemonsets/x", "replicasets/x", "pods/x", ""],
  );
  for (const { body } of writes(server)) {
    const options = body as { preconditions?: { uid?: string } };
    t.regex(options.preconditions?.uid ?? "", /^[0-9a-f-]{36}$/);
  }
  t.is(server.objects(`${NAMESPACES}/shop/pods`).length, 1);
  t.not(server.object(`${NAMESPACES}/shop`), undefined);
});

for (const [what, fault] of [
  ["listed", { kind: "status", status: 403, method: "GET", path: "/guestbook/" }],
  ["deleted", { kind: "status", status: 500, method: "DELETE", path: "/pods/" }],
] as const) {
  test(`remove: a namespace whose content cannot be ${what} is still removed`, async (t) => {
    const { server, transport } = await serve(t);
    server.put(NAMESPACES, { metadata: { name: "guestbook", labels: OURS } });
    server.put(`${NAMESPACES}/guestbook/pods`, pod("x"));
    server.fault({ ...fault, times: Infinity });
    t.is((await undo(transport, remove(`${NAMESPACES}/guestbook`))).how, "removed");
    t.is(server.object(`${NAMESPACES}/guestbook`), undefined);
  });
}

for (const [what, labels] of [
  ["without labels", undefined],
  ["of someone else", { "app.kubernetes.io/managed-by": "Helm" }],
  ["of another run", { ...OURS, "kube-system-chaos/run": "run-2" }],
] as const) {
  test(`remove: an object ${what} is left unchanged`, async (t) => {
    const { server, transport } = await serve(t);
    server.put(NAMESPACES, { metadata: { name: "guestbook", ...(labels && { labels }) } });
    const entry = remove(`${NAMESPACES}/guestbook`, { ...OURS, "kube-system-chaos/run": "run-1" });
    await undo(transport, entry);
    t.not(server.object(`${NAMESPACES}/guestbook`), undefined);
    t.deepEqual(writes(server), []);
  });
}

test("remove: an object that is gone counts as removed, also when it goes or is recreated in between", async (t) => {
  const { server, transport } = await serve(t);
  t.is((await undo(transport, remove(`${NAMESPACES}/never`))).how, "removed");
  t.deepEqual(writes(server), []);
  server.put(NAMESPACES, { metadata: { name: "a", labels: OURS } });
  server.handle("DELETE", /\/a$/, () => void server.remove(`${NAMESPACES}/a`));
  t.is((await undo(transport, remove(`${NAMESPACES}/a`))).how, "removed");
  server.put(NAMESPACES, { metadata: { name: "b", labels: OURS } });
  server.handle("DELETE", /\/b$/, () => {
    server.remove(`${NAMESPACES}/b`);
    server.put(NAMESPACES, { metadata: { name: "b", labels: OURS } });
    return undefined;
  });
  await undo(transport, remove(`${NAMESPACES}/b`));
  t.not(server.object(`${NAMESPACES}/b`), undefined, "another run's, under the same name");
});

test("undoAll: undoes from the last to the first, continues after failures and reports them", async (t) => {
  const { server, transport } = await serve(t);
  for (const name of ["a", "b", "c", "d"]) server.put(NAMESPACES, { metadata: { name, labels: OURS } });
  server.fault({ kind: "status", status: 500, method: "DELETE", path: "/c", times: Infinity });
  server.fault({ kind: "reset", method: "DELETE", path: "/b", times: Infinity });
  const pending = ["a", "b", "c", "d"].map((name, index) => ({
    seq: index + 1,
    undo: remove(`${NAMESPACES}/${name}`),
  }));
  const done: number[] = [];
  const failures = await undoAll(transport, pending, async (seq) => {
    done.push(seq);
    await Promise.resolve();
  });
  t.deepEqual(done, [4, 1]);
  t.deepEqual(
    failures.map((failure) => failure.undo),
    [pending[2]?.undo, pending[1]?.undo] as Undo[],
  );
  t.regex(failures[0]?.error ?? "", /500/);
  t.regex(failures[1]?.error ?? "", /no answer/);
  t.deepEqual(
    server.objects(NAMESPACES).map((object) => object.metadata.name),
    ["b", "c"],
  );
  t.deepEqual(
    server
      .requestsOf("GET")
      .filter(({ path }) => /namespaces\/.$/.test(path))
      .map(({ path }) => path.at(-1)),
    ["d", "c", "b", "a"],
  );
});

test("undoAll with retry: retries each entry until its time is up, then continues with the next", async (t) => {
  const { server, transport } = await serve(t);
  for (const name of ["a", "b", "c"]) server.put(NAMESPACES, { metadata: { name, labels: OURS } });
  server.fault({ kind: "status", status: 500, method: "DELETE", path: "/c", times: 3 });
  server.fault({ kind: "reset", method: "DELETE", path: "/b", times: Infinity });
  const pending = ["a", "b", "c"].map((name, index) => ({
    seq: index + 1,
    undo: remove(`${NAMESPACES}/${name}`),
  }));
  const clock = sleepingClock();
  const done: { seq: number; at: number }[] = [];
  const failures = await undoAll(
    transport,
    pending,
    async (seq) => await Promise.resolve(void done.push({ seq, at: clock.now() })),
    { clock, limitMs: 5_000 },
  );
  t.deepEqual(done, [
    { seq: 3, at: 3_000 },
    { seq: 1, at: 8_000 },
  ]);
  t.deepEqual(
    failures.map((failure) => failure.undo),
    [pending[1]?.undo] as Undo[],
  );
  t.regex(failures[0]?.error ?? "", /no answer/, "the last error is reported");
  t.is(server.requestsOf("GET", "/b/deployments").length, 6, "at once, then after each second");
});

test("undoAll with retry: an entry whose report fails is not undone again", async (t) => {
  const { server, transport } = await serve(t);
  server.put(NAMESPACES, { metadata: { name: "a", labels: OURS } });
  const clock = sleepingClock();
  let reports = 0;
  const failures = await undoAll(
    transport,
    [{ seq: 1, undo: remove(`${NAMESPACES}/a`) }],
    async () => {
      reports += 1;
      await Promise.reject(new Error("disk full"));
    },
    { clock, limitMs: 5_000 },
  );
  t.is(reports, 1);
  t.is(clock.now(), 0);
  t.deepEqual(
    failures.map(({ error }) => error),
    ["disk full"],
  );
});

test("undoAll with retry: a workload that is still terminating is recreated when its name is free", async (t) => {
  const { server, transport } = await serve(t);
  const { before, entry } = snapshot(server);
  server.update(PATH, {
    metadata: { deletionTimestamp: "2026-08-01T12:00:00Z", finalizers: ["foregroundDeletion"] },
  });
  const clock = sleepingClock((now) => void (now >= 2_000 && server.remove(PATH)));
  const hows: string[] = [];
  const failures = await undoAll(
    transport,
    [{ seq: 1, undo: entry }],
    async (_seq, { how }) => await Promise.resolve(void hows.push(how)),
    { clock, limitMs: 5_000 },
  );
  t.deepEqual(failures, []);
  t.deepEqual(hows, ["created"]);
  t.deepEqual(sanitised(server.object(PATH) as KubeObject), sanitised(before));
});

test("undoTogether: undoes all entries in parallel and reports each failure", async (t) => {
  const { server, transport } = await serve(t);
  for (const name of ["a", "b", "c"]) server.put(NAMESPACES, { metadata: { name, labels: OURS } });
  server.fault({ kind: "status", status: 500, method: "DELETE", path: "/b", times: Infinity });
  // No request is answered before all of them have arrived.
  let release = (): void => undefined;
  const all = new Promise<void>((resolve) => (release = resolve));
  const asked = new Set<string>();
  server.handle("GET", /namespaces\/.$/, async ({ path }) => {
    if (asked.add(path).size === 3) release();
    await all;
    return undefined;
  });
  const pending = ["a", "b", "c"].map((name, index) => ({
    seq: index + 1,
    undo: remove(`${NAMESPACES}/${name}`),
  }));
  const done: number[] = [];
  const failures = await undoTogether(transport, pending, async (seq) => {
    done.push(seq);
    await Promise.resolve();
  });
  t.deepEqual(done.sort(), [1, 3]);
  t.deepEqual(
    failures.map((failure) => failure.undo),
    [pending[1]?.undo] as Undo[],
  );
});

test("a restored object gives an event; a removed or untouched one does not", (t) => {
  const object = { kind: "Deployment", name: "kube-dns" };
  for (const how of ["created", "patched", "found", "started", "returned"] as const) {
    t.deepEqual(restoredEvent({ object, how, by: "x" }), { type: "restored", object, how, by: "x" });
  }
  for (const how of ["removed", "untouched"] as const) {
    t.is(restoredEvent({ object, how, by: "runner" } satisfies Undone), undefined);
  }
});

test("namespaces among the entries", (t) => {
  const lease: Undo = { ...remove("/l"), object: { kind: "Lease", name: "l" } } as Undo;
  const workload: Undo = {
    action: "restore-workload",
    path: PATH,
    collection: DEPLOYMENTS,
    object: {} as KubeObject,
  };
  const entries = [remove(`${NAMESPACES}/a`), lease, workload, remove(`${NAMESPACES}/b`)];
  t.deepEqual(namespacesOf(entries.map((entry, seq) => ({ seq, undo: entry }))), ["a", "b"]);
});
