/** The experiments of the package: one for each row of the study, and the variants. */
import test from "ava";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { packageRoot } from "../../../src/common/package-root.js";
import { components } from "../../../src/components/all-components.js";
import { resolveExperiment } from "../../../src/components/resolve.js";
import { COMPONENTS } from "../../../src/experiment/names.js";
import { parseExperiment } from "../../../src/load/parse.js";
import { loadExperiment } from "../../../src/load/read.js";
import { formatProblem } from "../../../src/strict-yaml/problems.js";

const FOLDER = join(packageRoot(), "experiments");
const files = async (folder: string): Promise<string[]> =>
  (await readdir(folder)).filter((name) => name.endsWith(".yaml")).sort();

test("each component has an experiment with its name, and there are no others", async (t) => {
  t.deepEqual(await files(FOLDER), COMPONENTS.map((name) => `${name}.yaml`).sort());
  for (const name of COMPONENTS) {
    const { experiment } = await loadExperiment(join(FOLDER, `${name}.yaml`));
    t.is(experiment.metadata.name, name);
    t.deepEqual(experiment.target, { component: name });
  }
});

test("every variant is valid and has the name of its file", async (t) => {
  const variants = join(FOLDER, "variants");
  const names = await files(variants);
  t.true(names.length >= 7);
  for (const file of names) {
    const { experiment } = await loadExperiment(join(variants, file));
    t.is(`${experiment.metadata.name}.yaml`, file);
    t.false(
      (COMPONENTS as readonly string[]).includes(experiment.metadata.name),
      "a variant is not the row itself",
    );
  }
});

test("the rows use four kinds of attack", async (t) => {
  const attacks = await Promise.all(
    COMPONENTS.map(async (name) => {
      const { experiment } = await loadExperiment(join(FOLDER, `${name}.yaml`));
      return resolveExperiment(experiment).attack.type;
    }),
  );
  t.deepEqual([...new Set(attacks)].sort(), [
    "delete-workload",
    "scale-to-zero",
    "static-pod",
    "systemd-unit",
  ]);
});

test("the study's nine rows come first, in its order, each with its claim", (t) => {
  const studied = Object.values(components).filter(({ study }) => study !== null);
  t.deepEqual(
    studied.map(({ study }) => [study?.name, study?.count, study?.impactVerified, study?.functionVerified]),
    [
      ["kubelet", 3, true, true],
      ["kube-proxy", 3, false, false],
      ["kube-dns", 2, true, true],
      ["kube-dns-autoscaler", 1, true, false],
      ["fluentd-gcp", 3, true, true],
      ["fluentd-gcp-scaler", 1, true, false],
      ["event-exporter", 1, true, false],
      ["metrics-server", 1, true, false],
      ["heapster", 1, true, false],
    ],
  );
  t.deepEqual(
    Object.keys(components).slice(0, 9),
    studied.map(({ name }) => name),
  );
});

const experiment = (rest: string): string =>
  `apiVersion: kube-system-chaos/v1\nkind: Experiment\nmetadata: { name: x }\n${rest}`;

for (const [what, rest, message] of [
  [
    "an attack that does not fit the component",
    "target: { component: kubelet }\nattack: { type: delete-pods }\n",
    /^x\.yaml:4:\d+: .*does not fit kubelet; fitting attacks: systemd-unit/,
  ],
  [
    "a workload's attack on a static pod",
    "target: { component: etcd }\nattack: { type: scale-to-zero }\n",
    /does not fit etcd; fitting attacks: static-pod/,
  ],
  [
    "zero replicas of a DaemonSet",
    "target: { kind: DaemonSet, name: x }\nattack: { type: scale-to-zero }\n",
    /does not fit a DaemonSet/,
  ],
  [
    "a control plane that is away for too long",
    "target: { component: etcd }\nphases: { window: 61s }\n",
    /^x\.yaml:5:\d+: phases\.window: must be at most 60s for etcd/,
  ],
  [
    "a window in which no function check ends",
    "target: { component: kubelet }\nphases: { window: 5s }\n",
    /phases\.window: must be at least \d+s, or no function check of kubelet ends/,
  ],
  [
    "flapping slower than the window",
    "target: { component: kube-dns }\nattack: { type: delete-pods, every: 40s }\n",
    /attack\.every: must be at most half of phases\.window/,
  ],
  [
    "a replaced pod after the window",
    "target: { component: kube-proxy }\nchurn: { after: 60s }\n",
    /churn\.after: must be shorter than phases\.window/,
  ],
] as const) {
  test(`refused with its position: ${what}`, (t) => {
    const parsed = parseExperiment(experiment(rest), "x.yaml");
    const problems = "problems" in parsed ? parsed.problems.map(formatProblem) : [];
    t.is(problems.length, 1, problems.join("\n"));
    t.regex(problems[0] ?? "", message);
  });
}

test("the control run may be short, whatever the component", (t) => {
  const text = experiment(
    "target: { component: kubelet }\nattack: { type: none }\nphases: { baseline: 5s, window: 5s }\n",
  );
  t.true("experiment" in parseExperiment(text, "x.yaml"));
});
