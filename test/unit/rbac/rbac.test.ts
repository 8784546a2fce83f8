/** `chaos rbac`: the least Roles, and the shipped files. */
import test from "ava";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { rbac, type RbacOptions } from "../../../src/commands/rbac-command.js";
import { UsageError } from "../../../src/common/errors.js";
import { packageRoot } from "../../../src/common/package-root.js";
import { resolveExperiment } from "../../../src/components/resolve.js";
import { COMPONENTS } from "../../../src/experiment/names.js";
import { experimentSchema } from "../../../src/experiment/schema.js";
import { describePermission } from "../../../src/kube/permission.js";
import { loadExperiment } from "../../../src/load/read.js";
import { neededPermissions, needsOf } from "../../../src/rbac/needs.js";
import { preparedScope } from "../../../src/rbac/scope.js";
import { allows, type Manifest, manifestsOf, rightsOf } from "../../helpers/rbac-fixtures.js";

const cwd = packageRoot();

/** The shipped files and their experiments. */
const SHIPPED: Readonly<Record<string, string>> = {
  "delete-pods.yaml": "experiments/variants/kube-dns-delete-pods.yaml",
  "delete-workload.yaml": "experiments/kube-dns.yaml",
  "none.yaml": "experiments/variants/control.yaml",
  "scale-to-zero.yaml": "experiments/metrics-server.yaml",
  "static-pod.yaml": "experiments/kube-scheduler.yaml",
  "systemd-unit.yaml": "experiments/kubelet.yaml",
};

const printed = async (reference: string, options: Partial<RbacOptions> = {}): Promise<string> =>
  await rbac({ references: [reference], cwd, ...options });

const only = (manifests: readonly Manifest[], kind: string): Manifest[] =>
  manifests.filter((each) => each.kind === kind);

test("each attack has its file", async (t) => {
  const files = (await readdir(join(cwd, "rbac"))).filter((name) => name.endsWith(".yaml"));
  t.deepEqual(files.sort(), Object.keys(SHIPPED).sort());
  for (const [file, experiment] of Object.entries(SHIPPED)) {
    const { attack } = resolveExperiment((await loadExperiment(join(cwd, experiment))).experiment);
    t.is(`${attack.type}.yaml`, file);
  }
});

for (const [file, experiment] of Object.entries(SHIPPED)) {
  test(`rbac/${file} is what the code prints: npx tsx src/cli.ts rbac ${experiment} > rbac/${file}`, async (t) => {
    t.is(await readFile(join(cwd, "rbac", file), "utf8"), await printed(experiment));
  });
}

test("with an existing application: its namespace is not prepared, and the run only reads in it", async (t) => {
  const manifests = manifestsOf(await printed("experiments/own-application/kube-dns.yaml"));
  const there = manifests.filter(({ metadata }) => metadata.namespace === "shop");
  t.deepEqual([...new Set(there.flatMap(({ rules = [] }) => rules.flatMap(({ verbs }) => verbs)))].sort(), [
    "get",
    "list",
    "watch",
  ]);
  t.false(only(manifests, "Namespace").some(({ metadata }) => metadata.name === "shop"));
  t.false(
    manifests.some(({ metadata }) => metadata.namespace === "guestbook" || metadata.name === "guestbook"),
  );
});

for (const name of COMPONENTS) {
  for (const nodeAccess of [undefined, "pod"] as const) {
    test(`${name}${nodeAccess === undefined ? "" : " by privileged pods"}: the printed Roles allow everything that a run needs`, async (t) => {
      const file = `experiments/${name}.yaml`;
      const resolved = resolveExperiment((await loadExperiment(join(cwd, file))).experiment);
      const manifests = manifestsOf(await printed(file, { nodeAccess, several: true }));
      const scope = preparedScope(resolved, { privilegedPods: nodeAccess === "pod", several: true });
      const needed = neededPermissions(resolved.attack.type, scope);
      t.true(needed.length > 40);
      t.deepEqual(needed.filter((need) => !allows(manifests, need)).map(describePermission), []);
      t.false(
        manifests.some(({ rules = [] }) =>
          rules.some(({ verbs, resources }) => [...verbs, ...resources].includes("*")),
        ),
        "no rule allows everything",
      );
      const prepared = only(manifests, "Namespace").map(({ metadata }) => metadata.name);
      const used = needed.flatMap(({ namespace }) =>
        namespace?.startsWith("kube-system-chaos") === true ? [namespace] : [],
      );
      t.deepEqual(
        [...new Set(used)].filter((each) => !prepared.includes(each) && each !== "kube-system-chaos-sink"),
        [],
        "each Role is in a namespace that exists",
      );
    });
  }
}

