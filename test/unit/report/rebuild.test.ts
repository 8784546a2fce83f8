/** `chaos report` replaces a result only by one with at least as much evidence, and says what is wrong with a folder. */
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import test, { type ExecutionContext } from "ava";
import { UsageError } from "../../../src/common/errors.js";
import { packageRoot } from "../../../src/common/package-root.js";
import { buildReport } from "../../../src/report/files.js";

const EXAMPLE = join(packageRoot(), "reports/example/example-kube-dns");

async function copyOf(t: ExecutionContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "chaos-rebuild-"));
  t.teardown(async () => await rm(folder, { recursive: true, force: true }));
  await cp(EXAMPLE, folder, { recursive: true });
  return folder;
}

/** Without report.html: the committed example has none, so that the repository stays small. */
async function contents(folder: string): Promise<Record<string, string>> {
  const names = (await readdir(folder, { withFileTypes: true })).filter(
    (each) => each.isFile() && each.name !== "report.html",
  );
  const texts = names.map(async ({ name }) => [name, await readFile(join(folder, name), "utf8")] as const);
  return Object.fromEntries(await Promise.all(texts));
}

/** The folder's files of samples, with their paths. */
async function sampleFiles(folder: string): Promise<string[]> {
  return (await readdir(join(folder, "samples"))).map((name) => join(folder, "samples", name));
}

const DAMAGES: readonly (readonly [what: string, damage: (folder: string) => Promise<void>, RegExp])[] = [
  [
    "the folder of samples is missing",
    async (folder) => await rm(join(folder, "samples"), { recursive: true }),
    /^no samples in .*: this is not the folder of a run, or it is incomplete\. Name a folder/,
  ],
  [
    "all samples are missing",
    async (folder) => {
      for (const path of await sampleFiles(folder)) await rm(path);
    },
    /it has \d+ samples, but the raw files have only 0 of them\. Nothing was written/,
  ],
  [
    "a worker's samples are cut",
    async (folder) => {
      const [path = ""] = await sampleFiles(folder);
      const content = await readFile(path);
      const text = (path.endsWith(".gz") ? gunzipSync(content) : content).toString("utf8");
      await rm(path);
      await writeFile(path.replace(/\.gz$/, ""), text.slice(0, text.length / 2));
    },
    /it has \d+ samples, but the raw files have only [1-9]\d* of them/,
  ],
  [
    "the events are cut",
    async (folder) => {
      const path = join(folder, "events.ndjson");
      const text = await readFile(path, "utf8");
      await writeFile(path, text.slice(0, text.length / 10));
    },
    /it has \d+ samples, but/,
  ],
  [
    "a compressed file is damaged",
    async (folder) => await writeFile(join(folder, "samples", "x.ndjson.gz"), "not compressed"),
    /samples\/x\.ndjson\.gz is damaged\. Restore it/,
  ],
  [
    "run.json is not JSON",
    async (folder) => await writeFile(join(folder, "run.json"), "{"),
    /run\.json is damaged, or not of a run/,
  ],
  [
    "run.json is of something else",
    async (folder) => await writeFile(join(folder, "run.json"), "null"),
    /run\.json is damaged, or not of a run/,
  ],
  ...["functionProbes", "study", "sources", "notMeasured", "standIns"].map(
    (key) =>
      [
        `run.json lacks ${key}`,
        async (folder: string) => {
          const path = join(folder, "run.json");
          const facts = JSON.parse(await readFile(path, "utf8")) as Record<string, unknown>;
          await writeFile(path, JSON.stringify({ ...facts, [key]: undefined }));
        },
        new RegExp(
          `run\\.json is damaged, or not of a run: its ${key} is missing or not valid\\. Restore it`,
        ),
      ] as const,
  ),
  [
    "there are no events",
    async (folder) => await rm(join(folder, "events.ndjson")),
    /^no events\.ndjson in .*: this is not the folder of a run/,
  ],
];

for (const [what, damage, expected] of DAMAGES) {
  test(`${what}: refused, and the existing report stays`, async (t) => {
    const folder = await copyOf(t);
    await damage(folder);
    const before = await contents(folder);
    await t.throwsAsync(buildReport(folder), { instanceOf: UsageError, message: expected });
    t.deepEqual(await contents(folder), before);
  });
}

test("killed while the samples were packed: the complete file is read, not the cut one", async (t) => {
  const folder = await copyOf(t);
  const before = await contents(folder);
  const packed = (await sampleFiles(folder)).find((path) => path.endsWith(".gz")) ?? "";
  const content = await readFile(packed);
  await writeFile(packed.replace(/\.gz$/, ""), gunzipSync(content));
  await writeFile(packed, content.subarray(0, content.length / 2));
  await buildReport(folder);
  t.deepEqual(await contents(folder), before);
});

/** Every key of JSON, with what it leads to. */
function keysOf(value: unknown, path: readonly string[] = []): string[][] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, each]) => [[...path, key], ...keysOf(each, [...path, key])]);
}

function without(facts: unknown, path: readonly string[], value?: unknown): unknown {
  const copy: unknown = structuredClone(facts);
  let at = copy as Record<string, unknown>;
  for (const key of path.slice(0, -1)) at = at[key] as Record<string, unknown>;
  const last = path.at(-1) ?? "";
  if (value !== undefined) at[last] = value;
  else if (Array.isArray(at)) at.splice(Number(last), 1);
  else Reflect.deleteProperty(at, last);
  return copy;
}

test("whatever a run.json lacks: a report or a refusal, never a bug", async (t) => {
  const folder = await copyOf(t);
  await rm(join(folder, "samples"), { recursive: true });
  await mkdir(join(folder, "samples"));
  await rm(join(folder, "result.json"));
  const facts: unknown = JSON.parse(await readFile(join(folder, "run.json"), "utf8"));
  const bugs: string[] = [];
  let refused = 0;
  for (const path of keysOf(facts)) {
    for (const value of [undefined, null, 7, "x", {}]) {
      await writeFile(join(folder, "run.json"), JSON.stringify(without(facts, path, value)));
      await rm(join(folder, "result.json"), { force: true });
      await buildReport(folder).catch((error: unknown) => {
        if (error instanceof UsageError) refused += 1;
        else bugs.push(`${path.join(".")} ${JSON.stringify(value)}: ${String(error)}`);
      });
    }
  }
  t.deepEqual(bugs, []);
  t.true(refused > 100);
});

test("a file instead of a folder: refused with what is expected", async (t) => {
  const folder = await copyOf(t);
  await t.throwsAsync(buildReport(join(folder, "run.json")), {
    instanceOf: UsageError,
    message: /run\.json is not a folder\. Name the folder of a run, which has run\.json$/,
  });
});

test("a result that is damaged or has fewer samples is replaced", async (t) => {
  const folder = await copyOf(t);
  const before = await contents(folder);
  for (const text of ["{", '{"probes":[]}']) {
    await writeFile(join(folder, "result.json"), text);
    await buildReport(folder);
    t.deepEqual(await contents(folder), before);
  }
});
