/** `chaos validate` uses a bundle without zod for good files: it must be small and accept nothing that zod refuses. */
import { readdirSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import test from "ava";
import { build } from "esbuild";
import { quickValidateBundle } from "../../../scripts/quick-validate.mjs";
import { packageRoot } from "../../../src/common/package-root.js";
import { parseExperiment } from "../../../src/load/parse.js";

const FOLDERS = [
  "experiments",
  "experiments/variants",
  "experiments/own-application",
  "test/helpers/fixtures/experiments/invalid",
];

/** Every experiment of the repository, good and bad, by file. */
const TEXTS = FOLDERS.flatMap((folder) =>
  readdirSync(join(packageRoot(), folder))
    .filter((file) => /\.ya?ml$/.test(file))
    .map((file) => [file, readFileSync(join(packageRoot(), folder, file), "utf8")] as const),
);

/** An experiment with nearly every key. */
const FULL = {
  apiVersion: "kube-system-chaos/v1",
  kind: "Experiment",
  metadata: { name: "full", title: "Full" },
  target: { namespace: "kube-system", kind: "Deployment", name: "a" },
  attack: { type: "delete-pods", gracePeriod: "1s", delay: "1s", every: "10s" },
  churn: { after: "20s" },
  application: { guestbook: { namespace: "guestbook", frontendReplicas: 3, nodePort: 30080 } },
  probes: {
    interval: "250ms",
    timeout: "2s",
    tcpTimeout: "900ms",
    searchInterval: "2s",
    external: "example.com",
    outside: true,
    goodInARow: 3,
  },
  phases: { baseline: "15s", window: "60s", recovery: "3m" },
  abortWhen: [
    { failsFor: "10s", http: { namespace: "a", service: "b", port: 80, path: "/c?d", status: 200 } },
  ],
  thresholds: { baselineAvailability: 0.99, outageBelow: 0.5, slowFactor: 3, slowFrom: "100ms" },
  expectation: { impact: "outage" },
};

/** Values that some keys accept, and similar values. */
const ODD = [
  null,
  true,
  false,
  0,
  1,
  0.5,
  -1,
  1e9,
  "",
  "x",
  "X y",
  "1s",
  "1500ms",
  "1m30s",
  "1.s",
  "-1s",
  "off",
  "Yes",
  "99h",
  "200-399",
  "/a",
  "/a/../b",
  [],
  [1],
  ["a"],
  [{ failsFor: "1s", probe: "app-write" }],
  [{ failsFor: "1s" }],
  {},
  { a: 1 },
  { type: "delete-pods", delay: "1s" },
  { kind: "DaemonSet", name: "a" },
  { guestbook: { nodePort: 70_000 } },
];

test("the bundle needs neither the cluster's client nor zod", async (t) => {
  const { metafile } = await build({ ...quickValidateBundle, write: false, metafile: true });
  const packages = Object.keys(metafile.inputs).flatMap(
    (path) => /.*node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1] ?? [],
  );
  t.deepEqual([...new Set(packages)], ["yaml"]);
});

test("zod accepts everything that it accepts, with the same result", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "quick-validate-"));
  t.teardown(async () => await rm(folder, { recursive: true }));
  const file = join(folder, "parse.mjs");
  const entryPoints = [join(packageRoot(), "src/load/parse.ts")];
  await build({ ...quickValidateBundle, entryPoints, outfile: file });
  const quick = (await import(pathToFileURL(file).href)) as { parseExperiment: typeof parseExperiment };

  let accepted = 0;
  const compare = (text: string, what: string): void => {
    const byZod = parseExperiment(text, "file");
    const read = quick.parseExperiment(text, "file");
    if ("experiment" in read) accepted += 1;
    // It may refuse more than zod, but none of the files above or similar ones.
    if ("experiment" in read || "experiment" in byZod) t.deepEqual(read, byZod, what);
  };
  for (const [name, text] of TEXTS) compare(text, name);
  t.true(accepted >= 20);
  for (const [where, mutant] of mutantsOf(FULL)) compare(JSON.stringify(mutant), where);
  t.true(accepted >= 100, String(accepted));
});

/** Copies of a value with one part replaced or one key added. */
function* mutantsOf(value: unknown, path = ""): Generator<[string, unknown]> {
  if (typeof value !== "object" || value === null) return;
  const parts = Object.entries(value);
  for (const [key, part] of [...parts, ["added", undefined] as const, ["attack", undefined] as const]) {
    const put = (other: unknown): unknown => (Array.isArray(value) ? [other] : { ...value, [key]: other });
    for (const odd of ODD) yield [`${path}/${key} = ${JSON.stringify(odd)}`, put(odd)];
    for (const [where, mutant] of mutantsOf(part, `${path}/${key}`)) yield [where, put(mutant)];
  }
}
