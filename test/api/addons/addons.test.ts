import test from "ava";
import { addonManagerProof } from "../../../src/addons/drift.js";
import { installAddons } from "../../../src/addons/install.js";
import { removeAddons } from "../../../src/addons/remove.js";
import { addonsStatus } from "../../../src/addons/status.js";
import { ChaosError, RefusedError } from "../../../src/common/errors.js";
import { API_SERVICES, CONFIGMAPS, LAST_APPLIED, type World, world } from "../../helpers/addons-world.js";
import { DAEMONSETS, deployment, DEPLOYMENTS, PODS } from "../../helpers/target-fixtures.js";

const COREDNS = `${DEPLOYMENTS}/coredns`;
const MODE = "addonmanager.kubernetes.io/mode";

/** Whether all requests after the first `requests` are reads. */
function onlyRead(at: World, requests: number): boolean {
  return at.server.requests.slice(requests).every(({ method }) => method === "GET");
}

test("install: everything exists, addon-manager manages the DNS and is proven", async (t) => {
  const at = await world(t);
  const { changed, repairedAfterMs } = await installAddons(at.options);
  t.true(changed);
  t.true((repairedAfterMs ?? 0) > 0);
  const names = at.server.objects(DEPLOYMENTS).map(({ metadata }) => metadata.name);
  t.deepEqual(names, [
    "coredns",
    "event-exporter",
    "fluentd-gcp-scaler",
    "kube-addon-manager",
    "kube-dns-autoscaler",
    "l7-default-backend",
    "metrics-server",
  ]);
  t.deepEqual(
    at.server.objects(DAEMONSETS).map(({ metadata }) => metadata.name),
    ["log-agent-opentelemetry-collector-agent", "metrics-agent-opentelemetry-collector-agent"],
  );
  const dns = at.server.object(COREDNS);
  t.is(dns?.metadata.labels?.[MODE], "Reconcile");
  t.like(dns, { spec: { replicas: 2 } }, "the manifest has no replicas, so they stay");
  t.like(await addonManagerProof(at.transport), { state: "proven" });
  t.regex(await addonsStatus(at.transport), /^study add-ons: installed; addon-manager reverted a change/);
});

test("install again: writes nothing and proves nothing again", async (t) => {
  const at = await world(t);
  await installAddons(at.options);
  const before = at.declared();
  const requests = at.server.requests.length;
  const startedAt = at.clock.now();
  t.deepEqual(await installAddons(at.options), { changed: false, repairedAfterMs: undefined });
  t.true(onlyRead(at, requests));
  t.is(at.clock.now(), startedAt, "it waits for nothing");
  t.deepEqual(at.declared(), before);
});

test("remove: the cluster is as before; a second removal has nothing to do", async (t) => {
  const at = await world(t);
  const before = at.declared();
  await installAddons(at.options);
  const { count } = await removeAddons(at.options);
  t.true(count > 20);
  t.deepEqual(at.declared(), before);
  t.is(await addonsStatus(at.transport), "study add-ons: not installed");
  const requests = at.server.requests.length;
  t.deepEqual(await removeAddons(at.options), { count: 0 });
  t.true(onlyRead(at, requests));
});

test("remove after the DNS was recreated with one replica: it is as before", async (t) => {
  const at = await world(t);
  const before = at.declared();
  await installAddons(at.options);
  at.server.remove(COREDNS);
  const end = at.clock.now() + 61_000;
  while (at.clock.now() < end) await at.clock.sleep(1_000);
  t.like(at.server.object(COREDNS), { spec: { replicas: undefined } });
  await removeAddons(at.options);
  t.deepEqual(at.declared(), before);
});

test("remove while the DNS does not exist: it is recreated", async (t) => {
  const at = await world(t);
  const before = at.declared();
  await installAddons(at.options);
  at.server.remove(COREDNS);
  await removeAddons(at.options);
  t.deepEqual(at.declared(), before);
});

