import test from "ava";
import { newRunId } from "../../../src/common/run-id.js";
import type { Undo } from "../../../src/safety/journal/journal.js";
import { heldPath, timerName } from "../../../src/nodes/faults.js";
import { implausible, isRunId } from "../../../src/safety/journal/plausible.js";

const OURS = { "app.kubernetes.io/managed-by": "kube-system-chaos" };
const DEPLOYMENTS = "/apis/apps/v1/namespaces/kube-system/deployments";
const metadata = { name: "kube-dns", uid: "u", resourceVersion: "1" };

const workload = (change: object = {}): Undo => ({
  action: "restore-workload",
  collection: DEPLOYMENTS,
  path: `${DEPLOYMENTS}/kube-dns`,
  object: { kind: "Deployment", metadata },
  ...change,
});
const removal = (change: object = {}): Undo => ({
  action: "remove",
  path: "/api/v1/namespaces/guestbook",
  object: { kind: "Namespace", name: "guestbook" },
  labels: OURS,
  ...change,
});

const RUN = "20260801t120000z-kubelet-ab12";
const onNode = {
  object: { kind: "SystemdUnit", name: "kubelet on w" },
  node: "w",
  machineId: "m",
  access: { type: "pod" },
};
const unit = (change: object = {}): Undo =>
  ({
    ...onNode,
    action: "start-unit",
    unit: "kubelet.service",
    also: [],
    invocation: "i",
    timer: timerName(RUN, "kubelet.service"),
    ...change,
  }) as Undo;
const MANIFEST = "/etc/kubernetes/manifests/etcd.yaml";
const manifest = (change: object = {}): Undo =>
  ({
    ...onNode,
    action: "return-manifest",
    manifest: MANIFEST,
    heldAt: heldPath(RUN, MANIFEST),
    timer: timerName(RUN, MANIFEST),
    ...change,
  }) as Undo;
const moved = (path: string): Undo =>
  manifest({ manifest: path, heldAt: heldPath(RUN, path), timer: timerName(RUN, path) });
const object = (kind: string, path: string, name: string): Undo =>
  removal({ path: `${path}/${name}`, object: { kind, name } });
const RBAC = "/apis/rbac.authorization.k8s.io/v1";

const CONFIGMAPS = "/api/v1/namespaces/kube-system/configmaps";
const DRIFT = "kube-system-chaos-drift";
/** Of addon-manager's proof. */
const proof = {
  collection: CONFIGMAPS,
  path: `${CONFIGMAPS}/${DRIFT}`,
  object: { kind: "ConfigMap", metadata: { ...metadata, name: DRIFT } },
};

test("a workload that an experiment names in another namespace is plausible: its run can be restored", (t) => {
  const collection = "/apis/apps/v1/namespaces/logging/daemonsets";
  const object = { kind: "DaemonSet", metadata: { ...metadata, name: "vector", namespace: "logging" } };
  t.is(implausible(workload({ collection, path: `${collection}/vector`, object }), RUN), undefined);
});

test("entries of real runs are plausible", (t) => {
  for (const entry of [
    workload(),
    workload({ object: { kind: "Deployment", metadata: { ...metadata, namespace: "kube-system" } } }),
    removal(),
    { ...removal(), action: "empty" } as Undo,
    object("Lease", "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases", "kube-system-chaos"),
    object("Secret", "/api/v1/namespaces/kube-system-chaos/secrets", "journal-run-1"),
    object("Pod", "/api/v1/namespaces/kube-system-chaos/pods", "chaos-dead-man-run-1"),
    object("ClusterRole", `${RBAC}/clusterroles`, "chaos-dead-man-run-1"),
    object("RoleBinding", `${RBAC}/namespaces/guestbook/rolebindings`, "chaos-dead-man-run-1"),
    unit(),
    unit({ also: ["docker.service"] }),
    workload(proof),
    unit({ access: { type: "engine", command: "docker", env: { DOCKER_HOST: "unix:///x" } } }),
    unit({ access: { type: "command", argv: ["ssh", "{node}"] } }),
    manifest(),
    moved("/var/lib/rancher/rke2/agent/pod-manifests/etcd.yaml"),
  ])
    t.is(implausible(entry, RUN), undefined);
  t.true(isRunId(newRunId(new Date("2026-01-02T03:04:05Z"), "kube-dns")));
});

