/** What the documents tell people to type is right: every command line, and every YAML and JSON block. */
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { CommanderError } from "commander";
import { parseAllDocuments } from "yaml";
import { createProgram, type Handlers } from "../../../src/commands/program.js";
import { isRecord } from "../../../src/common/is-record.js";
import { packageRoot } from "../../../src/common/package-root.js";
import { loadLocalConfig } from "../../../src/config/local-config.js";
import { experimentJsonSchema } from "../../../src/experiment/json-schema.js";
import { experimentSchema } from "../../../src/experiment/schema.js";
import { parseExperiment } from "../../../src/load/parse.js";
import { formatProblem } from "../../../src/strict-yaml/problems.js";
import {
  blocksOf,
  COMMENTED,
  type CommandLine,
  commandLinesOf,
  commandLinesOfComments,
  DOCUMENTS,
  readDocument,
} from "../../helpers/documents.js";

/** Every command is accepted and does nothing. */
const noHandlers = new Proxy({}, { get: () => () => undefined }) as Handlers;

/** Errors about what the text leaves out on purpose, if the command line is not whole. */
const LEFT_OUT = [
  "commander.missingArgument",
  "commander.optionMissingArgument",
  "commander.missingMandatoryOptionValue",
];
/** "chaos --help" and "chaos cluster" print the help. */
const HELP = ["commander.helpDisplayed", "commander.help", "commander.version"];

/** What the real parser says; undefined: it accepts it. */
async function refusal({ args, whole }: CommandLine): Promise<string | undefined> {
  const program = createProgram(noHandlers);
  const silent = { writeOut: () => undefined, writeErr: () => undefined };
  for (const each of [program, ...program.commands, ...program.commands.flatMap(({ commands }) => commands)])
    each.configureOutput(silent);
  try {
    await program.parseAsync([...args], { from: "user" });
    return undefined;
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    const fine = whole ? HELP : [...HELP, ...LEFT_OUT];
    const standsForOne = !whole && /value '[A-Z]+' is invalid/.test(error.message);
    return fine.includes(error.code) || standsForOne ? undefined : error.message;
  }
}

