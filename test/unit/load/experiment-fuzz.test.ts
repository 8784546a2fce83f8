/** A part of the fuzz run (test/fuzz) with fixed inputs, and properties of generated texts. */
import test from "ava";
import fc from "fast-check";
import { stringify } from "yaml";
import { parseExperiment } from "../../../src/load/read.js";
import { experimentSchema } from "../../../src/experiment/schema.js";
import { check } from "../../fuzz/check.js";
import { readCorpus } from "../../fuzz/corpus.js";
import { makeInput } from "../../fuzz/mutate.js";
import { randomOf } from "../../fuzz/random.js";

const SEED = 1;
const INPUTS = 1000;

/** Throws if a property does not hold, with the text. */
const holds = (text: string): void => void check(Buffer.from(text));

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

test("randomly changed files give an experiment or problems with positions", (t) => {
  const corpus = readCorpus();
  const outcomes = new Set<string>();
  for (let input = 0; input < INPUTS; input += 1) {
    try {
      outcomes.add(check(makeInput(randomOf(SEED, input), corpus)));
    } catch (error) {
      const again = `npx tsx test/fuzz/experiment-loader.ts --seed ${SEED} --from ${input} --inputs 1`;
      t.fail(`input ${input}: ${String(error)}; again: ${again}`);
    }
  }
  // The changes cover every kind of result.
  t.true(outcomes.has("valid"));
  t.true(outcomes.size >= 12, [...outcomes].join(", "));
});

test("an input is reproducible from its seed and number", (t) => {
  const corpus = readCorpus();
  const make = (seed: number, input: number): string =>
    makeInput(randomOf(seed, input), corpus).toString("latin1");
  for (let input = 0; input < 20; input += 1) t.is(make(7, input), make(7, input));
  t.true(new Set(Array.from({ length: 100 }, (_, input) => make(7, input))).size > 90);
  t.true(new Set(Array.from({ length: 100 }, (_, seed) => make(seed, 7))).size > 90);
});

test("random texts give an experiment or problems with positions, never an exception", (t) => {
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 60 }), (pieces) => holds(pieces.join(""))),
    { seed: SEED, numRuns: 400 },
  );
  t.pass();
});

/** Nearly valid values for every key. */
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

test("any values of the known keys give the problems of the schema, or more", (t) => {
  fc.assert(
    fc.property(document, (content) => {
      const text = stringify(content, { aliasDuplicateObjects: false });
      const parsed = parseExperiment(text, "f.yaml");
      // The rules across keys only add problems.
      if ("experiment" in parsed) t.true(experimentSchema.safeParse(content).success);
      holds(text);
    }),
    { seed: SEED, numRuns: 400 },
  );
  t.pass();
});
