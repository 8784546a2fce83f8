import test from "ava";
import type { PhaseStats, ProbeResult } from "../../../src/analysis/result.js";
import { components } from "../../../src/components/all-components.js";
import type { Environment } from "../../../src/evidence/facts.js";
import type { ProbeName } from "../../../src/experiment/names.js";
import { differences } from "../../../src/report/environments.js";
import { layerDifferences } from "../../../src/report/layer-differences.js";
import { reportMarkdown } from "../../../src/report/markdown.js";
import { matrixMarkdown } from "../../../src/report/matrix-markdown.js";
import type { MatrixEntry } from "../../../src/report/matrix-run.js";
import { buildMatrix } from "../../../src/report/matrix.js";
import { factsFromJson } from "../../../src/report/facts-read.js";
import { analyse } from "../../../src/analysis/analyse.js";
import * as runs from "../../helpers/synthetic-run.js";

const ENVIRONMENT: Environment = {
  kubernetes: "v1.36.3",
  platform: "kind",
  cni: "kindnet (DaemonSet kindnet)",
  serviceProxy: "kube-proxy, iptables",
  dns: "coredns v1.12.0",
  kernels: ["6.18.44"],
  runtimes: ["containerd://2.3.4"],
  osImages: ["Debian GNU/Linux 12 (bookworm)"],
  architectures: ["amd64"],
  cgroups: ["v2"],
  ipFamilies: ["IPv4"],
  nodes: 3,
  apiServers: null,
  notRead: ["the ConfigMap kube-proxy: HTTP 403"],
};

test("a report has the environment; what is unknown is said, and what could not be read", (t) => {
  const { facts, events, samples } = runs.kubeDnsOutage();
  const text = reportMarkdown(analyse({ ...facts, environment: ENVIRONMENT }, events, samples));
  t.regex(text, /\| Service proxy +\| kube-proxy, iptables +\|/);
  t.regex(text, /\| API servers +\| unknown +\|/);
  t.regex(text, /Not read: the ConfigMap kube-proxy: HTTP 403\./);
  t.notRegex(reportMarkdown(analyse(facts, events, samples)), /Service proxy/, "an older run");
});

test("run.json with and without an environment is read; a damaged one is refused", (t) => {
  const { facts } = runs.kubeDnsOutage();
  t.true("facts" in factsFromJson(JSON.stringify(facts)));
  t.true("facts" in factsFromJson(JSON.stringify({ ...facts, environment: ENVIRONMENT })));
  t.deepEqual(factsFromJson(JSON.stringify({ ...facts, environment: { ...ENVIRONMENT, kernels: "6" } })), {
    problem: "its environment.kernels is missing or not valid",
  });
});

test("rows of different environments: what differs, and which rows; unknown parts differ from nothing", (t) => {
  const other = { ...ENVIRONMENT, kubernetes: "v1.35.0", cni: null, apiServers: 3 };
  const rows = [
    { name: "kube-dns", environment: ENVIRONMENT },
    { name: "etcd", environment: ENVIRONMENT },
    { name: "kubelet", environment: other },
    { name: "old", environment: undefined },
  ];
  const text = differences(rows, "en");
  t.regex(text, /^These rows were measured in different environments/);
  t.regex(text, /Kubernetes: v1\.36\.3 \(kube-dns, etcd\); v1\.35\.0 \(kubelet\)/);
  t.is(text.split("\n").length, 3);
  t.regex(differences(rows, "ja"), /異なる環境/);
  t.is(differences([...rows.slice(0, 2), ...rows.slice(3)], "en"), "");
});

test("the matrix tells rows of different environments", (t) => {
  const { facts, events, samples } = runs.kubeDnsOutage();
  const entry = (runId: string, name: string, environment: Environment): MatrixEntry => ({
    path: `${runId}/result.json`,
    result: analyse(
      { ...facts, runId, environment, experiment: { ...facts.experiment, name } },
      events,
      samples,
    ),
  });
  const matrix = (kubernetes: string): string =>
    matrixMarkdown(
      buildMatrix(
        [entry("a", "kube-dns", ENVIRONMENT), entry("b", "kube-dns-2", { ...ENVIRONMENT, kubernetes })],
        Object.values(components),
      ),
      "en",
    );
  t.regex(matrix("v1.35.0"), /different environments/);
  t.notRegex(matrix("v1.36.3"), /different environments/);
});

const stats = (samples: number, good: number): PhaseStats => ({
  samples,
  good,
  missed: 0,
  availability: samples === 0 ? null : good / samples,
  p50Ms: 1,
  p95Ms: 2,
  failures: {},
});

const result = (probe: ProbeName, window: PhaseStats, recovery = stats(100, 100)): ProbeResult =>
  ({ probe, source: "w", phases: { baseline: stats(100, 100), window, recovery } }) as unknown as ProbeResult;

test("an open socket that fails while fresh look-ups work is a finding, and the reverse, and for connections", (t) => {
  const of = (...probes: ProbeResult[]): string => layerDifferences({ probes });
  t.regex(
    of(result("dns-internal", stats(100, 100)), result("dns-same-socket", stats(100, 40))),
    /From w, in the window: look-ups on an open socket fail \(40\.0 % good\) while fresh ones work \(100 %\): the node's connection tracking/,
  );
  t.regex(
    of(result("dns-internal", stats(100, 0)), result("dns-same-socket", stats(100, 90))),
    /fresh look-ups fail \(0 % good\) while those on an open socket work \(90.0 %\)\.$/,
  );
  t.regex(
    of(
      result("http-service", stats(100, 100), stats(100, 20)),
      result("http-service-reused", stats(100, 100)),
    ),
    /in the recovery: new connections through the Service fail/,
  );
  t.is(of(result("dns-internal", stats(100, 0)), result("dns-same-socket", stats(100, 0))), "");
  t.is(of(result("dns-internal", stats(100, 99)), result("dns-same-socket", stats(100, 96))), "", "chance");
  t.is(of(result("dns-internal", stats(8, 8)), result("dns-same-socket", stats(8, 6))), "", "few samples");
  t.is(of(result("dns-same-socket", stats(100, 0))), "", "an older run");
});
