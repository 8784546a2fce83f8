import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import anyTest, { type TestFn } from "ava";
import { validate } from "../../../src/commands/validate-command.js";
import { UsageError } from "../../../src/common/errors.js";
import { loadAll } from "../../../src/load/load-all.js";
import { resolveReference } from "../../../src/load/read.js";
import { didYouMean, nearest } from "../../../src/strict-yaml/near.js";
import { packageRoot } from "../../../src/common/package-root.js";

const test = anyTest as TestFn<{ root: string; cwd: string; packageExperiments: string }>;

const GOOD = `apiVersion: kube-system-chaos/v1
kind: Experiment
metadata: {name: kube-dns}
target: {component: kube-dns}
attack: {type: delete-pods}
`;

test.beforeEach(async (t) => {
  const root = await mkdtemp(join(tmpdir(), "references-"));
  const cwd = join(root, "here");
  const packageExperiments = join(root, "package", "experiments");
  t.context = { root, cwd, packageExperiments };
  await mkdir(join(cwd, "experiments", "folder.yaml"), { recursive: true });
  await mkdir(join(cwd, "empty"));
  await mkdir(packageExperiments, { recursive: true });
  for (const name of ["b.yaml", "a.yml", "c.txt", ".hidden.yaml"]) {
    await writeFile(join(cwd, "experiments", name), GOOD);
  }
  await writeFile(join(cwd, "experiments", "bad.yaml"), `${GOOD}phases: {window: 1s}\nx: 1\n`);
  await writeFile(join(cwd, "b.yaml"), GOOD);
  await writeFile(join(packageExperiments, "b.yaml"), GOOD);
  await writeFile(join(packageExperiments, "kube-dns.yaml"), GOOD);
  await writeFile(join(packageExperiments, "experiment.schema.json"), "{}");
});

test.afterEach.always(async (t) => {
  await rm(t.context.root, { recursive: true });
});

test("a reference is a path, a folder, or a bare name here or in the package", async (t) => {
  const { cwd, packageExperiments } = t.context;
  const find = (reference: string): Promise<string[]> =>
    resolveReference(reference, { cwd, packageExperiments });
  const here = (name: string): string => join(cwd, "experiments", name);
  t.deepEqual(await find("experiments/b.yaml"), [here("b.yaml")]);
  t.deepEqual(await find(here("b.yaml")), [here("b.yaml")]);
  // Sorted, without other files, hidden files and folders.
  t.deepEqual(await find("experiments"), [here("a.yml"), here("b.yaml"), here("bad.yaml")]);
  t.deepEqual(await find("b.yaml"), [join(cwd, "b.yaml")]);
  t.deepEqual(await find("b"), [here("b.yaml")]);
  t.deepEqual(await find("a"), [here("a.yml")]);
  t.deepEqual(await find("kube-dns"), [join(packageExperiments, "kube-dns.yaml")]);
  t.deepEqual(await find("kube-dns.yaml"), [join(packageExperiments, "kube-dns.yaml")]);
});

test("extensions in upper case and JSON are found, but no JSON Schema", async (t) => {
  const { cwd, packageExperiments } = t.context;
  const folder = join(cwd, "experiments");
  for (const name of ["d.json", "E.YAML", "f.Yml", "g.JSON", "h.schema.json", "i.jsonl", ".j.JSON"])
    await writeFile(join(folder, name), GOOD);
  const find = (reference: string): Promise<string[]> =>
    resolveReference(reference, { cwd, packageExperiments });
  t.deepEqual(
    (await find("experiments")).map((path) => path.slice(folder.length + 1)),
    ["E.YAML", "a.yml", "b.yaml", "bad.yaml", "d.json", "f.Yml", "g.JSON"],
  );
  for (const [reference, name] of [
    ["d", "d.json"],
    ["E", "E.YAML"],
    ["g", "g.JSON"],
    ["g.JSON", "g.JSON"],
  ] as const)
    t.deepEqual(await find(reference), [join(folder, name)]);
});