test("the Roles hold no more than a run needs: each verb of each rule is one of its rights", async (t) => {
  const resolved = resolveExperiment(
    (await loadExperiment(join(cwd, "experiments/kube-dns.yaml"))).experiment,
  );
  const scope = preparedScope(resolved, { privilegedPods: false, several: false });
  const used = [...new Set(needsOf("delete-workload", scope).map(describePermission))];
  const held = manifestsOf(await printed("experiments/kube-dns.yaml")).flatMap(({ rules = [], metadata }) =>
    rules.flatMap((rule) => rule.verbs.flatMap((verb) => rightsOf(rule, verb, metadata.namespace))),
  );
  t.deepEqual(held.sort(), used.sort());
});

test("other namespaces than kube-system are granted for OpenShift only", async (t) => {
  const places = async (file: string, openshift: boolean): Promise<(string | undefined)[]> =>
    only(manifestsOf(await printed(file, { openshift })), "Role").map(({ metadata }) => metadata.namespace);
  for (const [name, namespace] of [
    ["kube-dns", "openshift-dns"],
    ["metrics-server", "openshift-monitoring"],
    ["kube-scheduler", "openshift-kube-scheduler"],
  ] as const) {
    const file = `experiments/${name}.yaml`;
    t.false((await places(file, false)).includes(namespace), name);
    t.true((await places(file, true)).includes(namespace), name);
  }
});

test("a component's workload that the file names is the only one that the Roles name", (t) => {
  const resolved = resolveExperiment(
    experimentSchema.parse({
      apiVersion: "kube-system-chaos/v1",
      kind: "Experiment",
      metadata: { name: "x" },
      target: { component: "fluentd", name: "fluentbit-gke-max" },
    }),
  );
  const { targets, places, functionProbe } = preparedScope(resolved, {
    privilegedPods: false,
    several: false,
  });
  t.deepEqual(targets, [{ kind: "DaemonSet", namespace: "kube-system", names: ["fluentbit-gke-max"] }]);
  t.deepEqual(places, [{ kind: "DaemonSet", namespace: "kube-system", name: "fluentbit-gke-max" }]);
  t.is(functionProbe?.name, "logs-arrive");
});

test("prepared namespaces, and privileged pods only where they are asked for", async (t) => {
  const labels = async (nodeAccess?: "pod"): Promise<unknown[]> =>
    only(manifestsOf(await printed("experiments/kubelet.yaml", { nodeAccess })), "Namespace").map(
      ({ metadata }) => [metadata.name, metadata.labels?.["pod-security.kubernetes.io/enforce"]],
    );
  t.deepEqual(await labels(), [
    ["guestbook", "restricted"],
    ["kube-system-chaos", "restricted"],
    ["kube-system-chaos-canaries", "restricted"],
  ]);
  t.deepEqual((await labels("pod")).slice(1), [
    ["kube-system-chaos", "restricted"],
    ["kube-system-chaos-canaries", "restricted"],
    ["kube-system-chaos-nodes", "privileged"],
  ]);
  const [first] = manifestsOf(await printed("experiments/kube-dns.yaml"));
  t.like(first?.metadata.labels, {
    "app.kubernetes.io/managed-by": "kube-system-chaos",
    "kube-system-chaos/prepared": "true",
  });
});

