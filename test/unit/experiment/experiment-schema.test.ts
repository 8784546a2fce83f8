import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Ajv } from "ajv";
import test from "ava";
import { parse, parseDocument } from "yaml";
import { schemaText } from "../../../src/commands/schema-command.js";
import { experimentJsonSchema } from "../../../src/experiment/json-schema.js";
import { loadExperiment } from "../../../src/load/read.js";
import { experimentSchema, formatDurationMs, parseDurationMs } from "../../../src/experiment/schema.js";
import { packageRoot } from "../../../src/common/package-root.js";

const folder = join(packageRoot(), "experiments");
const files = readdirSync(folder).filter((name) => name.endsWith(".yaml"));

test("experiments/experiment.schema.json is what `chaos schema` prints", (t) => {
  t.is(
    readFileSync(join(folder, "experiment.schema.json"), "utf8"),
    schemaText(),
    "write it again: npx tsx src/cli.ts schema > experiments/experiment.schema.json",
  );
});

test("the JSON Schema compiles strictly, accepts every experiment and refuses mistakes", (t) => {
  const accepts = new Ajv({ strict: true, allErrors: true }).compile(experimentJsonSchema());
  t.true(files.length >= 3);
  for (const name of files) {
    const content: unknown = parse(readFileSync(join(folder, name), "utf8"));
    t.true(accepts(content), `${name}: ${JSON.stringify(accepts.errors)}`);
  }
  const good = { apiVersion: "kube-system-chaos/v1", kind: "Experiment", metadata: { name: "a" } };
  t.true(accepts({ ...good, target: { component: "kube-dns" } }));
  t.true(accepts({ ...good, target: { kind: "DaemonSet", name: "fluentd" } }));
  const asked = { namespace: "shop", service: "web", port: "http" };
  for (const http of [asked, { ...asked, port: 80, path: "/healthz?full=1", status: 200 }])
    t.true(accepts({ ...good, target: { component: "etcd" }, abortWhen: [{ failsFor: "5s", http }] }));
  const elsewhere = { failsFor: "5s", http: { url: "http://example.com/" } };
  t.false(accepts({ ...good, target: { component: "etcd" }, abortWhen: [elsewhere] }));
  t.false(accepts(good));
  t.false(accepts({ ...good, target: { component: "kube-dnz" } }));
  t.false(accepts({ ...good, target: { component: "kube-dns" }, phases: { window: 60 } }));
  t.false(accepts({ ...good, target: { component: "kube-dns" }, phases: { windows: "60s" } }));
});

/** What only `chaos validate` finds: rules across keys, and what a YAML file may not have besides its values. */
const LAXER = [
  ...["abort-across", "across", "across-default", "across-second-key", "control-expects-outage"],
  ...["across", "body", "both", "namespace", "token", "tokens"].map((name) => `own-application-${name}`),
  ...[
    "crlf",
    "dangerous-namespace",
    "directive",
    "grace-fraction",
    "tag",
    "target-both",
    "target-namespace",
    "two-documents",
  ],
];

test("the JSON Schema accepts every variant, and refuses every invalid fixture that is YAML and breaks no rule across keys", (t) => {
  const accepts = new Ajv({ strict: true }).compile(experimentJsonSchema());
  const variants = join(folder, "variants");
  for (const name of readdirSync(variants).filter((each) => each.endsWith(".yaml")))
    t.true(accepts(parse(readFileSync(join(variants, name), "utf8"))), name);
  const invalid = join(packageRoot(), "test/helpers/fixtures/experiments/invalid");
  const accepted: string[] = [];
  let refused = 0;
  for (const name of readdirSync(invalid).filter((each) => each.endsWith(".yaml"))) {
    const document = parseDocument(readFileSync(join(invalid, name), "utf8"), { logLevel: "silent" });
    const readable = document.errors.length === 0 && !/^(anchors|alias-bomb)/.test(name);
    if (!readable) continue;
    if (accepts(document.toJS())) accepted.push(name.replace(".yaml", ""));
    else refused++;
  }
  t.deepEqual(accepted.sort(), [...LAXER].sort());
  t.true(refused > 20);
});