test("the owner's last-applied annotation on the DNS is absent while addon-manager manages it", async (t) => {
  const at = await world(t);
  at.server.update(COREDNS, { metadata: { annotations: { [LAST_APPLIED]: '{"spec":{"replicas":2}}' } } });
  const before = at.declared();
  let seen: unknown = "nothing";
  at.meanwhile = () => {
    if (seen === "nothing") seen = at.server.object(COREDNS)?.metadata.annotations?.[LAST_APPLIED];
  };
  await installAddons(at.options);
  t.is(seen, undefined, "absent at addon-manager's first pass");
  await removeAddons(at.options);
  t.deepEqual(at.declared(), before);
});

test("never installed: removal does nothing, whatever else exists", async (t) => {
  const at = await world(t);
  at.server.put(CONFIGMAPS, { metadata: { name: "kube-dns-autoscaler" }, data: { linear: "theirs" } });
  at.server.put(DEPLOYMENTS, { metadata: { name: "kube-addon-manager" }, spec: {} });
  at.server.put(API_SERVICES, { metadata: { name: "v1beta1.metrics.k8s.io" } });
  at.server.update(COREDNS, { metadata: { labels: { [MODE]: "Reconcile" } } });
  const before = at.declared();
  t.deepEqual(await removeAddons(at.options), { count: 0 });
  t.deepEqual(at.declared(), before);
});