test("rights that are as good as cluster-admin say so, and only those", async (t) => {
  t.regex(await printed("experiments/kube-dns.yaml"), /# AS GOOD AS CLUSTER-ADMIN: .*kube-system/);
  for (const file of ["experiments/kubelet.yaml", "experiments/variants/control.yaml"])
    t.notRegex(await printed(file), /AS GOOD AS/);
  t.regex(
    await printed("experiments/kubelet.yaml", { nodeAccess: "pod" }),
    /# AS GOOD AS ROOT ON EVERY NODE/,
  );
});

test("only what is cluster-scoped is in the ClusterRole", async (t) => {
  for (const name of COMPONENTS) {
    const manifests = manifestsOf(await printed(`experiments/${name}.yaml`, { several: true }));
    const roles = only(manifests, "ClusterRole");
    t.is(roles.length, 1);
    const resources = roles.flatMap(({ rules = [] }) =>
      rules.flatMap(({ apiGroups, resources: each }) =>
        each.map((resource) => `${apiGroups.join()}/${resource}`),
      ),
    );
    const allowed = ["/namespaces", "/nodes", "metrics.k8s.io/nodes", "apiregistration.k8s.io/apiservices"];
    t.deepEqual(
      resources.filter((resource) => !allowed.includes(resource)),
      [],
    );
  }
});

test("every form of the target that the attack can take has its rights, by each name that it is known by", async (t) => {
  const manifests = manifestsOf(await printed("experiments/fluentd.yaml"));
  const may = (verb: string, resource: string, name: string): boolean =>
    allows(manifests, { verb, group: "apps", resource, namespace: "kube-system", name });
  for (const name of ["log-agent-opentelemetry-collector-agent", "fluentbit-gke", "fluentd"])
    t.true(may("delete", "daemonsets", name), name);
  t.false(may("delete", "daemonsets", "kube-proxy"));
  t.false(may("delete", "deployments", "coredns"));
});

test("several experiments: one set of Roles, with the rights between the runs", async (t) => {
  const references = ["experiments/kube-dns.yaml", "experiments/kubelet.yaml", "experiments/kube-dns.yaml"];
  const text = await rbac({ references, cwd });
  const manifests = manifestsOf(text);
  t.deepEqual(
    only(manifests, "ClusterRole").map(({ metadata }) => metadata.name),
    ["kube-system-chaos"],
  );
  t.true(allows(manifests, { verb: "list", group: "apiregistration.k8s.io", resource: "apiservices" }));
  t.is(text.split("kube-dns.yaml: ").length, 2, "each experiment once");
  const twice = await rbac({ references: [...references].reverse(), cwd });
  const body = (all: string): string => all.slice(all.indexOf("---\n"));
  t.is(body(twice), body(text), "whatever the order");
});

test("another ServiceAccount is bound, and created in its namespace", async (t) => {
  const text = await printed("experiments/kube-dns.yaml", { serviceAccount: "ops/chaos" });
  const manifests = manifestsOf(text);
  t.like(only(manifests, "ServiceAccount")[0]?.metadata, { namespace: "ops", name: "chaos" });
  for (const { subjects } of manifests.filter(({ kind }) => kind.endsWith("Binding")))
    t.deepEqual(subjects, [{ kind: "ServiceAccount", name: "chaos", namespace: "ops" }]);
  t.regex(text, /Namespace ops must exist/);
  t.false(only(manifests, "Namespace").some(({ metadata }) => metadata.name === "ops"));
  for (const serviceAccount of ["chaos", "a/b/c", "/x", "Ops/chaos", "ops/chaos\nrules: []"]) {
    await t.throwsAsync(printed("experiments/kube-dns.yaml", { serviceAccount }), {
      instanceOf: UsageError,
      message: /NAMESPACE\/NAME/,
    });
  }
});

test("errors: a bad file, an invalid name", async (t) => {
  await t.throwsAsync(printed("no-such-experiment"), {
    instanceOf: UsageError,
    message: /no-such-experiment/,
  });
  const invalid = "test/helpers/fixtures/experiments/invalid";
  const error = await t.throwsAsync(
    rbac({ references: [`${invalid}/scalar.yaml`, `${invalid}/target-empty.yaml`], cwd }),
    { instanceOf: UsageError },
  );
  t.regex(error?.message ?? "", /scalar\.yaml[\s\S]*target-empty\.yaml/);
});
