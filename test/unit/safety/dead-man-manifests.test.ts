import test from "ava";
import { PUBLIC_PODS } from "../../../src/own/pod-spec.js";
import type { Node } from "../../../src/kube/objects.js";
import { deadManRemark, scopeOf } from "../../../src/safety/dead-man/deploy-dead-man.js";
import {
  chooseNode,
  deadManObjects,
  type DeadManParts,
  pathsOf,
  withoutPriority,
} from "../../../src/safety/dead-man/dead-man-manifests.js";
import { requiredPermissions } from "../../../src/safety/dead-man/dead-man-permissions.js";
import { deadManRights, type DeadManScope, namespacesIn } from "../../../src/safety/dead-man/rights.js";
import { environmentOf, settingsFrom } from "../../../src/safety/dead-man/settings.js";
import type { NodeTarget } from "../../../src/targets/node-target.js";
import { describePermission } from "../../../src/kube/permission.js";

const SCOPE: DeadManScope = {
  workloads: [{ kind: "Deployment", namespace: "kube-system", names: ["kube-dns"] }],
  namespaces: [
    { name: "kube-system-chaos", stays: false },
    { name: "guestbook", stays: false },
  ],
};

const parts = (change: Partial<DeadManParts> = {}): DeadManParts => ({
  settings: { runId: "run-1", servers: ["https://172.18.0.2:6443"], userAgent: "kube-system-chaos/1 (x)" },
  rights: deadManRights(SCOPE),
  program: "// program",
  namespaceUid: "uid-of-the-namespace",
  namespaces: ["kube-system", "kube-system-chaos", "guestbook"],
  node: "worker-2",
  pods: PUBLIC_PODS,
  ...change,
});

const words = (scope: DeadManScope): string[] => deadManRights(scope).map(describePermission).sort();

test("rights: exactly what a run on a Deployment needs", (t) => {
  t.deepEqual(words(SCOPE), [
    "create apps/deployments in kube-system",
    "create coordination.k8s.io/leases in kube-system",
    "delete apps/daemonsets in guestbook",
    "delete apps/deployments in guestbook",
    "delete apps/replicasets in guestbook",
    "delete coordination.k8s.io/leases kube-system-chaos in kube-system",
    "delete namespaces guestbook",
    "delete namespaces kube-system-chaos",
    "delete pods in guestbook",
    "get apps/deployments kube-dns in kube-system",
    "get coordination.k8s.io/leases kube-system-chaos in kube-system",
    "get namespaces guestbook",
    "get namespaces kube-system-chaos",
    "list apps/daemonsets in guestbook",
    "list apps/deployments in guestbook",
    "list apps/replicasets in guestbook",
    "list pods in guestbook",
    "list secrets in kube-system-chaos",
    "update apps/deployments kube-dns in kube-system",
    "update coordination.k8s.io/leases kube-system-chaos in kube-system",
  ]);
});

test("rights: a prepared namespace is emptied of what runs create in it, and never deleted", (t) => {
  const found = words({ workloads: [], namespaces: [{ name: "guestbook", stays: true }] });
  t.true(found.includes("delete services in guestbook"));
  t.true(found.includes("get namespaces guestbook"));
  t.false(found.includes("delete namespaces guestbook"));
});

test("rights: for faults on nodes, the switch can only read whether they are over", (t) => {
  const target: NodeTarget = {
    kind: "SystemdUnit",
    name: "kubelet",
    namespace: "",
    unit: "kubelet.service",
    labels: {},
    nodes: ["worker-1"],
    count: 1,
    images: [],
    services: [],
    ownerChain: [],
  };
  const found = words(scopeOf(target, [], []));
  t.true(found.includes("get nodes"));
  t.true(found.includes("list pods in kube-system"));
  t.deepEqual(
    found.filter((right) => /^(create|update|patch|delete) (pods|apps)/.test(right)),
    [],
  );
  t.regex(deadManRemark(target) ?? "", /timers on the nodes undo it/);
  t.is(deadManRemark({ kind: "Deployment", name: "kube-dns" }), undefined);
});

