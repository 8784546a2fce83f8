import { readdirSync, readFileSync } from "node:fs";
import test from "ava";
import fc from "fast-check";
import { stringify } from "yaml";
import { parseExperiment } from "../../src/experiment/load.js";
import { experimentSchema } from "../../src/experiment/schema.js";

const seeds = [
  new URL("../../experiments/", import.meta.url),
  new URL("fixtures/experiments/invalid/", import.meta.url),
]
  .flatMap((folder) => readdirSync(folder).map((name) => new URL(name, folder)))
  .filter(({ pathname }) => pathname.endsWith(".yaml"))
  .map((file) => readFileSync(file, "utf8"));

/** On a machine that is busy with other things fewer texts are tried, and the test still ends. */
const bounded = { interruptAfterTimeLimit: 15_000 };

/** Whatever the text is: an experiment that the schema agrees with, or problems at places that the text has. */
function holds(text: string): boolean {
  const parsed = parseExperiment(text, "f.yaml");
  if ("experiment" in parsed) return parsed.experiment.kind === "Experiment";
  const lines = text.split("\n");
  return (
    parsed.problems.length > 0 &&
    parsed.problems.length <= 51 &&
    parsed.problems.every(({ line, column, path, message }) => {
      const length = lines[line - 1]?.length ?? -1;
      const text = path + message;
      return (
        column >= 1 && column <= length + 1 && message !== "" && text.length < 600 && !/\p{Cc}/u.test(text)
      );
    })
  );
}

const piece = fc.oneof(
  fc.constantFrom(..."\n:-?{}[],&*!|>'\"%@`# \t\r\\\0\ufeff"),
  fc.constantFrom(
    "---\n",
    "...\n",
    "\n  ",
    "<<: ",
    "*a",
    "&a ",
    "!!map ",
    "? ",
    "- ",
    "落",
    "\ud800",
    "null",
    "~",
    "1e999",
    ".inf",
  ),
  fc.constantFrom(
    "target:",
    "attack:",
    "type: ",
    "probes:\n  ",
    "__proto__: ",
    "gracePeriod: ",
    "component: ",
  ),
  fc.string({ unit: "binary", maxLength: 4 }),
);

const mutation = fc.record({
  at: fc.nat({ max: 9999 }),
  remove: fc.oneof(fc.constant(0), fc.nat({ max: 12 })),
  insert: fc.oneof(fc.constant(""), piece),
});

function mutate(text: string, changes: readonly { at: number; remove: number; insert: string }[]): string {
  return changes.reduce((current, { at, remove, insert }) => {
    const index = Math.floor((at / 10_000) * current.length);
    return current.slice(0, index) + insert + current.slice(index + remove);
  }, text);
}

test("mutated files give an experiment or problems with a place, never an exception", (t) => {
  fc.assert(
    fc.property(
      fc.constantFrom(...seeds),
      fc.array(mutation, { minLength: 1, maxLength: 8 }),
      (seed, changes) => holds(mutate(seed, changes)),
    ),
    { ...bounded, numRuns: 1000 },
  );
  t.pass();
});

test("random texts give an experiment or problems with a place, never an exception", (t) => {
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 60 }), (pieces) => holds(pieces.join(""))),
    { ...bounded, numRuns: 500 },
  );
  t.pass();
});

/** Values that are nearly right, for every key that there is. */
const value: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom(
    "1s",
    "250ms",
    "2h",
    "0s",
    "30s",
    "kube-dns",
    "none",
    "delete-pods",
    "Deployment",
    "outage",
    "",
  ),
  fc.constantFrom(0, 1, 0.5, -1, 1e9, Number.NaN, Number.POSITIVE_INFINITY, null, true, false),
  fc.object({ maxDepth: 2 }),
);
const keysOf = (section: object): fc.Arbitrary<unknown> =>
  fc.oneof(
    value,
    fc.dictionary(fc.constantFrom(...Object.keys(section), "x"), value, { noNullPrototype: true }),
  );
const keys = (...names: string[]): object => Object.fromEntries(names.map((name) => [name, 0]));
const document = fc.record(
  {
    apiVersion: fc.constantFrom("kube-system-chaos/v1", "v2", null),
    kind: fc.constantFrom("Experiment", 1),
    metadata: fc.oneof(fc.constant({ name: "a" }), value),
    target: fc.oneof(
      fc.constant({ component: "kube-dns" }),
      keysOf(keys("component", "kind", "name", "namespace")),
    ),
    attack: keysOf(keys("type", "gracePeriod", "delay")),
    application: fc.oneof(value, fc.record({ guestbook: keysOf(keys("namespace", "nodePort")) })),
    probes: keysOf(keys("interval", "timeout", "searchInterval", "external", "goodInARow")),
    phases: keysOf(keys("baseline", "window", "recovery")),
    thresholds: keysOf(keys("outageBelow", "degradedBelow", "suppression")),
    expectation: keysOf(keys("impact")),
  },
  { requiredKeys: [] },
);

test("any values under the known keys give what the schema says, or more", (t) => {
  fc.assert(
    fc.property(document, (content) => {
      const text = stringify(content, { aliasDuplicateObjects: false });
      const parsed = parseExperiment(text, "f.yaml");
      // The rules across keys only ever add problems.
      if ("experiment" in parsed && !experimentSchema.safeParse(content).success) return false;
      return holds(text);
    }),
    { ...bounded, numRuns: 500 },
  );
  t.pass();
});
