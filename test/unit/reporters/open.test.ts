import { chmod, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { UsageError } from "../../../src/common/errors.js";
import { type OpenReporters, openReporters } from "../../../src/reporters/open.js";
import type { Reporter } from "../../../src/reporters/reporter.js";
import { consoleOf, requestedReporters, withDefaults } from "../../../src/reporters/requested.js";
import { suiteOf } from "../../../src/reporters/suites.js";
import { OUTAGE } from "../../helpers/matrix-results.js";
import { finished, session } from "../../helpers/reporter-sessions.js";

const SESSION = session([suiteOf(finished(OUTAGE))]);

async function temporary(t: ExecutionContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "chaos-reporters-"));
  t.teardown(async () => await rm(folder, { recursive: true, force: true }));
  return folder;
}

async function opened(
  reportsFolder: string,
  asked: string,
  broken: Readonly<Record<string, Reporter>> = {},
): Promise<{ readonly reporters: OpenReporters; readonly warnings: string[] }> {
  const warnings: string[] = [];
  const { REPORTERS } = await import("../../../src/reporters/all-reporters.js");
  const reporters = await openReporters({
    requested: requestedReporters(asked),
    reportsFolder,
    env: {},
    print: () => undefined,
    warn: (text) => warnings.push(text),
    load: async ({ name }) => broken[name] ?? (await REPORTERS[name]()),
  });
  return { reporters, warnings };
}

const failing: Reporter = {
  file: "junit.xml",
  text: () => {
    throw new Error("no such figure");
  },
};

test("several at once, each into its own or a named file, after each run and at the end", async (t) => {
  const folder = join(await temporary(t), "reports");
  const asked = `junit,markdown=${folder}/ci/pr.md,json=${folder}/r.ndjson,plain=${folder}/p.txt,prometheus,github`;
  const { reporters, warnings } = await opened(folder, asked);
  await reporters.soFar({ ...SESSION, exitCode: null });
  t.deepEqual((await readdir(folder)).sort(), [
    "ci",
    "junit.xml",
    "kube-system-chaos.prom",
    "p.txt",
    "r.ndjson",
  ]);
  t.regex(await readFile(join(folder, "ci/pr.md"), "utf8"), /still running/);
  t.true(await reporters.end(SESSION));
  t.regex(await readFile(join(folder, "ci/pr.md"), "utf8"), /exit code 0/);
  const lines = (await readFile(join(folder, "r.ndjson"), "utf8")).trimEnd().split("\n");
  t.deepEqual(
    lines.map((line) => (JSON.parse(line) as { type: string }).type),
    ["result", "end"],
  );
  t.regex(await readFile(join(folder, "p.txt"), "utf8"), /^kube-dns: outage \(as expected\)\n/);
  t.deepEqual(warnings, []);
});

test("a broken reporter stops no other one, and is said with its reason", async (t) => {
  const folder = await temporary(t);
  const { reporters, warnings } = await opened(folder, "junit,markdown", { junit: failing });
  await reporters.soFar(SESSION);
  t.false(await reporters.end(SESSION));
  t.deepEqual(await readdir(folder), ["summary.md"]);
  t.deepEqual(warnings, [`the reporter junit wrote no ${join(folder, "junit.xml")}: no such figure`]);
});

test("what nobody asked for is a warning only", async (t) => {
  const warnings: string[] = [];
  const reporters = await openReporters({
    requested: withDefaults([], { GITHUB_ACTIONS: "true" }),
    reportsFolder: await temporary(t),
    env: { GITHUB_STEP_SUMMARY: "/proc/nothing/here" },
    print: () => undefined,
    warn: (text) => warnings.push(text),
  });
  t.true(await reporters.end(SESSION));
  t.is(warnings.length, 1);
});

test("a file of an earlier command is removed at the start", async (t) => {
  const folder = await temporary(t);
  await writeFile(join(folder, "junit.xml"), "old");
  await opened(folder, "junit");
  t.deepEqual(await readdir(folder), []);
});

test("a device and a link stay what they are", async (t) => {
  const folder = await temporary(t);
  await writeFile(join(folder, "real.xml"), "old");
  await symlink(join(folder, "real.xml"), join(folder, "link.xml"));
  const { reporters } = await opened(folder, `junit=${folder}/link.xml,plain=/dev/null`);
  t.true(await reporters.end(SESSION));
  t.regex(await readFile(join(folder, "real.xml"), "utf8"), /<testsuites/);
});

test("a file that cannot be written is refused before anything is attacked", async (t) => {
  const folder = await temporary(t);
  await mkdir(join(folder, "junit.xml"));
  const refused = {
    instanceOf: UsageError,
    message: /reporter junit cannot write .*it is a folder\. Nothing was attacked/,
  };
  await t.throwsAsync(opened(folder, "junit"), refused);
  await writeFile(join(folder, "file"), "");
  await t.throwsAsync(opened(folder, `markdown=${folder}/file/x.md`), { instanceOf: UsageError });
  await t.throwsAsync(opened(folder, `github=${folder}/x`), { message: /takes no file/ });
  await t.throwsAsync(opened(folder, `json=${folder}/x,plain=${folder}/../${folder.split("/").at(-1)}/x`), {
    message: /json and plain would write the same file/,
  });
  if (process.getuid?.() === 0) return;
  await chmod(folder, 0o500);
  await t.throwsAsync(opened(folder, "markdown"), { message: /permission denied/ });
});

test("names: several, with files; an unknown one is refused with the list", (t) => {
  t.deepEqual(requestedReporters("junit=a=b.xml, github,,"), [
    { name: "junit", file: "a=b.xml" },
    { name: "github", file: undefined },
  ]);
  t.throws(() => requestedReporters("jnuit"), {
    instanceOf: UsageError,
    message: /unknown reporter "jnuit"\. Reporters: plain, json, junit, github/,
  });
  t.throws(() => requestedReporters("toString"), { message: /unknown reporter/ });
  t.throws(() => requestedReporters("junit="), { message: /write junit=FILE/ });
});

test("plain and json without a file are the forms of the console, one of them", (t) => {
  t.is(consoleOf(requestedReporters("junit,json")), "json");
  t.is(consoleOf(requestedReporters("plain,json=x")), "plain");
  t.is(consoleOf(requestedReporters("github")), undefined);
  t.throws(() => consoleOf(requestedReporters("plain,json")), { instanceOf: UsageError });
});

test("in GitHub Actions github is the default; a list replaces it", (t) => {
  const env = { GITHUB_ACTIONS: "true" };
  t.deepEqual(
    withDefaults([], env).map(({ name }) => name),
    ["github"],
  );
  t.deepEqual(
    withDefaults(requestedReporters("junit"), env).map(({ name }) => name),
    ["junit"],
  );
  t.deepEqual(withDefaults([], {}), []);
});
