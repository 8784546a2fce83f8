import { cp, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import type { RunResult } from "../../../src/analysis/result.js";
import {
  matrix,
  type MatrixCommandOptions,
  type MatrixOutput,
} from "../../../src/commands/matrix-command.js";
import { UsageError } from "../../../src/common/errors.js";
import { packageRoot } from "../../../src/common/package-root.js";
import { requestedReporters } from "../../../src/reporters/requested.js";

const EXAMPLE = join(packageRoot(), "reports", "example");

async function temporary(t: ExecutionContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "chaos-baseline-"));
  t.teardown(async () => await rm(folder, { recursive: true, force: true }));
  return folder;
}

/** A copy of the example's runs as if they had been measured again a day later, with a change of some. */
async function later(
  folder: string,
  change: (result: RunResult) => RunResult = (result) => result,
): Promise<void> {
  for (const name of await readdir(EXAMPLE)) {
    const text = await readFile(join(EXAMPLE, name, "result.json"), "utf8").catch(() => undefined);
    if (text === undefined) continue;
    const result = JSON.parse(text) as RunResult;
    const facts = {
      ...result.facts,
      runId: `${result.facts.runId}-later`,
      startedAt: "2027-01-01T00:00:00.000Z",
    };
    await cp(join(EXAMPLE, name, "report.md"), join(folder, name, "report.md"));
    await writeFile(join(folder, name, "result.json"), JSON.stringify(change({ ...result, facts })));
  }
}

/** The made-up regression: kube-dns takes a minute longer to recover. */
const slower = (result: RunResult): RunResult =>
  result.facts.experiment.name !== "kube-dns" || result.recovery?.healthyMs == null
    ? result
    : { ...result, recovery: { ...result.recovery, healthyMs: result.recovery.healthyMs + 60_000 } };

const against = async (folder: string, more: Partial<MatrixCommandOptions> = {}): Promise<MatrixOutput> =>
  await matrix({ folders: [folder], baseline: EXAMPLE, ...more });

test("the study measured again is accepted", async (t) => {
  const folder = await temporary(t);
  await later(folder);
  const { text, exitCode } = await against(folder);
  t.is(exitCode, 0, text);
  t.regex(
    text,
    /As accepted: kubelet, kube-proxy, .*Accepted: no row is worse than in the accepted matrix\.\n$/s,
  );
});

test("one row made worse fails with a sentence that a manager understands", async (t) => {
  const folder = await temporary(t);
  await later(folder, slower);
  const { text, exitCode } = await against(folder, { reporters: requestedReporters("junit,markdown") });
  t.is(exitCode, 1);
  const sentence =
    /kube-dns: worse\. After it is released, everything now works again in 1\d\d\.\d s \(accepted: \d+\.\d s; tolerated: up to \d+\.\d s\)\./;
  t.regex(text, sentence);
  t.regex(text, /Not accepted: 1 row got worse\.\n$/);
  const xml = await readFile(join(folder, "junit.xml"), "utf8");
  t.is([...xml.matchAll(/<failure /g)].length, 1);
  t.regex(xml, sentence);
  t.regex(await readFile(join(folder, "summary.md"), "utf8"), sentence);
  t.is((await against(folder, { tolerances: { toleranceTime: "2m" } })).exitCode, 0, "tolerated");
  t.is((await against(folder, { only: ["etcd"] })).exitCode, 0, "left out");
});

