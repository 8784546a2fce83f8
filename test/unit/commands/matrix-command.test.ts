import { existsSync } from "node:fs";
import { link, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { matrix, writeMatrix } from "../../../src/commands/matrix-command.js";
import { messageOf, UsageError } from "../../../src/common/errors.js";
import { packageRoot } from "../../../src/common/package-root.js";
import type { Matrix } from "../../../src/report/matrix.js";
import { anchorsOf, functionLost, linksOf, OUTAGE, writeReport } from "../../helpers/matrix-results.js";

const FILES = ["impact-matrix.ja.md", "impact-matrix.json", "impact-matrix.md", "index.html"];

async function temporary(t: ExecutionContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "chaos-matrix-"));
  t.teardown(async () => await rm(folder, { recursive: true, force: true }));
  return folder;
}

/** A folder with two reports, as runs write them. */
async function reports(t: ExecutionContext): Promise<string> {
  const folder = join(await temporary(t), "reports");
  await writeReport(folder, OUTAGE);
  await writeReport(folder, functionLost("kubelet"));
  return folder;
}

/** The files that the matrix of a folder would have now. */
async function rebuiltMatrix(folder: string): Promise<Readonly<Record<string, string>>> {
  const json = (await matrix({ folders: [folder], json: true })).text;
  return {
    "impact-matrix.md": (await matrix({ folders: [folder], lang: "en" })).text,
    "impact-matrix.ja.md": (await matrix({ folders: [folder], lang: "ja" })).text,
    "impact-matrix.json": `${JSON.stringify(JSON.parse(json), null, 2)}\n`,
  };
}

/** Broken links of a Markdown file: the file or its heading does not exist. */
async function deadLinks(folder: string, markdown: string): Promise<string[]> {
  const dead: string[] = [];
  for (const link of new Set(linksOf(markdown))) {
    const [path = "", anchor] = link.split("#");
    const file = join(folder, decodeURIComponent(path));
    if (!existsSync(file)) dead.push(link);
    else if (anchor !== undefined && !anchorsOf(await readFile(file, "utf8")).includes(`#${anchor}`)) {
      dead.push(link);
    }
  }
  return dead;
}

test("writes the files, and the same bytes the second time", async (t) => {
  const folder = await reports(t);
  const first = await writeMatrix(folder);
  t.is(first.rows, 2);
  t.deepEqual(first.warnings, []);
  t.deepEqual(
    [...first.files].sort(),
    FILES.map((name) => join(folder, name)),
  );
  const read = async (): Promise<string[]> =>
    await Promise.all(FILES.map(async (name) => await readFile(join(folder, name), "utf8")));
  const before = await read();
  await writeMatrix(folder);
  t.deepEqual(await read(), before);
  for (const text of before) t.false(text.includes(folder), "no local path");
  t.deepEqual(
    Object.entries(await rebuiltMatrix(folder)).sort(),
    FILES.map((name, index) => [name, before[index]]).filter(([name]) => name !== "index.html"),
  );
});

test("each file is replaced whole: what stood there is never half overwritten", async (t) => {
  const folder = await reports(t);
  await matrix({ folders: [folder] });
  for (const name of ["impact-matrix.md", "impact-matrix.json", "index.html"]) {
    // A second name of the old file keeps the old text only if the file is replaced, not overwritten.
    await writeFile(join(folder, name), "old");
    await link(join(folder, name), join(folder, `kept-${name}`));
  }
  await matrix({ folders: [folder] });
  for (const name of ["impact-matrix.md", "impact-matrix.json", "index.html"]) {
    t.not(await readFile(join(folder, name), "utf8"), "old");
    t.is(await readFile(join(folder, `kept-${name}`), "utf8"), "old", name);
  }
});

test("links lead to existing files and headings", async (t) => {
  const folder = await reports(t);
  const rebuilt = await rebuiltMatrix(folder);
  for (const name of ["impact-matrix.md", "impact-matrix.ja.md"]) {
    t.true(linksOf(rebuilt[name] ?? "").length >= 20, "each figure of both runs has one");
    t.deepEqual(await deadLinks(folder, rebuilt[name] ?? ""), []);
  }
  await rm(join(folder, OUTAGE.facts.runId, "timeline.svg"));
  t.not((await deadLinks(folder, rebuilt["impact-matrix.md"] ?? "")).length, 0, "the check can fail");
  t.deepEqual(await deadLinks(folder, (await rebuiltMatrix(folder))["impact-matrix.md"] ?? ""), []);
});

test("--out: links are relative to it", async (t) => {
  const folder = await reports(t);
  const out = join(folder, "..", "public", "here");
  await matrix({ folders: [folder], out });
  t.deepEqual((await readdir(out)).sort(), FILES);
  t.false((await readdir(folder)).includes("impact-matrix.md"));
  const text = await readFile(join(out, "impact-matrix.md"), "utf8");
  t.true(linksOf(text).every((link) => link.startsWith("../../reports/")));
  t.deepEqual(await deadLinks(out, text), []);
});