test("all bad files are told at once, sorted, with one summary, also those that cannot be read", async (t) => {
  const { cwd, packageExperiments } = t.context;
  const folder = join(cwd, "mixed");
  await mkdir(join(folder, "sub.yaml"), { recursive: true });
  execFileSync("mkfifo", [join(folder, "c-pipe.yml")]);
  await symlink("nowhere", join(folder, "d-dangling.JSON"));
  await writeFile(join(folder, "a-ok.YAML"), GOOD);
  await writeFile(join(folder, "z.json"), JSON.stringify({ apiVersion: "apps/v1", kind: "Deployment" }));
  await writeFile(
    join(folder, "b.yaml"),
    `${GOOD}phases: {window: 1s, baseline: 1}\nprobes: {external: off}\n`,
  );
  await writeFile(join(folder, "e.yaml"), "a: [\n");
  const bad = [
    "mixed/b.yaml:6:18: phases.window: must be between 2s and 60m (for example 60s)",
    "mixed/b.yaml:6:32: phases.baseline: must be a duration such as 250ms, 30s, 5m: the unit is missing",
    'mixed/b.yaml:7:20: probes.external: must be a host name such as example.com, or false: "off" is text in YAML 1.2. Write false',
    "mixed/c-pipe.yml: not a regular file",
    "mixed/d-dangling.JSON: cannot be read: it is a broken link",
    "mixed/e.yaml:2:1: not YAML: Flow sequence in block collection must be sufficiently indented and end with a ]",
    "mixed/z.json:1:2: this is a Kubernetes manifest (Deployment, apps/v1), not an experiment. An experiment has apiVersion: kube-system-chaos/v1, kind: Experiment, metadata.name and target; for this workload, target: {kind: Deployment, namespace: NAMESPACE, name: NAME}",
    'no experiment "kube-dsn/"',
    `looked for: ${join(cwd, "kube-dsn")}`,
    "empty: no experiment files (*.yaml, *.yml, *.json) in this folder. Name another one, or write some with `chaos init empty`",
  ];
  const references = ["mixed/z.json", "kube-dsn/", "mixed", "empty", "mixed/b.yaml"];
  const { ok, lines } = await validate(references, { cwd, packageExperiments });
  t.false(ok);
  const summary = "5 of 6 files cannot be used: 7 problems; 2 arguments matched no file";
  t.deepEqual(lines, [
    "mixed/a-ok.YAML: ok (kube-dns: delete-pods on kube-dns, window 60s)",
    ...bad,
    summary,
  ]);
  // A run tells the same, without the good ones.
  await t.throwsAsync(loadAll(references, { cwd, packageExperiments }), {
    instanceOf: UsageError,
    message: [...bad, summary].join("\n"),
  });
});

test("the package's experiments are found from any folder", async (t) => {
  t.deepEqual(await resolveReference("kube-dns", { cwd: t.context.cwd }), [
    join(packageRoot(), "experiments", "kube-dns.yaml"),
  ]);
});

test("an unknown reference gives the searched paths and a similar name", async (t) => {
  const { cwd, packageExperiments } = t.context;
  const options = { cwd, packageExperiments };
  await t.throwsAsync(resolveReference("kube-dsn", options), {
    name: "UsageError",
    message: `no experiment "kube-dsn"; did you mean kube-dns?
looked for: ${join(cwd, "kube-dsn")}, ${join(cwd, "experiments", "kube-dsn.yaml")}, ${join(cwd, "experiments", "variants", "kube-dsn.yaml")}, ${join(packageExperiments, "kube-dsn.yaml")}, ${join(packageExperiments, "variants", "kube-dsn.yaml")}
known experiments: a, b, bad, kube-dns`,
  });
  await t.throwsAsync(resolveReference("coredns", options), {
    message: /^no experiment "coredns"; did you mean kube-dns\?\n/,
  });
  await t.throwsAsync(resolveReference("CoreDNS.yaml", options), {
    message: /^no experiment "CoreDNS\.yaml"; did you mean kube-dns\?\n/,
  });
  // A path is not searched for elsewhere.
  await t.throwsAsync(resolveReference("other/kube-dns.yaml", options), {
    message: `no experiment "other/kube-dns.yaml"\nlooked for: ${join(cwd, "other/kube-dns.yaml")}`,
  });
  await t.throwsAsync(resolveReference("empty", options), {
    message:
      "empty: no experiment files (*.yaml, *.yml, *.json) in this folder. Name another one, or write some with `chaos init empty`",
  });
  await t.throwsAsync(resolveReference("", options), { name: "UsageError" });
});

test("validate prints a line for each valid file and all problems of the others", async (t) => {
  const { cwd, packageExperiments } = t.context;
  const { ok, lines } = await validate(["experiments", "b", "nope/x.yaml"], { cwd, packageExperiments });
  t.false(ok);
  t.deepEqual(lines, [
    "experiments/a.yml: ok (kube-dns: delete-pods on kube-dns, window 60s)",
    "experiments/b.yaml: ok (kube-dns: delete-pods on kube-dns, window 60s)",
    "experiments/bad.yaml:6:18: phases.window: must be between 2s and 60m (for example 60s)",
    "experiments/bad.yaml:7:1: x: unknown key; known keys: apiVersion, kind, metadata, target, attack, churn, application, probes, phases, abortWhen, thresholds, expectation",
    'no experiment "nope/x.yaml"',
    `looked for: ${join(cwd, "nope/x.yaml")}`,
    "1 of 3 files cannot be used: 2 problems; 1 argument matched no file",
  ]);
  // One file needs no summary.
  t.is((await validate(["experiments/bad.yaml"], { cwd, packageExperiments })).lines.length, 2);
  t.like(await validate(["b"], { cwd, packageExperiments }), {
    ok: true,
    lines: ["experiments/b.yaml: ok (kube-dns: delete-pods on kube-dns, window 60s)"],
  });
});

test("similar names are typing errors, not other words", (t) => {
  t.is(nearest("kube-dnz", ["kube-dns", "kube-proxy"]), "kube-dns");
  t.is(nearest("nmae", ["name", "kind"]), "name");
  t.is(nearest("Window", ["window", "recovery"]), "window");
  t.is(nearest("kind", ["name", "namespace"]), undefined);
  t.is(nearest("x".repeat(100_000), ["x"]), undefined);
  t.is(nearest("", ["name"]), undefined);
  t.is(didYouMean("baselin", ["baseline"]), "; did you mean baseline?");
});