test("the $id is stable: a URN with the version of the format, by which ajv finds the schema", (t) => {
  const ajv = new Ajv({ strict: true });
  ajv.addSchema(experimentJsonSchema());
  const id = "urn:kube-system-chaos:v1:experiment";
  t.is((experimentJsonSchema() as { $id: string }).$id, id);
  t.truthy(ajv.getSchema(id));
  // RFC 8141: the namespace's name, then what it names.
  t.regex(id, /^urn:[a-z0-9][a-z0-9-]{0,30}[a-z0-9]:[a-z0-9:]+$/);
  t.true(readdirSync(folder).includes("experiment.schema.json"));
  const { files: shipped } = JSON.parse(readFileSync(join(packageRoot(), "package.json"), "utf8")) as {
    files: string[];
  };
  t.true(shipped.includes("experiments"), "the schema ships with the package");
});

test("every key is documented, and every default has the form of the file", (t) => {
  const undocumented: string[] = [];
  const visit = (node: unknown, path: string): void => {
    if (typeof node !== "object" || node === null) return;
    const { properties, anyOf, oneOf, items } = node as Record<string, unknown>;
    for (const [key, value] of Object.entries(
      (properties ?? {}) as Record<string, Record<string, unknown>>,
    )) {
      if (value["description"] === undefined) undocumented.push(`${path}.${key}`);
      visit(value, `${path}.${key}`);
    }
    for (const variant of [anyOf, oneOf, items].flat()) visit(variant, path);
  };
  visit(experimentJsonSchema(), "");
  t.deepEqual(undocumented, []);
  t.like(experimentJsonSchema(), {
    properties: { phases: { properties: { window: { type: "string", default: "60s" } } } },
  });
});

test("every shipped experiment is valid, references the schema, and has the name of its file", async (t) => {
  for (const name of files) {
    const { experiment, text } = await loadExperiment(join(folder, name));
    t.is(text.split("\n")[0], "# yaml-language-server: $schema=./experiment.schema.json", name);
    t.is(`${experiment.metadata.name}.yaml`, name);
  }
});

test("durations are parsed and formatted", (t) => {
  const table: [string, number][] = [
    ["0s", 0],
    ["1s", 1000],
    ["60s", 60_000],
    ["60m", 3_600_000],
    ["2h", 7_200_000],
    ["3m", 180_000],
    ["250ms", 250],
    ["1500ms", 1500],
    ["90s", 90_000],
  ];
  for (const [text, ms] of table) {
    t.is(parseDurationMs(text), ms);
    t.is(formatDurationMs(ms), text);
  }
  t.is(parseDurationMs("1.5m"), 90_000);
  for (const text of ["", "1", "s", "-1s", "1 s", "1e3s", "1s ", ".5s", "1S"])
    t.is(parseDurationMs(text), undefined);
});

/** Go's own table: golang/go src/time/time_test.go, parseDurationTests. A reason: refused here, for this reason. */
const GO: readonly (readonly [text: string, ms: number | RegExp])[] = [
  ["5s", 5000],
  ["30s", 30_000],
  ["1478s", 1_478_000],
  ["5.0s", 5000],
  ["5.6s", 5600],
  ["1.0s", 1000],
  ["1.00s", 1000],
  ["1.004s", 1004],
  ["1.0040s", 1004],
  ["100.00100s", 100_001],
  ["13ms", 13],
  ["14s", 14_000],
  ["15m", 900_000],
  ["16h", 57_600_000],
  ["3h30m", 12_600_000],
  ["10.5s4m", 250_500],
  ["39h9m14.425s", 140_954_425],
  ["0.3333333333333333333h", 1_200_000],
  ["0.100000000000000000000h", 360_000],
  ["0.830103483285477580700h", 2_988_373],
  ["3000000h", 10_800_000_000_000],
  ["1m30s", 90_000],
  ["1h2m3.5s", 3_723_500],
  ["1h", 3_600_000],
  ["1.5s", 1500],
  ["500ms", 500],
  ["1s1s", 2000],
  ["0", /: the unit is missing$/],
  ["3", /: the unit is missing$/],
  ["-5s", /: it is negative$/],
  ["-0", /: it is negative$/],
  ["-2m3.4s", /: it is negative$/],
  ["-", /: it is negative$/],
  ["+5s", /: write it without \+$/],
  ["+.s", /: write it without \+$/],
  ["5.s", /: write digits on both sides of the point$/],
  ["1.s", /: write digits on both sides of the point$/],
  [".5s", /: write digits on both sides of the point$/],
  ["10ns", /: the smallest unit is ms$/],
  ["11us", /: the smallest unit is ms$/],
  ["12\u00b5s", /: the smallest unit is ms$/],
  ["12\u03bcs", /: the smallest unit is ms$/],
  ["1h2m3s4ms5us6ns", /: the smallest unit is ms$/],
  ["9223372036854775808ns", /: the smallest unit is ms$/],
  ["1d", /: the largest unit is h$/],
  ["1:30", /: write units, such as 1m30s$/],
  ["PT1M30S", /: write it as 1m30s, not as ISO 8601$/],
  ["1 s", /: units are ms, s, m and h, in lower case and without spaces$/],
  ["1m 30s", /: units are ms, s, m and h, in lower case and without spaces$/],
  ["1S", /: units are ms, s, m and h, in lower case and without spaces$/],
  ["1m30", /: units are ms/],
  ["", /5m$/],
  ["s", /5m$/],
  [".", /5m$/],
  [".s", /5m$/],
];

