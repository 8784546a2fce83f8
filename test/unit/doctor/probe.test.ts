/** What the probers' samples mean for a user: each finding, and no finding for noise. */
import test from "ava";
import { findingsOf, type Probed } from "../../../src/doctor/probe.js";
import { layerStates } from "../../../src/run/probing/layers.js";
import { everyLayer, NODES, type SeriesWords } from "../../helpers/probed.js";

const FOLLOWS = { runs: true, follows: { present: true, evidence: "new Service: reached" } };

function found(change: readonly SeriesWords[] = [], rest: Partial<Probed> = {}): string[] {
  const layers = layerStates(everyLayer(change));
  const probed = { layers, services: FOLLOWS, notProbed: [], external: "example.com" as const, ...rest };
  return findingsOf(probed).map(({ code, severity, component, title }) =>
    [code, severity, component ?? "-", title].join(" | "),
  );
}

const all = (probe: SeriesWords["probe"], failed: number): SeriesWords[] =>
  NODES.map((node) => ({ probe, node, failed }));

test("a healthy cluster: nothing, also with a lost sample on every node", (t) => {
  t.deepEqual(found(), []);
  t.deepEqual(
    found([
      { probe: "dns-internal", node: "a", failed: 1 },
      { probe: "tcp-service", node: "b", failed: 1 },
      { probe: "dns-external", node: "c", failed: 2 },
    ]),
    [],
  );
});

test("names inside fail from every node: kube-dns; names outside are then no finding of their own", (t) => {
  t.deepEqual(found([...all("dns-internal", 20), ...all("dns-search", 20), ...all("dns-external", 40)]), [
    "names-inside-failing | error | kube-dns | names inside the cluster fail from all 3 nodes",
  ]);
});

test("names inside fail from one node: what runs on that node is to blame", (t) => {
  t.deepEqual(found([{ probe: "dns-internal", node: "b", failed: 30 }]), [
    "names-inside-failing | error | kube-proxy | names inside the cluster fail from 1 of 3 nodes (b)",
  ]);
});

test("a small loss that no node shows alone counts for all of them together", (t) => {
  t.deepEqual(found(all("dns-internal", 2)), [
    "names-inside-failing | error | kube-dns | names inside the cluster fail now and then",
  ]);
});

test("slow names are a warning", (t) => {
  t.deepEqual(found(NODES.map((node) => ({ probe: "dns-internal" as const, node, ms: 900 }))), [
    "names-inside-slow | warning | kube-dns | names inside the cluster are slow from all 3 nodes",
  ]);
});

test("names outside fail: a warning that names air-gapped clusters", (t) => {
  const layers = layerStates(everyLayer(all("dns-external", 40)));
  const [finding, ...others] = findingsOf({
    layers,
    services: FOLLOWS,
    notProbed: [],
    external: "example.com",
  });
  t.deepEqual(others, []);
  t.is(finding?.code, "names-outside-failing");
  t.is(finding?.severity, "warning");
  t.regex(finding?.cure ?? "", /air-gapped.*`--external NAME`.*`--external none`/);
  t.regex(
    finding?.evidence[0] ?? "",
    /^names outside the cluster from a: 40 of 40 look-ups failed \(100 %: 40 timeout\); noise explains at most/,
  );
});

test("a socket that stays open fails while new ones work", (t) => {
  t.deepEqual(found([{ probe: "dns-same-socket", node: "c", failed: 40 }]), [
    "same-socket-failing | error | kube-proxy | look-ups on a socket that stays open fail from 1 of 3 nodes (c), while those on new sockets work",
  ]);
  t.deepEqual(
    found([
      { probe: "dns-same-socket", node: "c", failed: 40 },
      { probe: "dns-internal", node: "c", failed: 40 },
    ]).length,
    1,
    "when new sockets fail as well, it is the DNS",
  );
});

test("a Service fails while its pod answers: kube-proxy; if the pod does not answer, either, the network", (t) => {
  t.deepEqual(found([{ probe: "tcp-service", node: "a", failed: 40 }]), [
    "service-unreachable | error | kube-proxy | a Service cannot be reached from 1 of 3 nodes (a), while its pod can",
  ]);
  t.deepEqual(
    found([
      { probe: "tcp-service", node: "a", failed: 40 },
      { probe: "http-service", node: "a", failed: 40 },
      { probe: "tcp-pod", node: "a", failed: 40 },
    ]),
    ["pod-network-failing | error | - | a pod cannot be reached by its address from 1 of 3 nodes (a)"],
  );
});

test("a new Service that is not followed, not reached, or gets no pod", (t) => {
  const codes = (services: Probed["services"]): string[] =>
    found([], { services }).map((line) => line.split(" | ")[0] ?? "");
  t.deepEqual(codes({ runs: true, follows: { present: false, evidence: "x | y" } }), [
    "service-not-followed",
  ]);
  t.deepEqual(codes({ runs: true, problem: "a: timeout" }), ["new-service-unreachable"]);
  t.deepEqual(codes({ runs: false, problem: "no pod" }), ["new-pod-not-running"]);
});

test("a node without a prober, and a prober that was late itself: warnings", (t) => {
  t.deepEqual(
    found([{ probe: "dns-internal", node: "a", samples: 5, missed: 35 }], {
      notProbed: [{ node: "d", why: "image" }],
    }),
    [
      "no-prober | warning | - | no prober runs on d",
      "not-measured | warning | - | too few samples from 1 of 3 nodes (a): the probers were too late themselves",
    ],
  );
});

test("errors come before warnings", (t) => {
  t.deepEqual(
    found([...all("dns-external", 40), { probe: "tcp-service", node: "a", failed: 40 }]).map(
      (line) => line.split(" | ")[1],
    ),
    ["error", "warning"],
  );
});
