/** A workload can come back before it is taken, and comes back as it was. */
import test from "ava";
import { sanitised } from "../../../src/kube/declared.js";
import type { KubeObject, ManagedFields } from "../../../src/kube/objects.js";
import type { WorkloadUndo } from "../../../src/safety/journal/undo.js";
import { canComeBack } from "../../../src/safety/restore/admission.js";
import { annotatedWorkloads, restoreAnnotated } from "../../../src/safety/restore/annotated.js";
import { undo } from "../../../src/safety/restore/undo-entries.js";
import { patch } from "../../../src/kube/api.js";
import { type FakeApiServer, status } from "../../helpers/fake-api-server.js";
import { deployment, DEPLOYMENTS, PODS, REPLICASETS, serve, writes } from "../../helpers/target-fixtures.js";

const PATH = `${DEPLOYMENTS}/kube-dns`;

const FIELDS: readonly ManagedFields[] = [
  {
    manager: "kubeadm",
    operation: "Apply",
    apiVersion: "apps/v1",
    time: "2026-01-01T00:00:00Z",
    fieldsType: "FieldsV1",
    fieldsV1: {
      "f:metadata": { "f:labels": { "f:k8s-app": {}, "f:kubernetes.io/cluster-service": {} } },
      "f:spec": { "f:replicas": {}, "f:template": { "f:spec": { "f:containers": {} } } },
    },
  },
  {
    manager: "kubectl-annotate",
    operation: "Update",
    apiVersion: "apps/v1",
    time: "2026-01-02T00:00:00Z",
    fieldsType: "FieldsV1",
    fieldsV1: { "f:metadata": { "f:annotations": { "f:note": {} } } },
  },
];

/** kube-dns with the fields of two owners. */
function kubeDns(server: FakeApiServer): { before: KubeObject; entry: WorkloadUndo; workload: Workload } {
  const draft = deployment();
  const before = server.put(DEPLOYMENTS, {
    ...draft,
    metadata: { ...draft.metadata, managedFields: FIELDS },
  });
  const place = { path: PATH, collection: DEPLOYMENTS, object: before };
  return {
    before,
    entry: { action: "restore-workload", ...place },
    workload: { kind: "Deployment", namespace: "kube-system", name: "kube-dns", ...place },
  };
}

type Workload = Parameters<typeof canComeBack>[1];

const fieldsNow = (server: FakeApiServer): readonly ManagedFields[] =>
  server.object(PATH)?.metadata.managedFields ?? [];

test("an attack that deletes no workload: only its pods are tried", async (t) => {
  const { server, transport } = await serve(t);
  const { workload } = kubeDns(server);
  t.deepEqual(await canComeBack(transport, workload, true), {
    ok: true,
    detail: "pods of Deployment kube-system/kube-dns can be created again (tried with dryRun=All)",
  });
  t.deepEqual(
    server.requests.filter(({ query }) => query.get("dryRun") === "All").map(({ path }) => path),
    [PODS],
  );
});

test("the live name is taken: a pass; the pod is as its controller makes it; nothing is stored", async (t) => {
  const { server, transport } = await serve(t);
  const { workload, before } = kubeDns(server);
  const { ok, detail } = await canComeBack(transport, workload);
  t.true(ok);
  t.is(detail, "Deployment kube-system/kube-dns and its pods can be created again (tried with dryRun=All)");
  const tries = server.requests.filter(({ query }) => query.get("dryRun") === "All");
  t.deepEqual(
    tries.map(({ path, status: code }) => `${path} ${code}`),
    [`${DEPLOYMENTS} 409`, `${PODS} 201`],
  );
  t.like(tries[0]?.body, sanitised(before));
  t.like(tries[1]?.body, {
    metadata: {
      generateName: "kube-dns-dry-run-",
      labels: { "k8s-app": "kube-dns", "pod-template-hash": "dry-run" },
      ownerReferences: [{ kind: "ReplicaSet", controller: true }],
    },
  });
  t.deepEqual(writes(server), []);
  t.deepEqual(server.objects(PODS), []);
  server.remove(PATH);
  t.true((await canComeBack(transport, workload)).ok, "a name that is free");
});