test("namespacesIn: the namespaces that the journals remove or empty, each once", (t) => {
  const namespace = (
    action: "remove" | "empty",
    name: string,
  ): Parameters<typeof namespacesIn>[0][number] => ({
    action,
    path: `/api/v1/namespaces/${name}`,
    object: { kind: "Namespace", name },
    labels: {},
  });
  const secret = {
    action: "remove",
    path: "/x",
    object: { kind: "Secret", namespace: "a", name: "journal" },
    labels: {},
  } as const;
  t.deepEqual(
    namespacesIn([namespace("remove", "a"), secret, namespace("empty", "b"), namespace("remove", "a")]),
    [
      { name: "a", stays: false },
      { name: "b", stays: true },
    ],
  );
});

test("a runner must itself have every right that it grants", (t) => {
  const needed = new Set(requiredPermissions(SCOPE).map(describePermission));
  for (const right of words(SCOPE)) t.true(needed.has(right), right);
  for (const right of [
    "create rbac.authorization.k8s.io/clusterroles",
    "create rbac.authorization.k8s.io/rolebindings in kube-system",
    "delete rbac.authorization.k8s.io/roles in guestbook",
    "create pods in kube-system-chaos",
    "create serviceaccounts in kube-system-chaos",
    "list discovery.k8s.io/endpointslices in default",
  ]) {
    t.true(needed.has(right), right);
  }
});

test("everything has the run's label; the namespace owns what is outside it", (t) => {
  const objects = deadManObjects(parts());
  t.deepEqual(
    objects.map((object) => pathsOf(object).path),
    [
      "/api/v1/namespaces/kube-system-chaos/serviceaccounts/chaos-dead-man-run-1",
      "/api/v1/namespaces/kube-system-chaos/configmaps/chaos-dead-man-run-1",
      "/apis/rbac.authorization.k8s.io/v1/clusterroles/chaos-dead-man-run-1",
      "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/chaos-dead-man-run-1",
      ...["guestbook", "kube-system", "kube-system-chaos"].flatMap((namespace) =>
        ["roles", "rolebindings"].map(
          (kind) => `/apis/rbac.authorization.k8s.io/v1/namespaces/${namespace}/${kind}/chaos-dead-man-run-1`,
        ),
      ),
      "/api/v1/namespaces/kube-system-chaos/pods/chaos-dead-man-run-1",
    ],
  );
  for (const { manifest } of objects) {
    const { labels, namespace, ownerReferences } = manifest.metadata;
    t.is(labels["kube-system-chaos/run"], "run-1");
    t.is(labels["app.kubernetes.io/managed-by"], "kube-system-chaos");
    t.is(ownerReferences?.[0]?.uid, namespace === "kube-system-chaos" ? undefined : "uid-of-the-namespace");
  }
});

test("no rule is for all names where it needs one, and none is for all resources or verbs", (t) => {
  for (const { manifest } of deadManObjects(parts())) {
    const rules = (manifest["rules"] ?? []) as {
      resources: string[];
      verbs: string[];
      resourceNames?: string[];
    }[];
    for (const { resources, verbs, resourceNames } of rules) {
      t.false([...resources, ...verbs].includes("*"));
      if (manifest.kind === "ClusterRole") t.true((resourceNames ?? []).length > 0, resources.join());
    }
  }
});

test("a namespace that does not exist yet gets no Role, and the program asks for no right in it", (t) => {
  const objects = deadManObjects(parts({ namespaces: ["kube-system", "kube-system-chaos"] }));
  t.false(objects.some(({ manifest }) => manifest.metadata.namespace === "guestbook"));
  const pod = objects.at(-1)?.manifest as unknown as {
    spec: { containers: { env: { name: string; value: string }[] }[] };
  };
  const env = Object.fromEntries((pod.spec.containers[0]?.env ?? []).map(({ name, value }) => [name, value]));
  const settings = settingsFrom(env);
  t.deepEqual(settings.servers, ["https://172.18.0.2:6443"]);
  const asked = settings.rights.map(describePermission);
  t.true(asked.includes("delete namespaces guestbook"));
  t.false(asked.some((right) => right.endsWith("in guestbook")));
});

