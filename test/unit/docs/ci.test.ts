/** action.yml and the pipelines of docs/ci.md: as GitHub's own parser reads them, and their steps as GitHub runs them. */
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { build } from "esbuild";
import { execa } from "execa";
import { parse } from "yaml";
import { packageRoot } from "../../../src/common/package-root.js";
import { CLI } from "../../helpers/cli.js";

const read = (path: string): string => readFileSync(join(packageRoot(), path), "utf8");

type Parser = typeof import("@actions/workflow-parser") &
  typeof import("@actions/workflow-parser/actions/index");

/** GitHub's parser (github.com/actions/languageservices). It imports JSON as only a bundler can. */
async function loadParser(): Promise<Parser> {
  const names = ["@actions/workflow-parser", "@actions/workflow-parser/actions/index"];
  const { outputFiles } = await build({
    stdin: {
      contents: names.map((name) => `export * from ${JSON.stringify(name)};`).join("\n"),
      resolveDir: packageRoot(),
    },
    bundle: true,
    format: "esm",
    platform: "node",
    // Its YAML library is CommonJS.
    banner: { js: 'import { createRequire } from "node:module"; const require = createRequire("/");' },
    write: false,
    logLevel: "error",
  });
  const folder = await mkdtemp(join(tmpdir(), "chaos-parser-"));
  const file = join(folder, "parser.mjs");
  writeFileSync(file, outputFiles[0]?.text ?? "");
  const parser = (await import(file)) as Parser;
  await rm(folder, { recursive: true });
  return parser;
}

const { convertActionTemplate, convertWorkflowTemplate, NoOperationTraceWriter, parseAction, parseWorkflow } =
  await loadParser();
const trace = new NoOperationTraceWriter();

interface Step {
  readonly name?: string;
  readonly id?: string;
  readonly run?: string;
  readonly shell?: string;
  readonly env?: Readonly<Record<string, string>>;
}

interface Action {
  readonly inputs: Readonly<Record<string, { readonly default?: string; readonly required?: boolean }>>;
  readonly outputs: Readonly<Record<string, { readonly value: string }>>;
  readonly runs: { readonly steps: readonly Step[] };
}

const ACTION = parse(read("action.yml")) as Action;
const steps = ACTION.runs.steps.filter(({ run }) => run !== undefined);

/** The YAML blocks of a page. */
function yamlBlocks(path: string): string[] {
  return [...read(path).matchAll(/^```yaml\n([\s\S]*?)^```$/gm)].map((match) => match[1] ?? "");
}

const problemsOf = (errors: readonly { readonly message: string }[]): string[] =>
  errors.map(({ message }) => message);

test("action.yml: GitHub's parser accepts it", (t) => {
  const result = parseAction({ name: "action.yml", content: read("action.yml") }, trace);
  t.deepEqual(problemsOf(result.context.errors.getErrors()), []);
  if (result.value === undefined) return void t.fail("no value");
  const { runs } = convertActionTemplate(result.context, result.value);
  t.is(runs.using, "composite");
});

test("action.yml: GitHub's parser finds a mistake", (t) => {
  const content = read("action.yml").replace("      shell: bash\n", "      shel: bash\n");
  const { context } = parseAction({ name: "action.yml", content }, trace);
  t.regex(problemsOf(context.errors.getErrors()).join("\n"), /shel/);
});

test("docs/ci.md: GitHub's parser accepts the workflow, and its inputs are the action's", async (t) => {
  const content = yamlBlocks("docs/ci.md").find((block) => block.includes("runs-on")) ?? "";
  const result = parseWorkflow({ name: "game-day.yml", content }, trace);
  t.deepEqual(problemsOf(result.context.errors.getErrors()), []);
  if (result.value === undefined) return void t.fail("no value");
  const template = await convertWorkflowTemplate(result.context, result.value);
  t.deepEqual(template.errors ?? [], []);
  const { jobs } = parse(content) as {
    jobs: Record<string, { steps: { uses?: string; with?: Record<string, string> }[] }>;
  };
  const own = jobs["game-day"]?.steps.find(({ uses }) => uses?.includes("kube-system-chaos") === true);
  const known = Object.keys(ACTION.inputs);
  t.deepEqual(
    Object.keys(own?.with ?? {}).filter((each) => !known.includes(each)),
    [],
  );
  for (const [name, { required }] of Object.entries(ACTION.inputs))
    if (required === true) t.true(name in (own?.with ?? {}), name);
});

