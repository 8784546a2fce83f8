import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Ajv } from "ajv";
import test from "ava";
import { parse } from "yaml";
import { schemaText } from "../../../src/commands/schema-command.js";
import { experimentJsonSchema } from "../../../src/experiment/json-schema.js";
import { loadExperiment } from "../../../src/load/read.js";
import { formatDurationMs, parseDurationMs } from "../../../src/experiment/schema.js";
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