for (const [what, entry] of Object.entries({
  "another kind than a workload": workload({
    collection: "/api/v1/namespaces/kube-system/secrets",
    path: "/api/v1/namespaces/kube-system/secrets/kube-dns",
  }),
  "another object than its own": workload({ path: `${DEPLOYMENTS}/other` }),
  "a path upwards": workload({ collection: `${DEPLOYMENTS}/../../default/deployments` }),
  "a namespace without the tool's label": removal({ labels: {} }),
  "a namespace with someone else's label": removal({ labels: { "app.kubernetes.io/managed-by": "Helm" } }),
  "another host": removal({ path: "//elsewhere/api/v1/namespaces/x" }),
  "a query": removal({ path: "/api/v1/namespaces/x?dryRun=All" }),
  "a path out of the API": removal({ path: "/api/../healthz" }),
  "a workload of two namespaces": workload({
    collection: "/apis/apps/v1/namespaces/shop/deployments",
    path: "/apis/apps/v1/namespaces/shop/deployments/kube-dns",
    object: { kind: "Deployment", metadata: { ...metadata, namespace: "kube-system" } },
  }),
  "a workload whose object is in another namespace": workload({
    object: { kind: "Deployment", metadata: { ...metadata, namespace: "shop" } },
  }),
  "a workload of another kind than its path": workload({ object: { kind: "DaemonSet", metadata } }),
  "a removal without labels": removal({ labels: undefined }),
  "a workload without an object": workload({ object: undefined }),
  "a kind that is a path": workload({ ...proof, object: { ...proof.object, kind: "../../x" } }),
  "a name that is a path": workload({
    ...proof,
    collection: "/api/v1/namespaces",
    object: { kind: "ConfigMap", metadata: { name: `kube-system/configmaps/${DRIFT}` } },
  }),
  "a namespace of Kubernetes": removal({
    path: "/api/v1/namespaces/kube-system",
    object: { kind: "Namespace", name: "kube-system" },
  }),
  "a component on a node without a name": unit({ object: undefined }),
  "an unknown way to a node": unit({ access: { type: "ssh" } }),
  "an engine that is no text": unit({ access: { type: "engine", command: ["docker"], env: {} } }),
  "another lock": object(
    "Lease",
    "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases",
    "kube-scheduler",
  ),
  "a Secret elsewhere": object("Secret", "/api/v1/namespaces/kube-system/secrets", "bootstrap-token"),
  "a node": object("Node", "/api/v1/nodes", "worker-1"),
  "another kind than its path": object("Namespace", "/api/v1/nodes", "worker-1"),
  "emptying what is no namespace": {
    ...object("Secret", "/api/v1/namespaces/kube-system-chaos/secrets", "x"),
    action: "empty",
  } as Undo,
  "a node that is an option": unit({ node: "-oProxyCommand=x" }),
  "a unit with a blank": unit({ unit: "kubelet.service evil" }),
  "a unit that is an option": unit({ also: ["--force"] }),
  "a target of systemd": unit({ unit: "poweroff.target", timer: timerName(RUN, "poweroff.target") }),
  "the timer of another run": unit({ timer: timerName("another", "kubelet.service") }),
  "a manifest upwards": moved("/etc/kubernetes/manifests/../../cron.d/x"),
  "a manifest with a blank": moved("/etc/kubernetes/manifests/a b.yaml"),
  "a hidden file": moved("/etc/kubernetes/manifests/.x"),
  "a copy elsewhere": manifest({ heldAt: "/tmp/x.yaml" }),
  "an unknown action": { ...removal(), action: "run" } as never,
})) {
  test(`not plausible: ${what}`, (t) => {
    t.is(typeof implausible(entry, RUN), "string");
  });
}

test("a run's ID must be a valid folder name", (t) => {
  for (const id of ["", "..", "../x", "a/b", ".hidden", "a..b", "a\n", "x".repeat(100)])
    t.false(isRunId(id), id);
});