test("no expression is in a script: an input could end the command and start another", (t) => {
  const workflows = yamlBlocks("docs/ci.md").filter((block) => block.includes("runs-on"));
  const scripts = [...steps, ...workflows.flatMap(stepsOf)].flatMap(({ run }) => run ?? []);
  t.true(scripts.length >= 5);
  for (const script of scripts) t.notRegex(script, /\$\{\{/);
  for (const { shell } of steps) t.is(shell, "bash");
});

function stepsOf(workflow: string): readonly Step[] {
  const { jobs } = parse(workflow) as { jobs: Record<string, { steps: Step[] }> };
  return Object.values(jobs).flatMap((job) => job.steps);
}

test("docs/ci.md: every input and output that the page names is the action's", (t) => {
  const page = read("docs/ci.md");
  const table = page.slice(page.indexOf("| Input "), page.indexOf("Outputs:"));
  const named = [...table.matchAll(/^\| (`[^|]+) \|/gm)].flatMap(([, cell = ""]) =>
    [...cell.matchAll(/`([^`]+)`/g)].map(([, name = ""]) => name),
  );
  t.true(named.length >= 7);
  t.deepEqual(
    named.filter((name) => !(name in ACTION.inputs)),
    [],
  );
  for (const output of Object.keys(ACTION.outputs)) t.true(page.includes(`\`${output}\``), output);
});

interface Ran {
  readonly code: number | undefined;
  /** The arguments of each `chaos` or `npm`, one per line. */
  readonly calls: string[];
  readonly outputs: string;
  readonly said: string;
}

/** Runs a step as GitHub does: bash --noprofile --norc -eo pipefail, with the inputs in its variables. */
async function runStep(
  t: ExecutionContext,
  name: string,
  inputs: Readonly<Record<string, string>>,
  commands: { readonly chaos?: string; readonly npm?: string } = {},
): Promise<Ran> {
  const root = await mkdtemp(join(tmpdir(), "chaos-action-"));
  t.teardown(async () => await rm(root, { recursive: true, force: true }));
  const step = steps.find((each) => each.name === name);
  if (step?.run === undefined) throw new Error(`action.yml has no step ${name}`);
  mkdirSync(join(root, "bin"));
  for (const [command, does] of Object.entries({ chaos: "exit 0", npm: "exit 0", ...commands })) {
    const log = `printf '%s\\n' "${command}|$(IFS='|'; echo "$*")" >> "${root}/calls"`;
    writeFileSync(join(root, "bin", command), `#!/bin/bash\n${log}\n${does}\n`);
    chmodSync(join(root, "bin", command), 0o755);
  }
  writeFileSync(join(root, "step.sh"), step.run);
  writeFileSync(join(root, "calls"), "");
  writeFileSync(join(root, "output"), "");
  const values: Readonly<Record<string, string>> = {
    ...Object.fromEntries(Object.entries(ACTION.inputs).map(([key, each]) => [key, each.default ?? ""])),
    ...inputs,
  };
  const env = Object.fromEntries(
    Object.entries(step.env ?? {}).map(([key, expression]) => {
      const input = /^\$\{\{ inputs\.([\w-]+) \}\}$/.exec(expression)?.[1];
      return [key, input === undefined ? root : (values[input] ?? "")];
    }),
  );
  const ended = await execa("bash", ["--noprofile", "--norc", "-eo", "pipefail", join(root, "step.sh")], {
    cwd: packageRoot(),
    env: {
      ...env,
      GITHUB_OUTPUT: join(root, "output"),
      RUNNER_TEMP: root,
      PATH: `${root}/bin:/usr/bin:/bin`,
    },
    extendEnv: false,
    reject: false,
  });
  return {
    code: ended.exitCode,
    calls: readFileSync(join(root, "calls"), "utf8")
      .split("\n")
      .filter((line) => line !== ""),
    outputs: readFileSync(join(root, "output"), "utf8"),
    said: ended.stdout + ended.stderr,
  };
}

test("Install: a version from npm; without one the action's own code, packed", async (t) => {
  t.deepEqual((await runStep(t, "Install", { version: "0.1.0" })).calls, [
    "npm|install|--global|kube-system-chaos@0.1.0",
  ]);
  const own = await runStep(t, "Install", {}, { npm: 'if [ "$1" = pack ]; then echo packed.tgz; fi' });
  t.is(own.code, 0, own.said);
  t.is(own.calls[0], "npm|ci");
  t.regex(own.calls[1] ?? "", /^npm\|pack\|.*--ignore-scripts/);
  t.regex(own.calls[2] ?? "", /^npm\|install\|--global\|\/.*\/packed\.tgz$/);
});

test("Check the experiments: the real `chaos validate`; a bad name ends the action", async (t) => {
  const chaos = `exec "${process.execPath}" "${CLI}" "$@"`;
  const good = await runStep(
    t,
    "Check the experiments",
    { experiments: "kube-dns\n  experiments/kubelet.yaml\n" },
    { chaos },
  );
  t.is(good.code, 0, good.said);
  t.deepEqual(good.calls, ["chaos|validate|--|kube-dns|experiments/kubelet.yaml"]);
  const bad = await runStep(t, "Check the experiments", { experiments: "kube-dsn" }, { chaos });
  t.is(bad.code, 3);
  t.regex(bad.said, /did you mean/);
});

test("Run: the inputs become flags, and what looks like code or a flag stays a name", async (t) => {
  const evil = '$(touch${IFS}hacked) `id` ";exit 9" --yes *';
  const ran = await runStep(t, "Run", {
    experiments: evil,
    context: "staging; id",
    confirm: "true",
    flags: "--dead-man\n\n--set\nimages.node=a b\n",
    kubeconfig: "kube config",
  });
  t.is(ran.code, 0, ran.said);
  t.deepEqual(ran.calls, [
    [
      ...["chaos", "run", "--reports", "reports", "--reporter", "plain,github,junit"],
      ...["--kubeconfig", "kube config", "--context", "staging; id", "--yes"],
      ...["--dead-man", "--set", "images.node=a b", "--"],
      ...["$(touch${IFS}hacked)", "`id`", '";exit', '9"', "--yes", "*"],
    ].join("|"),
  ]);
  t.is(ran.outputs, "code=0\n");
});

test("Run: not confirmed unless it says true, and every exit code is told and kept", async (t) => {
  for (const code of [1, 2, 5, 130]) {
    const ran = await runStep(
      t,
      "Run",
      { experiments: "kube-dns", confirm: "yes" },
      { chaos: `exit ${code}` },
    );
    t.is(ran.code, code);
    t.is(ran.outputs, `code=${code}\n`);
    t.false(ran.calls.join().includes("--yes"));
  }
});

test("Run: an inconclusive run only warns where that is allowed; a difference still fails", async (t) => {
  const inputs = { experiments: "kube-dns", "allow-inconclusive": "true" };
  const inconclusive = await runStep(t, "Run", inputs, { chaos: "exit 2" });
  t.is(inconclusive.code, 0);
  t.regex(inconclusive.said, /::warning::/);
  t.is(inconclusive.outputs, "code=2\n");
  t.is((await runStep(t, "Run", inputs, { chaos: "exit 1" })).code, 1);
});

test("Compare with the baseline: its exit code fails the action", async (t) => {
  const inputs = { baseline: "chaos/accepted" };
  const worse = await runStep(t, "Compare with the baseline", inputs, { chaos: "exit 1" });
  t.is(worse.code, 1);
  t.is(worse.outputs, "code=1\n");
  t.deepEqual(worse.calls, ["chaos|matrix|--baseline|chaos/accepted|--reporter|plain,github|--|reports"]);
  t.is((await runStep(t, "Compare with the baseline", inputs)).code, 0);
});