for (const [what, code, message, expected] of [
  [
    "PodSecurity",
    403,
    'pods "x" is forbidden: violates PodSecurity "restricted:latest": …',
    /violates PodSecurity.*would not come back/,
  ],
  [
    "a webhook that is down",
    500,
    'Internal error occurred: failed calling webhook "w.example.com": EOF',
    /webhook "w.example.com".*would not come back/,
  ],
  [
    "a webhook without dry run",
    400,
    'admission webhook "w.example.com" does not support dry run',
    /unknown: set the webhook's sideEffects to None or NoneOnDryRun$/,
  ],
] as const) {
  test(`pods that are refused by ${what}: the workload is not taken`, async (t) => {
    const { server, transport } = await serve(t);
    const { workload } = kubeDns(server);
    server.handle("POST", /\/pods$/, () => status(code, "Refused", message));
    const { ok, detail } = await canComeBack(transport, workload);
    t.false(ok);
    t.regex(detail, /^a pod of Deployment kube-system\/kube-dns cannot be created again: /);
    t.regex(detail, expected);
  });
}

test("a full quota counts the workload itself, so it can come back; an exceeded one refuses it", async (t) => {
  const { server, transport } = await serve(t);
  const { workload } = kubeDns(server);
  let used = 1;
  server.handle("POST", /\/deployments$/, () => {
    const quota = `requested: count/deployments.apps=1, used: count/deployments.apps=${used}, limited: count/deployments.apps=1`;
    return status(403, "Forbidden", `deployments.apps "kube-dns" is forbidden: exceeded quota: q, ${quota}`);
  });
  t.true((await canComeBack(transport, workload)).ok);
  used = 2;
  t.regex((await canComeBack(transport, workload)).detail, /cannot be created again: .*exceeded quota: q/);
});

test("without the right to create pods they are not tried, which is said", async (t) => {
  const { server, transport } = await serve(t);
  const { workload } = kubeDns(server);
  server.handle("POST", /selfsubjectaccessreviews$/, () => ({
    status: 201,
    body: { status: { allowed: false } },
  }));
  const { ok, detail } = await canComeBack(transport, workload);
  t.true(ok);
  t.regex(
    detail,
    /can be created again; its pods were not tried \(not allowed: create pods in kube-system\)$/,
  );
  t.deepEqual(server.requestsOf("POST", "/pods"), []);
});

test("recreated: every field belongs to whom it belonged, with the times, and none to us", async (t) => {
  const { server, transport } = await serve(t);
  const { before, entry } = kubeDns(server);
  server.remove(PATH);
  t.is((await undo(transport, entry)).how, "created");
  const after = server.object(PATH);
  t.deepEqual(sanitised(after as KubeObject), sanitised(before));
  t.deepEqual(fieldsNow(server), FIELDS);
  const again = await undo(transport, entry);
  t.deepEqual([again.how, again.by], ["found", "runner"], "its fields show who recreated it");
});

test("a controller's write between the creation and the fields' return: tried again", async (t) => {
  const { server, transport } = await serve(t);
  const { entry } = kubeDns(server);
  server.remove(PATH);
  let writesOfOthers = 0;
  server.handle("PUT", /kube-dns$/, () => {
    if (writesOfOthers++ < 2) server.update(PATH, { status: { observedGeneration: writesOfOthers } });
    return undefined;
  });
  t.is((await undo(transport, entry)).how, "created");
  t.deepEqual(fieldsNow(server), FIELDS);
});

test("scaled: the replicas and their owner are as before; the mark is gone, and no annotation was set", async (t) => {
  const { server, transport } = await serve(t);
  const { before, entry } = kubeDns(server);
  await patch(
    transport,
    PATH,
    { spec: { replicas: 0 } },
    { fieldManager: "kube-system-chaos/run-1/replicas-2" },
  );
  t.true(fieldsNow(server).some(({ manager }) => manager === "kube-system-chaos/run-1/replicas-2"));
  t.is((await undo(transport, { ...entry, onlyReplicas: true })).how, "patched");
  t.deepEqual(fieldsNow(server), FIELDS);
  t.deepEqual(server.object(PATH)?.metadata.annotations, before.metadata.annotations);
});

