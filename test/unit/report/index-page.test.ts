/** index.html of a folder of reports: every row with its run, and what changed since the run before it. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import type { RunResult } from "../../../src/analysis/result.js";
import { UsageError } from "../../../src/common/errors.js";
import { writeIndex } from "../../../src/report/index-page.js";
import { readMatrix } from "../../../src/report/read-reports.js";
import { resultJson } from "../../../src/report/result-json.js";
import { changed, functionLost, OUTAGE } from "../../helpers/matrix-results.js";

/** Another run of the same experiment. */
const at = (base: RunResult, day: string, result: Partial<RunResult> = {}): RunResult =>
  changed(base, { facts: { runId: `run-${day}`, startedAt: `2026-08-${day}T12:00:00.000Z` }, result });

async function folderOf(t: ExecutionContext, runs: Readonly<Record<string, RunResult>>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "chaos-index-"));
  t.teardown(async () => await rm(folder, { recursive: true, force: true }));
  for (const [name, result] of Object.entries(runs)) {
    await mkdir(join(folder, name));
    await writeFile(join(folder, name, "result.json"), resultJson(result));
    await writeFile(join(folder, name, "report.html"), "");
  }
  return folder;
}

const indexIn = async (folder: string): Promise<string> =>
  await writeIndex(await readMatrix([folder], folder), folder);

async function indexOf(t: ExecutionContext, runs: Readonly<Record<string, RunResult>>): Promise<string> {
  const path = await indexIn(await folderOf(t, runs));
  t.regex(path, /\/index\.html$/);
  return await readFile(path, "utf8");
}

/** Without elements. */
const textOf = (html: string): string =>
  (/<main>(.*)<\/main>/s.exec(html)?.[1] ?? "").replaceAll(/<[^>]*>/g, " ").replaceAll(/\s+/g, " ");

test("a row links to its run, and says that it is the first", async (t) => {
  const html = await indexOf(t, { a: OUTAGE });
  t.true(html.includes('href="./a/report.html"'));
  t.regex(textOf(html), /1 experiment: 1 outage\./);
  t.regex(textOf(html), /first run/);
});

test("worse, better and same than the run before it, in words", async (t) => {
  const shorter = OUTAGE.probes.map((probe) => ({ ...probe, longestOutageMs: 2_000, totalOutageMs: 2_000 }));
  const older = at(OUTAGE, "01", { probes: shorter });
  const worse = textOf(await indexOf(t, { a: older, b: at(OUTAGE, "02") }));
  t.regex(
    worse,
    /worse .*now fails for 62\.0 s without a break \(before: 2\.0 s; tolerated: up to 32\.0 s\).* since 2026-08-01 12:00/,
  );
  const better = textOf(await indexOf(t, { a: at(OUTAGE, "01"), b: at(OUTAGE, "02", { probes: shorter }) }));
  t.regex(better, /better .*\(before: 62\.0 s\)/);
  t.regex(better, /Since the last runs: 1 better\./);
  t.regex(textOf(await indexOf(t, { a: at(OUTAGE, "01"), b: at(OUTAGE, "02") })), /= same since 2026-08-01/);
});

test("of three runs the one just before counts, and another experiment does not", async (t) => {
  const text = textOf(
    await indexOf(t, {
      a: at(OUTAGE, "01"),
      b: at(OUTAGE, "03"),
      c: at(OUTAGE, "02"),
      d: at(functionLost("kubelet"), "04"),
    }),
  );
  t.regex(text, /since 2026-08-02/);
  t.is(text.split("first run").length, 2, "kubelet alone");
});

test("hostile names stay text, and a folder's name is no scheme", async (t) => {
  const name = "<img src=x onerror=alert(1)>";
  const html = await indexOf(t, {
    "javascript:alert(1)": changed(OUTAGE, {
      facts: { study: null, target: undefined as never },
      experiment: { name },
    }),
  });
  t.false(html.includes("<img"));
  t.true(html.includes("&lt;img"));
  t.regex(html, /href="\.\/javascript:alert%281%29\/report\.html"/);
  t.notRegex(html, /href="javascript:/);
});

test("a folder without results is an error, and nothing is written", async (t) => {
  const folder = await folderOf(t, {});
  await t.throwsAsync(indexIn(folder), { instanceOf: UsageError });
});
