/** What people call things: suggested, never accepted. */
import test from "ava";
import { parseExperiment } from "../../../src/load/read.js";
import { ALIASES } from "../../../src/experiment/aliases.js";
import { ATTACKS } from "../../../src/experiment/attacks.js";
import { experimentJsonSchema } from "../../../src/experiment/json-schema.js";
import { COMPONENTS } from "../../../src/experiment/names.js";
import { nearest } from "../../../src/strict-yaml/near.js";

const HEAD = "apiVersion: kube-system-chaos/v1\nkind: Experiment\nmetadata: {name: a}\n";

/** The suggestion for a file's only problem. */
function suggestion(rest: string): string | undefined {
  const parsed = parseExperiment(HEAD + rest, "f.yaml");
  if (!("problems" in parsed) || parsed.problems.length !== 1) return undefined;
  return /; did you mean (.*)\?$/.exec(parsed.problems[0]?.message ?? "")?.[1];
}

for (const [word, component] of Object.entries({
  coredns: "kube-dns",
  CoreDNS: "kube-dns",
  corends: "kube-dns",
  dns: "kube-dns",
  "core-dns": "kube-dns",
  "kube-dsn": "kube-dns",
  proxy: "kube-proxy",
  kubeproxy: "kube-proxy",
  scheduler: "kube-scheduler",
  "controller-manager": "kube-controller-manager",
  apiserver: "kube-apiserver",
  "api-server": "kube-apiserver",
  "kube-api-server": "kube-apiserver",
  containerd: "container-runtime",
  "cri-o": "container-runtime",
  docker: "container-runtime",
  fluentbit: "fluentd",
  "fluent-bit": "fluentd",
  "fluentd-gcp-scaler": "fluentd-scaler",
  metrics: "metrics-server",
  autoscaler: "kube-dns-autoscaler",
  "dns-autoscaler": "kube-dns-autoscaler",
  "coredns-autoscaler": "kube-dns-autoscaler",
  "gke-metrics-agent": "heapster",
  "default-backend": "l7-default-backend",
  "event-exporter-gke": "event-exporter",
  "kubelet.service": "kubelet",
  "etcd-manager": "etcd",
})) {
  test(`a component by another name is suggested, not accepted: ${word}`, (t) => {
    t.is(suggestion(`target: {component: ${word}}\n`), component);
  });
}

for (const [rest, expected] of [
  ["attack: {type: pod-kill}", "delete-pods"],
  ["attack: {type: PodChaos}", "delete-pods"],
  ["attack: {type: delete}", "delete-workload"],
  ["attack: {type: scale}", "scale-to-zero"],
  ["attack: {type: systemd}", "systemd-unit"],
  ["attack: {type: off}", "none"],
  ["attack: {type: delete-pod}", "delete-pods"],
  ["phases: {duration: 60s}", "window"],
  ["phases: {warmup: 60s}", "baseline"],
  ["expect: {impact: none}", "expectation"],
  ["duration: 60s", "phases"],
  ["attack: {type: delete-pods, gracePeriodSeconds: 1s}", "gracePeriod"],
  ["expectation: {impact: down}", "outage"],
] as const) {
  test(`an attack, a value or a key by another name: ${rest}`, (t) => {
    t.is(suggestion(`target: {component: kube-dns}\n${rest}\n`), expected);
  });
}

test("every alias belongs to a word of the schema, and is no such word among its neighbours", (t) => {
  const schema = JSON.stringify(experimentJsonSchema());
  for (const [word, aliases] of Object.entries(ALIASES)) {
    t.true(schema.includes(JSON.stringify(word)), word);
    t.is(new Set(aliases).size, aliases.length, word);
  }
  for (const words of [COMPONENTS, Object.keys(ATTACKS)]) {
    const all = words.flatMap((word) => ALIASES[word] ?? []);
    t.is(new Set(all).size, all.length, "an alias means one thing");
    t.deepEqual(
      all.filter((alias) => (words as readonly string[]).includes(alias)),
      [],
    );
  }
  for (const word of COMPONENTS) t.true(word in ALIASES, word);
});

test("what is near to no component and its aliases gets no suggestion", (t) => {
  for (const word of ["nginx", "redis", "calico-node", "cluster-autoscaler", "cni", "web"])
    t.is(nearest(word, COMPONENTS, ALIASES), undefined, word);
});