test("older versions' annotations go from the Deployment and from its ReplicaSets, and from no other", async (t) => {
  const { server, transport } = await serve(t);
  const { before, entry } = kubeDns(server);
  const annotations = { "kube-system-chaos/run": "run-1", "kube-system-chaos/replicas": "2", note: "kept" };
  server.update(PATH, { metadata: { annotations }, spec: { replicas: 0 } });
  const owned = (uid: string): object => ({
    annotations,
    ownerReferences: [{ apiVersion: "apps/v1", kind: "Deployment", name: "kube-dns", uid, controller: true }],
  });
  server.put(REPLICASETS, { metadata: { name: "owned", ...owned(before.metadata.uid) } });
  server.put(REPLICASETS, { metadata: { name: "other", ...owned("u") } });
  await undo(transport, { ...entry, onlyReplicas: true });
  t.deepEqual(server.object(PATH)?.metadata.annotations, before.metadata.annotations);
  t.deepEqual(server.object(`${REPLICASETS}/owned`)?.metadata.annotations, { note: "kept" });
  t.deepEqual(server.object(`${REPLICASETS}/other`)?.metadata.annotations, annotations);
});

test("without any journal: the field manager shows the run and the replicas, and goes with them", async (t) => {
  const { server, transport } = await serve(t);
  kubeDns(server);
  await patch(
    transport,
    PATH,
    { spec: { replicas: 0 } },
    { fieldManager: "kube-system-chaos/run-1/replicas-2" },
  );
  const [workload] = await annotatedWorkloads(transport);
  t.like(workload, { runId: "run-1", name: "kube-dns", replicas: 2 });
  if (workload !== undefined) await restoreAnnotated(transport, workload);
  t.is((server.object(PATH)?.spec as { replicas: number }).replicas, 2);
  t.deepEqual(await annotatedWorkloads(transport), []);
  await patch(
    transport,
    PATH,
    { spec: { replicas: 0 } },
    { fieldManager: "kube-system-chaos/run-2/replicas-2" },
  );
  await patch(transport, PATH, { spec: { replicas: 5 } }, { fieldManager: "hpa" });
  t.deepEqual(await annotatedWorkloads(transport), [], "someone else has set them since");
});

const SCALE = { onlyField: { at: ["spec", "replicas"], right: 2, wrong: 3 } } as const;

test("a function check's field: set back while it is the run's own, and only it", async (t) => {
  const { server, transport } = await serve(t);
  const { entry } = kubeDns(server);
  const own = { fieldManager: "kube-system-chaos" } as const;
  await patch(transport, `${PATH}/scale`, { spec: { replicas: 3 } }, own);
  server.update(PATH, { metadata: { labels: { theirs: "1" } } });
  t.is((await undo(transport, { ...entry, ...SCALE })).how, "patched");
  t.is((server.object(PATH)?.spec as { replicas: number }).replicas, 2);
  t.is(server.object(PATH)?.metadata.labels?.["theirs"], "1");
  t.deepEqual(fieldsNow(server), FIELDS);
});

test("a function check's field that someone else has set, and an object that is gone, stay so", async (t) => {
  const { server, transport } = await serve(t);
  const { entry } = kubeDns(server);
  for (const replicas of [7, 3]) {
    await patch(transport, `${PATH}/scale`, { spec: { replicas } }, { fieldManager: "hpa" });
    t.is((await undo(transport, { ...entry, ...SCALE })).how, "untouched");
    t.is((server.object(PATH)?.spec as { replicas: number }).replicas, replicas);
  }
  server.remove(PATH);
  t.is((await undo(transport, { ...entry, ...SCALE })).how, "untouched");
  t.is(server.object(PATH), undefined);
});

test("a policy that refuses the return: the error names it and says what to do", async (t) => {
  const { server, transport } = await serve(t);
  const { entry } = kubeDns(server);
  server.remove(PATH);
  const message = "ValidatingAdmissionPolicy 'no-dns' with binding 'b' denied request: no";
  server.handle("POST", /deployments$/, () => status(422, "Invalid", message));
  await t.throwsAsync(undo(transport, entry), {
    message:
      /^could not create Deployment kube-system\/kube-dns again: .*'no-dns'.*\. Change what refuses it .*, then run `chaos restore`$/,
  });
});