test("--lang and --json print, and write nothing", async (t) => {
  const folder = await reports(t);
  const before = await readdir(folder);
  const english = await matrix({ folders: [folder], lang: "en" });
  t.regex(english.text, /^# Impact matrix/);
  t.regex((await matrix({ folders: [folder], lang: "ja" })).text, /^# 影響一覧/);
  const { text } = await matrix({ folders: [folder], json: true });
  t.is(text.trimEnd().split("\n").length, 1);
  t.is((JSON.parse(text) as Matrix).summary.impact.confirmed.count, 2);
  t.deepEqual(await readdir(folder), before);
  await t.throwsAsync(matrix({ folders: [folder], lang: "en", json: true }), { instanceOf: UsageError });
});

test("folders of single runs; the same one twice counts once", async (t) => {
  const folder = await reports(t);
  const one = join(folder, OUTAGE.facts.runId);
  const rows = async (...folders: string[]): Promise<number> =>
    (JSON.parse((await matrix({ folders, json: true })).text) as Matrix).groups.filter(
      ({ main }) => main !== null,
    ).length;
  t.is(await rows(one), 1);
  t.is(await rows(folder), 2);
  t.is(await rows(folder, one, `${folder}/`), 2);
  const { groups } = JSON.parse((await matrix({ folders: [folder, one], json: true })).text) as Matrix;
  t.deepEqual(new Set(groups.map(({ olderRuns }) => olderRuns)), new Set([0]));
});

test("the reporter html shows the runs of every named folder, also where nothing else is written", async (t) => {
  const folder = await reports(t);
  const [one = "", other = ""] = (await readdir(folder)).map((name) => join(folder, name));
  const out = join(folder, "out");
  for (const more of [{}, { lang: "en" }] as const) {
    const html = { name: "html", file: undefined } as const;
    const { exitCode, warnings } = await matrix({ folders: [one, other], out, reporters: [html], ...more });
    t.deepEqual({ exitCode, warnings }, { exitCode: 0, warnings: [] });
    const index = await readFile(join(out, "index.html"), "utf8");
    t.regex(index, /2 experiments: /);
    await rm(out, { recursive: true });
  }
});

test("a damaged or foreign result is named and omitted; the rest is shown", async (t) => {
  const folder = await reports(t);
  for (const [name, content] of [
    ["cut-off", '{"schemaVersion": 2, "facts": {'],
    ["foreign", '{"passed": true}'],
    ["old", '{"schemaVersion": 1, "facts": {}}'],
  ] as const) {
    await mkdir(join(folder, name));
    await writeFile(join(folder, name, "result.json"), content);
  }
  await mkdir(join(folder, "is-a-folder", "result.json"), { recursive: true });
  await mkdir(join(folder, "empty"));
  await writeFile(join(folder, "a-file"), "");
  const { rows, warnings } = await writeMatrix(folder);
  t.is(rows, 2);
  t.deepEqual(
    warnings.map((line) => line.split(": omitted: ")[0]),
    ["cut-off", "foreign", "is-a-folder", "old"].map((name) => join(folder, name, "result.json")),
  );
  t.regex(warnings[0] ?? "", /cut off \(`chaos report .*cut-off` recomputes it/);
  t.regex(warnings[3] ?? "", /schemaVersion is 1/);
});

test("what is not a folder of reports is named without the system's error, and nothing is made", async (t) => {
  const folder = await temporary(t);
  const [missing, file] = [join(folder, "missing"), join(folder, "file")];
  await writeFile(file, "x");
  for (const [path, why] of [
    [missing, `${missing} does not exist`],
    [file, `${file} is not a folder`],
    ["/dev/null", "/dev/null is not a folder"],
    ["", "a folder's name is empty"],
  ] as const) {
    const error = await t.throwsAsync(matrix({ folders: [path] }), { instanceOf: UsageError });
    t.is(messageOf(error), `${why}. Name a folder of reports, or one of a run`);
  }
  t.deepEqual(await readdir(folder), ["file"]);
});

test("--out that is no folder is bad usage", async (t) => {
  const folder = await reports(t);
  const file = join(folder, "file");
  await writeFile(file, "x");
  for (const [out, why] of [
    [file, `${file} is not a folder`],
    [join(file, "a", "b"), `${join(file, "a", "b")} is below a file`],
    ["", "a folder's name is empty"],
  ] as const) {
    const error = await t.throwsAsync(matrix({ folders: [folder], out }), { instanceOf: UsageError });
    t.is(messageOf(error), `${why}. Name a folder for the files with --out`);
  }
});

test("without results a good table stays: the command refuses, a run's own summary does not fail", async (t) => {
  const folder = await temporary(t);
  await mkdir(join(folder, "cut"));
  await writeFile(join(folder, "cut", "result.json"), "{");
  await writeFile(join(folder, "impact-matrix.md"), "good");
  const expected = new RegExp(`cut off .*\\. no results of runs in ${folder}\\. Name a folder of reports$`);
  for (const more of [{}, { json: true }, { lang: "ja" }] as const)
    await t.throwsAsync(matrix({ folders: [folder], ...more }), {
      instanceOf: UsageError,
      message: expected,
    });
  const { rows, files, warnings } = await writeMatrix(folder);
  t.is(rows, 0);
  t.deepEqual(files, []);
  t.regex(warnings[0] ?? "", expected);
  t.deepEqual((await readdir(folder)).sort(), ["cut", "impact-matrix.md"]);
  t.is(await readFile(join(folder, "impact-matrix.md"), "utf8"), "good");
});

test("the committed matrix matches the committed reports (fix: chaos matrix reports/example)", async (t) => {
  const folder = join(packageRoot(), "reports/example");
  const { warnings } = await matrix({ folders: [folder], lang: "en" });
  t.deepEqual(warnings, [], "every committed result can be read");
  const rebuilt = await rebuiltMatrix(folder);
  for (const name of ["impact-matrix.md", "impact-matrix.ja.md"]) {
    t.deepEqual(await deadLinks(folder, rebuilt[name] ?? ""), [], name);
  }
  t.regex(rebuilt["impact-matrix.md"] ?? "", /^\| kube-dns \(Deployment kube-system\/coredns\) \|/m);
  // All three files must exist and be up to date.
  if (!existsSync(join(folder, "impact-matrix.md"))) return;
  for (const [name, text] of Object.entries(rebuilt)) {
    t.is(await readFile(join(folder, name), "utf8"), text, name);
  }
});
