/** Files of other tools: one message each, which names the tool. The files are cut from the tools' public examples. */
import test from "ava";
import { formatProblem, parseExperiment } from "../../../src/load/read.js";

const WANTED =
  "not an experiment. An experiment has apiVersion: kube-system-chaos/v1, kind: Experiment, metadata.name and target";

function linesOf(text: string): string[] {
  const parsed = parseExperiment(text, "f.yaml");
  return "problems" in parsed ? parsed.problems.map(formatProblem) : [];
}

const LITMUS = `apiVersion: litmuschaos.io/v1alpha1
kind: ChaosEngine
metadata:
  name: engine-nginx
  namespace: litmus
spec:
  engineState: active
  appinfo: {appns: default, applabel: app=nginx, appkind: deployment}
  chaosServiceAccount: litmus-admin
  experiments:
    - name: pod-delete
`;
const DEPLOYMENT = `apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec: {replicas: 1}
`;

for (const [what, text, expected] of [
  ["Litmus", LITMUS, "1:1: this is a ChaosEngine of Litmus (litmuschaos.io/v1alpha1)"],
  [
    "Chaos Mesh, a pod",
    "kind: PodChaos\napiVersion: chaos-mesh.org/v1alpha1\nmetadata: {name: a, namespace: chaos-testing}\nspec: {action: pod-failure, mode: one, duration: 30s}\n",
    "2:1: this is a PodChaos of Chaos Mesh (chaos-mesh.org/v1alpha1)",
  ],
  [
    "Chaos Mesh, a network",
    "apiVersion: chaos-mesh.org/v1alpha1\nkind: NetworkChaos\nmetadata: {name: a}\nspec: {action: delay}\n",
    "1:1: this is a NetworkChaos of Chaos Mesh (chaos-mesh.org/v1alpha1)",
  ],
  [
    "ChaosBlade",
    "apiVersion: chaosblade.io/v1alpha1\nkind: ChaosBlade\nmetadata: {name: a}\nspec: {experiments: []}\n",
    "1:1: this is a ChaosBlade of ChaosBlade (chaosblade.io/v1alpha1)",
  ],
  [
    "Datadog",
    "apiVersion: chaos.datadoghq.com/v1beta1\nkind: Disruption\nmetadata: {name: a}\nspec: {count: 1}\n",
    "1:1: this is a Disruption of Datadog's chaos controller (chaos.datadoghq.com/v1beta1)",
  ],
  [
    "Argo Rollouts, which has a kind of the same name",
    "apiVersion: argoproj.io/v1alpha1\nkind: Experiment\nmetadata: {name: a}\nspec: {templates: []}\n",
    "1:1: this is an Experiment of Argo (argoproj.io/v1alpha1)",
  ],
  [
    "Chaos Toolkit",
    `{\n\t"version": "1.0.0",\n\t"title": "t",\n\t"description": "d",\n\t"steady-state-hypothesis": {"title": "s", "probes": []},\n\t"method": [],\n\t"rollbacks": []\n}\n`,
    "5:2: this is an experiment of the Chaos Toolkit (its command is called chaos, too)",
  ],
  [
    "Krkn, a scenario",
    "- id: kill-pods\n  config: {namespace_pattern: ^kube-system$, label_selector: k8s-app=kube-scheduler}\n",
    "1:1: this is a scenario of Krkn",
  ],
  [
    "Krkn, a hog",
    "duration: 60\nworkers: ''\nhog-type: cpu\nimage: quay.io/krkn-chaos/krkn-hog\nnamespace: default\n",
    "3:1: this is a scenario of Krkn",
  ],
  [
    "Krkn, its configuration",
    "kraken:\n  kubeconfig_path: ~/.kube/config\n  chaos_scenarios: []\ntunings: {iterations: 1}\n",
    "1:1: this is a configuration of Krkn",
  ],
  [
    "kind",
    "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nnodes: [{role: control-plane}]\n",
    "2:1: this is a cluster configuration of kind (kind.x-k8s.io/v1alpha4)",
  ],
  [
    "Helm, values",
    "replicaCount: 1\nimage: {repository: nginx}\nservice: {type: ClusterIP}\n",
    "1:1: this is a values file of a Helm chart",
  ],
  [
    "Helm, a chart",
    "apiVersion: v2\nname: a\ntype: application\nversion: 0.1.0\n",
    "1:1: this is the Chart.yaml of a Helm chart",
  ],
  ["a kubeconfig", "apiVersion: v1\nkind: Config\nclusters: []\ncontexts: []\n", "1:1: this is a kubeconfig"],
  [
    "a manifest",
    "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {}\n",
    "1:1: this is a Kubernetes manifest (Service, v1)",
  ],
  ["a JSON Schema", '{"$schema": "x", "properties": {}}', "1:2: this is a JSON Schema"],
  [
    "anything else",
    "services: {web: {}}\nvolumes: {}\n",
    "1:1: this is a file of another kind (its first key is services)",
  ],
] as const) {
  test(`a file of another tool gives one message: ${what}`, (t) => {
    t.deepEqual(linesOf(text), [`f.yaml:${expected}, ${WANTED}`]);
  });
}

test("several documents of another tool give one message, too", (t) => {
  t.deepEqual(linesOf(`${LITMUS}---\n${DEPLOYMENT}`), [
    `f.yaml:1:1: this is a ChaosEngine of Litmus (litmuschaos.io/v1alpha1), ${WANTED}`,
  ]);
});

test("a workload's manifest gives the target to write", (t) => {
  t.deepEqual(linesOf(DEPLOYMENT), [
    `f.yaml:1:1: this is a Kubernetes manifest (Deployment, apps/v1), ${WANTED}; for this workload, target: {kind: Deployment, namespace: shop, name: web}`,
  ]);
  t.regex(
    linesOf("apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: 'a}'}\n")[0] ?? "",
    /target: \{kind: DaemonSet, namespace: NAMESPACE, name: NAME\}$/,
  );
});

test("untrusted words of such a file are quoted", (t) => {
  const lines = linesOf('apiVersion: "litmuschaos.io/\\e[2J"\nkind: "x\\u202ey"\n');
  t.is(lines.length, 1);
  t.notRegex(lines[0] ?? "", /[\p{Cc}\p{Cf}]/u);
});

test("a bad experiment is still an experiment", (t) => {
  for (const text of [
    "apiVersion: kube-system-chaos/v2\nkind: Experiment\n",
    "apiVersion: kube-sytem-chaos/v1\nkind: Experiment\n",
    "apiVersion: v1\nkind: Experiment\nmetadata: {name: a}\ntarget: {component: etcd}\n",
    "apiVersion: v1\nkind: Experiment\nmetadata: {name: a}\n",
    "target: {component: etcd}\nmethod: []\n",
    "traget: {component: etcd}\n",
    "phases: {}\nimage: a\nservice: b\n",
    "[]\n",
    "- a\n",
  ])
    t.notRegex(linesOf(text).join("\n"), /this is /, text);
});
