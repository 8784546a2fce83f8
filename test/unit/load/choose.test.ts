import test from "ava";
import { choose, type Loaded } from "../../../src/load/choose.js";
import { UsageError } from "../../../src/common/errors.js";
import { resolveExperiment } from "../../../src/components/resolve.js";
import { experimentSchema } from "../../../src/experiment/schema.js";

const loaded = (name: string, target: object): Loaded => ({
  file: `${name}.yaml`,
  resolved: resolveExperiment(
    experimentSchema.parse({
      apiVersion: "kube-system-chaos/v1",
      kind: "Experiment",
      metadata: { name },
      target,
    }),
  ),
});
const ALL = [
  loaded("own", { kind: "Deployment", name: "own" }),
  loaded("etcd", { component: "etcd" }),
  loaded("kubelet", { component: "kubelet" }),
  loaded("kube-dns", { component: "kube-dns" }),
];
const EVERYTHING = { only: [], skip: [], control: false };
const names = (each: readonly Loaded[]): string[] =>
  each.map(({ resolved }) => resolved.experiment.metadata.name);

test("several experiments run in the order of the study's table, without a component last", (t) => {
  t.deepEqual(names(choose(ALL, EVERYTHING)), ["kubelet", "kube-dns", "etcd", "own"]);
});

test("--only and --skip choose by name", (t) => {
  t.deepEqual(names(choose(ALL, { ...EVERYTHING, only: ["etcd", "kubelet"] })), ["kubelet", "etcd"]);
  t.deepEqual(names(choose(ALL, { ...EVERYTHING, skip: ["etcd", "own"] })), ["kubelet", "kube-dns"]);
  t.deepEqual(names(choose(ALL, { ...EVERYTHING, only: ["etcd", "own"], skip: ["own"] })), ["etcd"]);
});

test("an unknown name and an empty choice are usage errors", (t) => {
  t.throws(() => choose(ALL, { ...EVERYTHING, only: ["kubelte"] }), {
    instanceOf: UsageError,
    message:
      /^unknown experiment: kubelte \(did you mean kubelet\?\)\. Given experiments: own, etcd, kubelet, kube-dns$/,
  });
  t.throws(() => choose(ALL, { ...EVERYTHING, only: ["coredns"], skip: ["nothing"] }), {
    message: /^unknown experiment: coredns \(did you mean kube-dns\?\), nothing\. Given/,
  });
  t.throws(() => choose(ALL, { ...EVERYTHING, only: ["etcd"], skip: ["etcd"] }), { instanceOf: UsageError });
});

test("--control attacks nothing and expects no impact", (t) => {
  for (const { resolved } of choose(ALL, { ...EVERYTHING, control: true })) {
    t.deepEqual(resolved.attack, { type: "none" });
    t.is(resolved.expectedImpact, "none");
  }
});
