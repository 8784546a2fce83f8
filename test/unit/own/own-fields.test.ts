import test from "ava";
import type { ManagedFields } from "../../../src/kube/objects.js";
import { givenBack, isOwnManager, scalingManager, scalingOf } from "../../../src/own/own-fields.js";

const entry = (manager: string, fieldsV1: object, time = "T1", more: object = {}): ManagedFields => ({
  manager,
  operation: "Update",
  apiVersion: "apps/v1",
  time,
  fieldsType: "FieldsV1",
  fieldsV1,
  ...more,
});

const REPLICAS = { "f:spec": { "f:replicas": {} } };
const KUBEADM = entry("kubeadm", {
  "f:metadata": { "f:labels": { ".": {}, "f:app": {} } },
  "f:spec": { "f:replicas": {}, "f:selector": {} },
});
const STATUS = { subresource: "status" };

test("created by us: every field goes back, with its time; the controller's own entry stays", (t) => {
  const applied = entry("owner", { "f:spec": { "f:paused": {} } }, "T0", { operation: "Apply" });
  const all = entry(
    "kube-system-chaos",
    {
      "f:metadata": { "f:labels": { ".": {}, "f:app": {} } },
      "f:spec": { "f:replicas": {}, "f:selector": {}, "f:paused": {} },
    },
    "T9",
  );
  const before = [KUBEADM, applied, entry("kube-controller-manager", { "f:status": {} }, "T2", STATUS)];
  const now = entry("kube-controller-manager", { "f:status": {} }, "T9", STATUS);
  t.deepEqual(givenBack(before, [all, now]), [now, KUBEADM, applied]);
});

test("scaled by us: the replicas go back into the entry from which they were taken", (t) => {
  const rest = { ...KUBEADM, fieldsV1: { ...KUBEADM.fieldsV1, "f:spec": { "f:selector": {} } } };
  const ours = entry("kube-system-chaos/run-1/replicas-2", REPLICAS, "T9");
  t.deepEqual(givenBack([KUBEADM], [rest, ours]), [KUBEADM]);
});

test("what someone else took over stays theirs, and the entry that lost it keeps its own time", (t) => {
  const hpa = entry("hpa", REPLICAS, "T8", { subresource: "scale" });
  const rest = entry("kubeadm", { "f:spec": { "f:selector": {} } }, "T8");
  const ours = entry("kube-system-chaos", { "f:metadata": { "f:labels": { ".": {}, "f:app": {} } } }, "T9");
  t.deepEqual(givenBack([KUBEADM], [rest, hpa, ours]), [
    entry("kubeadm", { ...KUBEADM.fieldsV1, "f:spec": { "f:selector": {} } }, "T8"),
    hpa,
  ]);
});

test("nothing of this tool, or only what it owned before: nothing to change", (t) => {
  t.is(givenBack([KUBEADM], [KUBEADM]), undefined);
  t.is(givenBack(undefined, undefined), undefined);
  const ours = entry("kube-system-chaos", REPLICAS);
  t.is(givenBack([ours], [ours]), undefined, "an add-on of this tool");
  t.deepEqual(givenBack([], [ours]), [], "nobody owned it");
});

test("an entry that owns a field as a whole gets it back as a whole", (t) => {
  const atomic = entry("kubeadm", { "f:spec": { "f:selector": {} } });
  const ours = entry("kube-system-chaos", { "f:spec": { "f:selector": { "f:matchLabels": {} } } });
  t.deepEqual(givenBack([atomic], [ours]), [atomic]);
});

test("a scaling's field manager names the run and the replicas, within the API's 128 characters", (t) => {
  const scaling = { runId: `a${"x".repeat(80)}`, replicas: 1_000 };
  const manager = scalingManager(scaling);
  t.true(manager.length <= 128);
  t.deepEqual(scalingOf([KUBEADM, entry(manager, REPLICAS)]), scaling);
  t.is(scalingOf([KUBEADM, entry("kube-system-chaos", REPLICAS)]), undefined);
  t.is(scalingOf([entry("kube-system-chaos/run-1/replicas-x", REPLICAS)]), undefined);
});

test("own managers: also the user agents of older versions", (t) => {
  for (const own of ["kube-system-chaos", manager(), "kube-system-chaos (restore run-1)"])
    t.true(isOwnManager(own));
  for (const other of ["", "kubectl", "kube-system-chaos-operator"]) t.false(isOwnManager(other));
});

const manager = (): string => scalingManager({ runId: "run-1", replicas: 2 });
