/** Whether replacing the pods helped, from what was measured before and after. */
import test from "ava";
import { compared, lossesIn, lossLine, type Seen, stateLines } from "../../../src/heal/compare.js";
import { exitCodeOf, permissionsFor, verdict } from "../../../src/heal/heal.js";
import { describePermission } from "../../../src/kube/permission.js";
import { layerStates } from "../../../src/run/probing/layers.js";
import { everyLayer, NODES, type SeriesWords } from "../../helpers/probed.js";

const seen = (change: readonly SeriesWords[] = [], present = true): Seen => ({
  layers: layerStates(everyLayer(change)),
  services: { runs: true, follows: { present, evidence: "" } },
});

const B_FAILS = seen([{ probe: "dns-internal", node: "b", failed: 40 }]);

test("failing before, good after: better, exit 0", (t) => {
  const comparison = compared(B_FAILS, seen());
  t.deepEqual(comparison, {
    better: ["names inside the cluster from b: failing → good"],
    worse: [],
    still: [],
    unknown: [],
    wasBad: true,
  });
  t.is(exitCodeOf(comparison, false, 2), 0);
  t.is(
    stateLines(B_FAILS, seen())[0],
    "names inside the cluster: good from 2 of 3 nodes before, 3 of 3 after",
  );
});

test("failing before and after, or only after: exit 1", (t) => {
  const still = compared(B_FAILS, B_FAILS);
  t.deepEqual(still.still, ["names inside the cluster from b: failing"]);
  t.is(exitCodeOf(still, false, 2), 1);
  const worse = compared(seen(), B_FAILS);
  t.deepEqual(worse.worse, ["names inside the cluster from b: good → failing"]);
  t.is(exitCodeOf(worse, false, 2), 1);
  t.deepEqual(compared(seen(), seen([], false)).worse, [
    "a new Service, and one whose pod is replaced: good → failing",
  ]);
});

test("failing before, not measured after: neither healed nor exit 0", (t) => {
  const after = seen();
  const layers = after.layers.map((state) => ({
    ...state,
    nodes: state.nodes.map((each) => (each.node === "b" ? { ...each, state: "unknown" as const } : each)),
  }));
  const comparison = compared(B_FAILS, { ...after, layers });
  t.true(comparison.unknown.includes("names inside the cluster from b: failing → not measured"));
  t.true(comparison.wasBad);
  t.is(exitCodeOf(comparison, false, 2), 1);
  t.is(verdict(comparison, undefined), "not everything could be measured again");
  t.true(
    compared(seen(), { ...after, layers: [] }).unknown.includes(
      "names inside the cluster from a: good → not measured",
    ),
  );
});

test("names outside are shown and decide nothing", (t) => {
  const outside = seen(NODES.map((node) => ({ probe: "dns-external" as const, node, failed: 40 })));
  const comparison = compared(outside, outside);
  t.deepEqual([comparison.still, comparison.wasBad], [[], false]);
  t.true(
    stateLines(outside, outside).includes(
      "names outside the cluster: good from 0 of 3 nodes before, 0 of 3 after (not: a, b, c)",
    ),
  );
});

test("stopped: exit 4 if nothing was deleted, else 1", (t) => {
  const comparison = compared(seen(), seen());
  t.is(exitCodeOf(comparison, true, 0), 4);
  t.is(exitCodeOf(comparison, true, 1), 1);
});

test("the losses while the pods were replaced, by layer", (t) => {
  const results = everyLayer([{ probe: "dns-internal", node: "a", failed: 3 }]);
  t.true(
    lossLine(lossesIn({ results }), 38_200).startsWith(
      "failed while the pods were replaced (38.2 s): names inside the cluster 3 of 120, ",
    ),
  );
});

test("rights: eviction, or deletion with --disable-eviction; nothing of controllers but reading", (t) => {
  const dns = {
    namespace: "kube-system",
    kind: "Deployment",
    services: [{ kind: "Service", name: "kube-dns" }],
  } as const;
  const said = (disableEviction: boolean): string[] =>
    permissionsFor(dns, { disableEviction }).map(describePermission);
  t.deepEqual(said(false), [
    "list pods in kube-system",
    "list apps/deployments in kube-system",
    "list apps/replicasets in kube-system",
    "list discovery.k8s.io/endpointslices in kube-system",
    "create pods/eviction in kube-system",
  ]);
  t.is(said(true).at(-1), "delete pods in kube-system");
});
