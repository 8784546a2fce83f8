/** `chaos report` replaces a result only by one with at least as much evidence, and says what is wrong with a folder. */
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
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

async function contents(folder: string): Promise<Record<string, string>> {
  const names = (await readdir(folder, { withFileTypes: true })).filter((each) => each.isFile());
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
    /^no samples in .*: this is not the folder of a run, or it is incomplete$/,
  ],
  [
    "all samples are missing",
    async (folder) => {
      for (const path of await sampleFiles(folder)) await rm(path);
    },
    /it counts \d+ samples, but the raw files have only 0 of them\. Nothing was written/,
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
    /it counts \d+ samples, but the raw files have only [1-9]\d* of them/,
  ],
  [
    "the events are cut",
    async (folder) => {
      const path = join(folder, "events.ndjson");
      const text = await readFile(path, "utf8");
      await writeFile(path, text.slice(0, text.length / 10));
    },
    /it counts \d+ samples, but/,
  ],
  [
    "a compressed file is damaged",
    async (folder) => await writeFile(join(folder, "samples", "x.ndjson.gz"), "not compressed"),
    /samples\/x\.ndjson\.gz is damaged$/,
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