for (const [path, lines] of [
  ...DOCUMENTS.map((each) => [each, commandLinesOf(each)] as const),
  ...COMMENTED.map((each) => [each, commandLinesOfComments(each)] as const),
]) {
  if (lines.length === 0) continue;
  test(`${path}: chaos accepts its ${lines.length} command lines`, async (t) => {
    for (const line of lines) {
      t.is(await refusal(line), undefined, line.where);
      for (const word of line.args)
        if (/^(experiments|rbac|reports\/example)\//.test(word))
          t.true(existsSync(join(packageRoot(), word)), `${line.where}: ${word} is not there`);
    }
  });
}

test("the parser finds mistakes in command lines", async (t) => {
  for (const args of [
    ["runn", "kube-dns"],
    ["run", "kube-dns", "--dryrun"],
    ["run"],
    ["run", "kube-dns", "--cluster", "minikube"],
    ["schema", "one-too-many"],
  ])
    t.not(await refusal({ where: "", args, whole: true }), undefined, args.join(" "));
  t.is(await refusal({ where: "", args: ["run", "--context"], whole: false }), undefined);
  t.true(DOCUMENTS.flatMap(commandLinesOf).length > 40);
});

/** The top-level keys of an experiment. */
const KEYS: readonly string[] = Object.keys(experimentSchema.shape);
const REST: Readonly<Record<string, string>> = {
  apiVersion: "kube-system-chaos/v1",
  kind: "Experiment",
  metadata: "{ name: example }",
  target: "{ component: kube-dns }",
};

/** Problems of a document of a block: an experiment, a part of one, a local configuration, a manifest, or of a workflow. */
async function problemsOf(text: string, value: unknown): Promise<string[]> {
  if (Array.isArray(value)) return value.every(isStep) ? [] : ["a list, but not of a workflow's steps"];
  if (!isRecord(value)) return ["neither an object nor a list"];
  const keys = Object.keys(value);
  if (String(value["apiVersion"]).startsWith("kube-system-chaos/") || keys.every((key) => KEYS.includes(key)))
    return experimentProblems(text, keys);
  if (isRecord(value["jobs"]))
    return Object.values(value["jobs"]).every(isJob) ? [] : ["a job without steps"];
  if (Object.values(value).every(isGitLabJob)) return [];
  if (isRecord(value["steps"]) || Array.isArray(value["steps"])) return [];
  if ("apiVersion" in value && "kind" in value) return manifestProblems(value);
  return await configProblems(text);
}

function experimentProblems(text: string, keys: readonly string[]): string[] {
  const rest = Object.entries(REST).filter(([key]) => !keys.includes(key));
  const whole = [...rest.map(([key, yaml]) => `${key}: ${yaml}\n`), text].join("");
  const parsed = parseExperiment(whole, "block");
  return "problems" in parsed ? parsed.problems.map(formatProblem) : [];
}

const isStep = (value: unknown): boolean => isRecord(value) && ("uses" in value || "run" in value);
const isGitLabJob = (value: unknown): boolean => isRecord(value) && Array.isArray(value["script"]);
const isJob = (value: unknown): boolean =>
  isRecord(value) && ("uses" in value || (Array.isArray(value["steps"]) && value["steps"].every(isStep)));

function manifestProblems({ kind, metadata, items }: Record<string, unknown>): string[] {
  if (kind === "List" && Array.isArray(items)) return [];
  const named = isRecord(metadata) && typeof (metadata["name"] ?? metadata["generateName"]) === "string";
  // A kubeconfig has no name, and kind gives its cluster one.
  return named || kind === "Config" || kind === "Cluster" ? [] : [`the ${String(kind)} has no name`];
}

async function configProblems(text: string): Promise<string[]> {
  const folder = await mkdtemp(join(tmpdir(), "chaos-docs-"));
  try {
    await writeFile(join(folder, "config.yaml"), text);
    await loadLocalConfig(join(folder, "config.yaml"), {});
    return [];
  } catch (error) {
    return [`no experiment, manifest or workflow, so a local configuration: ${(error as Error).message}`];
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

for (const path of DOCUMENTS) {
  const blocks = blocksOf(path).filter(({ language }) => /^(ya?ml|json)$/.test(language));
  if (blocks.length === 0) continue;
  test(`${path}: its ${blocks.length} YAML and JSON blocks are right`, async (t) => {
    for (const { where, language, text } of blocks) {
      if (language === "json") {
        t.notThrows(() => JSON.parse(text) as unknown, where);
        continue;
      }
      const documents = parseAllDocuments(text);
      for (const document of documents) {
        t.deepEqual(
          document.errors.map(({ message }) => message),
          [],
          where,
        );
        const own = documents.length === 1 ? text : document.toString();
        t.deepEqual(await problemsOf(own, document.toJS()), [], where);
      }
    }
  });
}

test("a wrong block is found", async (t) => {
  for (const text of [
    "target: { component: kube-dnss }",
    "apiVersion: kube-system-chaos/v1\nkind: Experiment\nspec: {}",
    "phases: { window: 60 }",
    "imagess: {}",
    "apiVersion: v1\nkind: Pod\nspec: {}",
    "jobs: { test: { runs-on: x } }",
    "- name: a step without run",
  ]) {
    const [document] = parseAllDocuments(text);
    t.not((await problemsOf(text, document?.toJS())).length, 0, text);
  }
});

/** All keys of a part of the schema, at any depth. */
function keysIn(part: unknown): string[] {
  if (Array.isArray(part)) return part.flatMap(keysIn);
  if (!isRecord(part)) return [];
  const { properties } = part;
  const own = isRecord(properties) ? Object.keys(properties) : [];
  return [...own, ...Object.values(part).flatMap(keysIn)];
}

test("docs/experiments.md says when to set each key, and docs/your-application.md each one of existing", (t) => {
  const { properties } = experimentJsonSchema() as { properties: Record<string, Record<string, unknown>> };
  const { existing, ...rest } = (properties["application"]?.["properties"] ?? {}) as Record<string, unknown>;
  const pages = {
    "docs/experiments.md": keysIn({ ...properties, application: { properties: rest } }),
    "docs/your-application.md": keysIn(existing),
  };
  for (const [path, keys] of Object.entries(pages)) {
    const text = readDocument(path);
    t.true(keys.length >= 10, path);
    for (const key of keys) t.regex(text, new RegExp(`(\\b|\`)${key}(\`|:)`), `${path}: ${key}`);
  }
});