test("a row that differs from its file, as it did when it was accepted, passes also in JUnit", async (t) => {
  const [accepted, folder] = [await temporary(t), await temporary(t)];
  const differs = (result: RunResult): RunResult =>
    result.facts.experiment.name === "kube-dns"
      ? {
          ...result,
          verdict: "differs",
          facts: { ...result.facts, experiment: { ...result.facts.experiment, expectedImpact: "none" } },
        }
      : result;
  await later(accepted, differs);
  await later(folder, (result) => {
    const changed = differs(result);
    return { ...changed, facts: { ...changed.facts, startedAt: "2027-01-02T00:00:00.000Z" } };
  });
  const only = ["kube-dns"];
  const { exitCode } = await against(folder, {
    baseline: accepted,
    only,
    reporters: requestedReporters("junit"),
  });
  t.is(exitCode, 0);
  const xml = await readFile(join(folder, "junit.xml"), "utf8");
  t.notRegex(xml, /<(failure|error) /);
  t.is([...xml.matchAll(/<testcase /g)].length, 1);
});

test("an impact-matrix.json alone is an accepted matrix", async (t) => {
  const [folder, accepted] = [await temporary(t), await temporary(t)];
  await later(folder, slower);
  await cp(join(EXAMPLE, "impact-matrix.json"), join(accepted, "impact-matrix.json"));
  for (const baseline of [accepted, join(accepted, "impact-matrix.json")])
    t.is((await against(folder, { baseline, only: ["kube-dns"] })).exitCode, 1);
});

test("without an accepted matrix nothing passes", async (t) => {
  const [folder, empty] = [await temporary(t), await temporary(t)];
  await later(folder);
  for (const [baseline, why] of [
    [empty, /has no results of runs, and no impact-matrix\.json\./],
    [join(empty, "nothing"), /No accepted matrix: .*nothing does not exist\./],
    [folder, /Its newest run is the accepted one itself\./],
  ] as const) {
    const { text, exitCode } = await against(folder, { baseline });
    t.is(exitCode, 2);
    t.regex(text, why);
    t.regex(text, /^Not accepted: .*what has no history has not passed\./m);
  }
});

test("--json prints the comparison on one line, and writes nothing", async (t) => {
  const folder = await temporary(t);
  await later(folder, slower);
  const before = await readdir(folder);
  const { text, exitCode } = await against(folder, { json: true });
  t.is(exitCode, 1);
  t.is(text.trimEnd().split("\n").length, 1);
  const { rows } = JSON.parse(text) as { rows: { experiment: string; change: string }[] };
  t.deepEqual(
    rows.filter(({ change }) => change === "worse").map(({ experiment }) => experiment),
    ["kube-dns"],
  );
  t.deepEqual(await readdir(folder), before);
});

test("bad input is refused before anything is written", async (t) => {
  const folder = await temporary(t);
  await later(folder);
  const before = await readdir(folder);
  const bad: readonly Partial<MatrixCommandOptions>[] = [
    { lang: "en" },
    { tolerances: { tolerance: "a lot" } },
    { tolerances: { toleranceTime: "30" } },
    { tolerances: { toleranceAvailability: "-1" } },
    { baseline: join(EXAMPLE, "impact-matrix.md") },
    { baseline: undefined, only: ["etcd"] },
    { baseline: undefined, tolerances: { tolerance: "20%" } },
  ];
  for (const more of bad) await t.throwsAsync(against(folder, more), { instanceOf: UsageError });
  t.deepEqual(await readdir(folder), before);
});

test("--only with a name that no run has is refused: it would compare less than was asked for", async (t) => {
  const folder = await temporary(t);
  await later(folder);
  await t.throwsAsync(against(folder, { only: ["etcd", "kube-dsn"] }), {
    instanceOf: UsageError,
    message: /^--only: no run of kube-dsn \(did you mean kube-dns\?\)\. There are runs of kubelet, .*etcd/,
  });
});

test("a reporter that cannot write makes a success a failure of the surroundings, and changes no other code", async (t) => {
  const folder = await temporary(t);
  await later(folder, slower);
  const reporters = requestedReporters("markdown=/dev/full");
  const good = await matrix({ folders: [folder], reporters });
  t.is(good.exitCode, 6);
  t.regex(good.warnings.join("\n"), /the reporter markdown wrote no \/dev\/full: /);
  t.is((await against(folder, { reporters })).exitCode, 1);
});