const conflicts: readonly {
  readonly what: string;
  readonly put: (at: World) => void;
  readonly message: RegExp;
}[] = [
  {
    what: "a foreign metrics-server: its APIService",
    put: ({ server }) => server.put(API_SERVICES, { metadata: { name: "v1beta1.metrics.k8s.io" } }),
    message: /APIService v1beta1\.metrics\.k8s\.io already exists and was not created by this tool/,
  },
  {
    what: "a foreign metrics-server under another name",
    put: ({ server }) =>
      server.put(DEPLOYMENTS, {
        metadata: { name: "metrics-server-v0.7.1", labels: { "k8s-app": "metrics-server" } },
      }),
    message: /Deployment kube-system\/metrics-server-v0\.7\.1 has the same function \(metrics-server\)/,
  },
  {
    what: "a foreign log agent of another kind",
    put: ({ server }) =>
      server.put(DAEMONSETS, { metadata: { name: "fluentbit-gke", labels: { "k8s-app": "fluentbit-gke" } } }),
    message: /DaemonSet kube-system\/fluentbit-gke has the same function \(fluentd\)/,
  },
  {
    what: "a Deployment with one of the names",
    put: ({ server }) => server.put(DEPLOYMENTS, { metadata: { name: "event-exporter" }, spec: {} }),
    message: /Deployment kube-system\/event-exporter already exists and was not created by this tool/,
  },
  {
    what: "the autoscaler's parameters",
    put: ({ server }) => server.put(CONFIGMAPS, { metadata: { name: "kube-dns-autoscaler" } }),
    message: /ConfigMap kube-system\/kube-dns-autoscaler already exists/,
  },
  {
    what: "a namespace with the sink's name",
    put: ({ server }) => server.put("/api/v1/namespaces", { metadata: { name: "kube-system-chaos-sink" } }),
    message: /Namespace kube-system-chaos-sink already exists/,
  },
  {
    what: "what addon-manager would prune",
    put: ({ server }) =>
      server.put(CONFIGMAPS, {
        metadata: {
          name: "foreign-addon",
          labels: { "kubernetes.io/cluster-service": "true" },
          annotations: { [LAST_APPLIED]: "{}" },
        },
      }),
    message:
      /ConfigMap kube-system\/foreign-addon is labelled as an add-on, so addon-manager would delete it/,
  },
  {
    what: "the cluster's own addon-manager",
    put: ({ server }) =>
      server.put(PODS, {
        metadata: { name: "kube-addon-manager-cp", labels: { component: "kube-addon-manager" } },
      }),
    message: /already has an addon-manager \(Pod kube-system\/kube-addon-manager-cp\)/,
  },
  {
    what: "a DNS that an addon-manager manages",
    put: ({ server }) => server.update(COREDNS, { metadata: { labels: { [MODE]: "EnsureExists" } } }),
    message: /Deployment kube-system\/coredns already has the label/,
  },
  {
    what: "no DNS",
    put: ({ server }) => void server.remove(COREDNS),
    message: /the label k8s-app=kube-dns \(the cluster's DNS\); found: none/,
  },
  {
    what: "no control plane node",
    put: ({ server }) => void server.update("/api/v1/nodes/cp", { metadata: { labels: null } }),
    message: /no node has the label node-role\.kubernetes\.io\/control-plane/,
  },
];
for (const { what, put, message } of conflicts) {
  test(`conflict: ${what}: refused before any change`, async (t) => {
    const at = await world(t);
    put(at);
    const before = at.declared();
    await t.throwsAsync(installAddons(at.options), { instanceOf: RefusedError, message });
    t.deepEqual(at.declared(), before);
    t.is(at.writes(), 0);
  });
}

test("the refusal names every conflict", async (t) => {
  const at = await world(t);
  for (const name of ["l7-default-backend", "event-exporter"])
    at.server.put(DEPLOYMENTS, { metadata: { name }, spec: {} });
  await t.throwsAsync(installAddons(at.options), { message: /event-exporter[^]*l7-default-backend/ });
});

/** The event exporter as its controllers made it, with a pod whose image was not pulled `times` times. */
function notPulled({ server }: World, times: number, why: string): void {
  const owner = (kind: string, name: string): object => ({ ownerReferences: [{ kind, name, uid: name }] });
  const name = "event-exporter";
  server.put(DEPLOYMENTS, { ...deployment(name), metadata: { name, uid: name, generation: 1 } });
  server.put("/apis/apps/v1/namespaces/kube-system/replicasets", {
    metadata: { name: "event-exporter-5c", uid: "event-exporter-5c", ...owner("Deployment", name) },
  });
  const waiting = { reason: "ImagePullBackOff", message: "Back-off pulling image" };
  server.put(PODS, {
    metadata: { name: "event-exporter-5c-x", uid: "x", ...owner("ReplicaSet", "event-exporter-5c") },
    spec: { nodeName: "cp" },
    status: { containerStatuses: [{ name: "h", image: "exporter:v1.7", ready: false, state: { waiting } }] },
  });
  server.put("/api/v1/namespaces/kube-system/events", {
    metadata: { name: "e" },
    involvedObject: { kind: "Pod", uid: "x" },
    reason: "Failed",
    message: `Failed to pull image "exporter:v1.7": ${why}`,
    count: times,
  });
}

test("an image that cannot be pulled ends the wait, and the error names it", async (t) => {
  const at = await world(t);
  at.managerWorks = false;
  at.meanwhile = () => notPulled(at, 3, "manifest unknown: not found");
  await t.throwsAsync(installAddons(at.options), {
    instanceOf: ChaosError,
    message:
      /add-ons cannot start on this cluster: Deployment kube-system\/event-exporter, pod event-exporter-5c-x: ImagePullBackOff: .*manifest unknown: not found\. Give the nodes access to the image.*--no-addons/,
  });
});

test("a pull that the registry only delays is waited for", async (t) => {
  const at = await world(t);
  at.managerWorks = false;
  at.meanwhile = () => notPulled(at, 9, "429 Too Many Requests");
  await t.throwsAsync(installAddons(at.options), { message: /429 Too Many Requests/ });
  t.true(at.clock.now() >= 300_000);
});

test("not ready in time: the error names what is missing; a second install continues, and remove works", async (t) => {
  const at = await world(t);
  const before = at.declared();
  at.managerWorks = false;
  await t.throwsAsync(installAddons(at.options), {
    instanceOf: ChaosError,
    message: /not ready within 300 s:[^]*Deployment kube-system\/event-exporter: not created yet/,
  });
  at.managerWorks = true;
  t.true((await installAddons(at.options)).repairedAfterMs !== undefined);
  await removeAddons(at.options);
  t.deepEqual(at.declared(), before);
});

test("interrupted: exit code 130, and created objects can be removed", async (t) => {
  const at = await world(t);
  const before = at.declared();
  at.managerWorks = false;
  const controller = new AbortController();
  at.meanwhile = () => controller.abort();
  await t.throwsAsync(installAddons({ ...at.options, signal: controller.signal }), {
    instanceOf: ChaosError,
    message: /interrupted/,
  });
  at.meanwhile = () => undefined;
  await removeAddons(at.options);
  t.deepEqual(at.declared(), before);
});

test("an addon-manager that does nothing is not proven, and the change is undone", async (t) => {
  const at = await world(t);
  let drifted = false;
  at.meanwhile = () => {
    const drift = at.server.object(`${CONFIGMAPS}/kube-system-chaos-drift`) as
      { readonly data?: { readonly state?: string } } | undefined;
    drifted ||= drift?.data?.state?.startsWith("drifted-") ?? false;
    if (drifted) at.managerWorks = false;
  };
  await t.throwsAsync(installAddons(at.options), {
    instanceOf: ChaosError,
    message: /addon-manager is not working: .*kube-system-chaos-drift within 90 s/,
  });
  t.true(drifted);
  t.like(at.server.object(`${CONFIGMAPS}/kube-system-chaos-drift`), { data: { state: "reconciled" } });
  t.like(await addonManagerProof(at.transport), { state: "unproven" });
});

test("one failure does not stop the rest; the record stays, and a second removal finishes", async (t) => {
  const at = await world(t);
  const before = at.declared();
  await installAddons(at.options);
  const endFault = at.server.fault({
    kind: "status",
    status: 500,
    method: "DELETE",
    path: "event-exporter",
    times: 9,
  });
  const error = await t.throwsAsync(removeAddons(at.options), { instanceOf: ChaosError });
  t.is(error.exitCode, 5);
  t.regex(error?.message ?? "", /deployments: .*event-exporter.*500/);
  t.is(at.warnings.length > 0, true);
  t.not(at.server.object(`${CONFIGMAPS}/kube-system-chaos-addons`), undefined);
  t.is(
    at.server.object(`${DAEMONSETS}/log-agent-opentelemetry-collector-agent`),
    undefined,
    "the rest is removed",
  );
  endFault();
  await removeAddons(at.options);
  t.deepEqual(at.declared(), before);
});

test("an addon-manager that cannot be stopped ends the removal: it would recreate everything", async (t) => {
  const at = await world(t);
  await installAddons(at.options);
  const before = at.declared();
  at.server.fault({ kind: "status", status: 403, method: "DELETE", path: "kube-addon-manager" });
  await t.throwsAsync(removeAddons(at.options), { message: /addon-manager: .*403/ });
  t.deepEqual(at.declared(), before);
});

test("no record: the DNS is left unchanged, and the error says how to clean it by hand", async (t) => {
  const at = await world(t);
  await installAddons(at.options);
  at.server.remove(`${CONFIGMAPS}/kube-system-chaos-addons`);
  await t.throwsAsync(removeAddons(at.options), {
    message: /kube-system-chaos-addons does not exist, so Deployment coredns was left unchanged/,
  });
  t.is(at.server.object(COREDNS)?.metadata.labels?.[MODE], "Reconcile");
  t.is(at.server.object(`${DEPLOYMENTS}/event-exporter`), undefined);
});

test("a foreign object that took one of the names after the installation stays", async (t) => {
  const at = await world(t);
  await installAddons(at.options);
  at.server.remove(`${DEPLOYMENTS}/event-exporter`);
  const theirs = at.server.put(DEPLOYMENTS, {
    metadata: { name: "event-exporter", labels: { team: "x" } },
    spec: {},
  });
  at.managerWorks = false;
  await removeAddons(at.options);
  t.is(at.server.object(`${DEPLOYMENTS}/event-exporter`)?.metadata.uid, theirs.metadata.uid);
});