test("the pod: bound to its node, not root, not in the host's network", (t) => {
  const pod = deadManObjects(parts()).at(-1)?.manifest;
  const spec = pod?.["spec"] as Record<string, unknown>;
  t.like(spec, {
    nodeName: "worker-2",
    priorityClassName: "system-cluster-critical",
    automountServiceAccountToken: true,
    serviceAccountName: "chaos-dead-man-run-1",
    restartPolicy: "Always",
  });
  t.false("hostNetwork" in spec);
  t.like(spec["securityContext"], { runAsNonRoot: true });
  const [container] = spec["containers"] as Record<string, unknown>[];
  t.like(container?.["securityContext"], { readOnlyRootFilesystem: true, allowPrivilegeEscalation: false });
  if (pod === undefined) throw new Error("no pod");
  const without = withoutPriority(pod);
  t.false("priorityClassName" in (without["spec"] as object));
  t.is((without["spec"] as Record<string, unknown>)["nodeName"], "worker-2");
});

test("settings: the environment carries all of them; the error names a missing one", (t) => {
  const settings = {
    runId: "run-1",
    servers: ["https://10.0.0.1:6443", "https://[fd00::2]:6443"],
    rights: [{ verb: "get", group: "", resource: "nodes" }],
    userAgent: "kube-system-chaos/1 (dead-man run-1)",
  };
  const env = environmentOf(settings);
  t.deepEqual(settingsFrom(env), settings);
  for (const name of Object.keys(env))
    t.throws(() => settingsFrom({ ...env, [name]: "" }), { message: new RegExp(name) });
});

const node = (name: string, change: Partial<Node> = {}): Node => ({
  metadata: { name, uid: name, resourceVersion: "1" },
  status: { conditions: [{ type: "Ready", status: "True" }] },
  ...change,
});

test("the node: not attacked and, if possible, not the target's", (t) => {
  const nodes = [
    node("control", { spec: { taints: [{ key: "control-plane", effect: "NoSchedule" }] } }),
    node("worker-1"),
    node("worker-2"),
  ];
  t.is(chooseNode(nodes, [], []), "worker-1");
  t.is(chooseNode(nodes, ["worker-1"], []), "worker-2");
  t.is(chooseNode(nodes, [], ["worker-1"]), "worker-2");
  t.is(
    chooseNode(nodes, ["worker-2"], ["worker-1"]),
    "worker-1",
    "the target's node is better than an attacked one",
  );
  t.is(chooseNode(nodes, ["worker-1", "worker-2"], []), "worker-1", "an attacked node is better than none");
  t.is(chooseNode(nodes.slice(0, 1), [], []), undefined);
});

test("a prepared namespace stays: the switch empties it, and removes itself by its ClusterRole, which owns the rest", (t) => {
  const prepared = { ...SCOPE, prepared: { role: "chaos-dead-man-run-1" } };
  const found = words(prepared);
  t.true(found.includes("delete rbac.authorization.k8s.io/clusterroles chaos-dead-man-run-1"));
  t.true(found.includes("delete secrets in kube-system-chaos"), "the copies");
  t.true(found.includes("delete apps/daemonsets in kube-system-chaos"), "the probers");
  t.false(found.includes("delete namespaces kube-system-chaos"));
  const objects = deadManObjects(parts({ rights: deadManRights(prepared), namespaceUid: undefined }));
  t.is(objects[0]?.manifest.kind, "ClusterRole");
  t.is(objects.filter(({ manifest }) => manifest.kind === "ClusterRole").length, 1);
  t.is(objects.at(-1)?.manifest.kind, "Pod");
  t.true(objects.every(({ manifest }) => manifest.metadata.ownerReferences === undefined));
  const needed = requiredPermissions({ ...SCOPE, prepared: {} }).map(describePermission);
  t.true(
    needed.includes("delete rbac.authorization.k8s.io/clusterroles"),
    "its name is not known before the run",
  );
});
