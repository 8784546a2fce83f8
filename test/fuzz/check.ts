/** What must be true for every input of the experiment loader. */
import { dirname, join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { parseAllDocuments } from "yaml";
import { formatProblem, parseExperimentBytes, type Problem } from "../../src/load/read.js";
import { experimentSchema, type Experiment } from "../../src/experiment/schema.js";

/** Characters that control a terminal or are invisible. */
const UNSAFE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u;
/** In a value, line ends and the joiners of emoji and scripts are allowed. */
const UNSAFE_VALUE = /(?!\r?\n|[\t\u0085])[\p{Cc}\p{Zl}\p{Zp}\p{Cs}\u202a-\u202e\u2066-\u2069]/u;
const MAX_PROBLEMS = 51;
const MAX_MESSAGE = 600;

/** Bounds of every accepted experiment (durations in ms), written here again to check the schema's. */
const BOUNDS: readonly (readonly [path: string, min: number, max: number])[] = [
  ["attack.gracePeriod", 0, 300_000],
  ["attack.delay", 0, 60_000],
  ["attack.every", 2_000, 600_000],
  ["phases.baseline", 2_000, 3_600_000],
  ["phases.window", 2_000, 3_600_000],
  ["phases.recovery", 5_000, 3_600_000],
  ["probes.interval", 50, 60_000],
  ["probes.timeout", 100, 30_000],
  ["thresholds.outageBelow", 0, 1],
  ["application.guestbook.nodePort", 1, 65_535],
];

/** @returns `valid`, or the kind of the input's first problem. @throws Error that says what is not true. */
export function check(bytes: Uint8Array): string {
  const parsed = parseExperimentBytes(bytes, "f.yaml");
  const text = Buffer.from(bytes).toString("utf8");
  if ("problems" in parsed) return checkProblems(parsed.problems, text);
  checkExperiment(parsed.experiment, text);
  if (parsed.text !== text) throw new Error("the text of the result is not the text of the file");
  return "valid";
}

function checkProblems(problems: readonly Problem[], text: string): string {
  if (problems.length === 0) throw new Error("the loader gave neither an experiment nor a problem");
  if (problems.length > MAX_PROBLEMS)
    throw new Error(`more than ${MAX_PROBLEMS} problems: ${problems.length}`);
  const lines = text.split("\n");
  for (const problem of problems) {
    const { line, column, path, message } = problem;
    const length = lines[line - 1]?.length;
    if (length === undefined || !(column >= 1 && column <= length + 1)) {
      throw new Error(`a problem's place is outside the text: ${formatProblem(problem)}`);
    }
    if (message === "") throw new Error("a problem has an empty message");
    const words = path + message;
    if (words.length > MAX_MESSAGE) throw new Error(`a message is too long: ${words.length} characters`);
    if (UNSAFE.test(words))
      throw new Error(`a message contains an unsafe character: ${JSON.stringify(words)}`);
  }
  return kindOf(problems[0]?.message ?? "");
}

function checkExperiment(experiment: Experiment, text: string): void {
  const documents = parseAllDocuments(text, { logLevel: "error" }).map((each) => each.toJS() as unknown);
  const contents = documents.filter((value) => value !== null);
  if (contents.length !== 1) throw new Error("the loader accepts a text without exactly one document");
  const again = experimentSchema.safeParse(contents[0]);
  if (!again.success) throw new Error("the loader accepts the text, the schema does not");
  if (!isDeepStrictEqual(again.data, experiment))
    throw new Error("the experiment differs from the schema's result for the text");
  const { name } = experiment.metadata;
  const folder = join("/reports", name);
  if (dirname(folder) !== "/reports" || name.length > 63 || !/^[a-z0-9-]+$/.test(name)) {
    throw new Error(`a name that is not safe as a folder's name: ${JSON.stringify(name)}`);
  }
  checkBounds(experiment);
  for (const { http } of experiment.abortWhen ?? []) checkPath(http?.path ?? "/");
  const unsafe = stringsOf(experiment).find((value) => UNSAFE_VALUE.test(value));
  if (unsafe !== undefined)
    throw new Error(`a value contains an unsafe character: ${JSON.stringify(unsafe)}`);
}

function checkBounds(experiment: Experiment): void {
  for (const [path, min, max] of BOUNDS) {
    const value = path
      .split(".")
      .reduce<unknown>((at, key) => (at as Record<string, unknown>)?.[key], experiment);
    if (value === undefined) continue;
    if (!(typeof value === "number" && value >= min && value <= max)) {
      throw new Error(`${path} is out of bounds: ${JSON.stringify(value)}`);
    }
  }
}

/** A path is requested through the API server with the user's rights: it must not leave its Service. */
function checkPath(path: string): void {
  const root = "https://api/api/v1/namespaces/a/services/b:80/proxy";
  if (!new URL(root + path).href.startsWith(`${root}/`))
    throw new Error(`the path leaves its Service: ${path}`);
}

function stringsOf(value: unknown): string[] {
  if (typeof value === "string") return [value];
  if (typeof value !== "object" || value === null) return [];
  return Object.values(value).flatMap(stringsOf);
}

const KINDS: readonly (readonly [kind: string, of: RegExp])[] = [
  ["not UTF-8", /save (it|the file) as UTF-8/],
  ["too large", /larger than/],
  ["too many tokens", /tokens: not/],
  ["too deep", /levels deep/],
  ["a character", /^character U\+/],
  ["anchor, alias, tag or directive", /are not allowed/],
  ["several documents", /second document/],
  ["key twice", /duplicate key/],
  ["key is no word", /a key must be/],
  ["not YAML", /^not YAML/],
  ["empty", /the file is empty/],
];

function kindOf(message: string): string {
  return KINDS.find(([, pattern]) => pattern.test(message))?.[0] ?? "not as the schema says";
}
