/** The rights of each function probe: it may send every request that it sends, and it sends every one that it may. */
import test from "ava";
import { FUNCTION_CHECK_NAMES, type FunctionCheckName } from "../../../src/components/functions.js";
import { describePermission } from "../../../src/kube/permission.js";
import { functionProbes } from "../../../src/probes/functions/all-function-checks.js";
import {
  BESIDE_THE_WORLD,
  HPAS,
  checkOnce,
  NAMESPACE,
  SYSTEM_DAEMONSETS,
  SYSTEM_DEPLOYMENTS,
  World,
} from "../../helpers/function-fixtures.js";
import { permissionOf } from "../../helpers/rbac-fixtures.js";

/**
 * What a probe needs in the cluster. No component corrects anything, so the function checks must undo their changes.
 */
const BESIDE: Partial<Record<FunctionCheckName, (world: World) => void>> = {
  ...BESIDE_THE_WORLD,
  "dns-is-scaled": (world) =>
    void world.server.put(SYSTEM_DEPLOYMENTS, {
      metadata: { name: "coredns", labels: { "k8s-app": "kube-dns" } },
      spec: { replicas: 2 },
    }),
  "fluentd-is-scaled": (world) => {
    const containers = [{ name: "fluentd-gcp", resources: { requests: { memory: "20Mi" } } }];
    world.server.put(SYSTEM_DAEMONSETS, {
      metadata: { name: "fluentd-gcp", labels: { "app.kubernetes.io/instance": "log-agent" } },
      spec: { template: { spec: { containers } } },
    });
  },
  "metrics-are-served": (world) => {
    const now = 1_000_000_000_000;
    world.server.groups.set("metrics.k8s.io", ["v1beta1"]);
    world.server.handle("GET", /metrics\.k8s\.io\/v1beta1\/nodes$/, () => ({
      headers: { date: new Date(now).toUTCString() },
      body: {
        items: ["worker", "worker2"].map((name) => ({
          metadata: { name },
          timestamp: new Date(now).toISOString(),
        })),
      },
    }));
    world.server.store.onEvent(({ object, type }) => {
      if (object.kind !== "HorizontalPodAutoscaler" || type !== "ADDED") return;
      const status = { conditions: [{ type: "ScalingActive", status: "True" }] };
      world.clock.after(1_000, () => world.server.update(`${HPAS}/${object.metadata.name}`, { status }));
    });
  },
};

/** The rights that every run has for other purposes. */
const OF_EVERY_RUN = ["list pods in kube-system-chaos", "create pods/proxy in kube-system-chaos"];

/** Rights for failures only: an answer is lost, or someone has deleted an object that must be restored. */
const WHEN_THINGS_GO_WRONG: Partial<Record<FunctionCheckName, readonly string[]>> = {
  "services-follow": [`get apps/deployments in ${NAMESPACE}`],
  "replicas-are-made": [`get apps/replicasets in ${NAMESPACE}`],
  "events-arrive": [`get events in ${NAMESPACE}`],
  "metrics-are-served": [`get apps/deployments in ${NAMESPACE}`],
  "dns-is-scaled": ["update apps/deployments coredns in kube-system"],
  "fluentd-is-scaled": ["update apps/daemonsets fluentd-gcp in kube-system"],
};

for (const name of FUNCTION_CHECK_NAMES) {
  test(`${name}: it has exactly the rights that it uses`, async (t) => {
    const world = await World.start(t);
    BESIDE[name]?.(world);
    const ready = await functionProbes[name].prepare(world.context);
    await checkOnce(world, ready);
    await checkOnce(world, ready);
    const corrected =
      name === "dns-is-scaled" ? ["coredns"] : name === "fluentd-is-scaled" ? ["fluentd-gcp"] : [];
    const needs = functionProbes[name].needs(NAMESPACE, corrected);
    const asked = needs.filter(({ optional }) => optional !== true).map(describePermission);
    const used = world.server.requests
      .filter(({ path }) => path !== "/apis/metrics.k8s.io")
      .map(permissionOf)
      .map(({ name: object, ...rest }) => [
        describePermission(rest),
        ...(object === undefined ? [] : [describePermission({ ...rest, name: object })]),
      ]);
    const allowed = [...asked, ...OF_EVERY_RUN];
    t.deepEqual(
      [...new Set(used.filter((rights) => !rights.some((right) => allowed.includes(right))).flat())],
      [],
      "used, not asked for",
    );
    t.deepEqual(
      asked.filter((right) => !used.some((rights) => rights.includes(right))).sort(),
      [...(WHEN_THINGS_GO_WRONG[name] ?? [])].sort(),
      "asked for, not used",
    );
  });
}