for (const [text, expected] of GO) {
  test(`a duration as Go reads it: ${JSON.stringify(text)}`, (t) => {
    const pattern = durationPattern();
    const value = { after: text };
    const parsed = experimentSchema.shape.churn.safeParse(value);
    if (typeof expected === "number") {
      t.is(parseDurationMs(text), expected);
      t.regex(text, pattern);
      const fits = expected >= 1000 && expected <= 3_600_000;
      t.is(parsed.success, fits);
      if (!fits) t.is(parsed.error?.issues[0]?.message, "must be between 1s and 60m (for example 20s)");
      return;
    }
    t.is(parseDurationMs(text), undefined);
    t.notRegex(text, pattern);
    t.regex(parsed.error?.issues[0]?.message ?? "", /^must be a duration such as 250ms, 30s, 5m/);
    t.regex(parsed.error?.issues[0]?.message ?? "", expected);
  });
}

test("a number is told that its unit is missing; anything else is only told what is wanted", (t) => {
  const messageFor = (after: unknown): string | undefined =>
    experimentSchema.shape.churn.safeParse({ after }).error?.issues[0]?.message;
  t.is(messageFor(60), "must be a duration such as 250ms, 30s, 5m: the unit is missing");
  t.is(messageFor(-1), "must be a duration such as 250ms, 30s, 5m: it is negative");
  for (const value of [null, true, [], {}, "soon", "\u001b[2J"])
    t.is(messageFor(value), "must be a duration such as 250ms, 30s, 5m");
});

/** The pattern that editors use for the same key. */
function durationPattern(): RegExp {
  const { properties } = experimentJsonSchema() as {
    properties: { churn: { properties: { after: { pattern: string } } } };
  };
  return new RegExp(properties.churn.properties.after.pattern);
}

test("a word for yes or no is no host name, whatever its case and quotes", (t) => {
  const accepts = new Ajv({ strict: true }).compile(experimentJsonSchema());
  const good = {
    apiVersion: "kube-system-chaos/v1",
    kind: "Experiment",
    metadata: { name: "a" },
    target: { component: "kube-dns" },
  };
  const messageFor = (external: unknown): string | undefined => {
    const input = { ...good, probes: { external } };
    const parsed = experimentSchema.safeParse(input);
    t.is(accepts(input), parsed.success, JSON.stringify(external));
    return parsed.error?.issues[0]?.message;
  };
  const must = "must be a host name such as example.com, or false";
  for (const word of ["off", "no", "n", "false", "none", "disabled", "Off", "NO", "False"])
    t.is(messageFor(word), `${must}: "${word}" is text in YAML 1.2. Write false`);
  for (const word of ["on", "yes", "y", "true", "On", "YES"])
    t.is(messageFor(word), `${must}: "${word}" is text in YAML 1.2. Write the name`);
  t.is(messageFor(true), `${must}, not true: write the name`);
  t.is(messageFor(null), `${must}, not empty`);
  for (const external of [false, "example.com", "no.example", "office", "on-site", "intranet"])
    t.is(messageFor(external), undefined);
});
