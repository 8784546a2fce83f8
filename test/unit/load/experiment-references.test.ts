import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import anyTest, { type TestFn } from "ava";
import { validate } from "../../../src/commands/validate-command.js";
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
  // A path is not searched for elsewhere.
  await t.throwsAsync(resolveReference("other/kube-dns.yaml", options), {
    message: `no experiment "other/kube-dns.yaml"\nlooked for: ${join(cwd, "other/kube-dns.yaml")}`,
  });
  await t.throwsAsync(resolveReference("empty", options), {
    message: "empty: no experiment files (*.yaml, *.yml) in this folder",
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
  ]);
  t.deepEqual(await validate(["b"], { cwd, packageExperiments }), {
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
