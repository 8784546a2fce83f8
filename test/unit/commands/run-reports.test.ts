import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { RunReports } from "../../../src/commands/run-reports.js";
import { ExitCode, UsageError } from "../../../src/common/errors.js";
import { packageRoot } from "../../../src/common/package-root.js";
import type { Loaded } from "../../../src/load/choose.js";
import { loadAll } from "../../../src/load/load-all.js";
import { requestedReporters } from "../../../src/reporters/requested.js";
import { OUTAGE } from "../../helpers/matrix-results.js";

async function opened(
  t: ExecutionContext,
  asked: string,
  dryRun = false,
): Promise<{
  readonly reports: RunReports;
  readonly folder: string;
  readonly said: string[];
  readonly loaded: Loaded[];
}> {
  const reportsFolder = join(await mkdtemp(join(tmpdir(), "chaos-run-reports-")), "reports");
  t.teardown(async () => await rm(join(reportsFolder, ".."), { recursive: true, force: true }));
  const said: string[] = [];
  const reports = await RunReports.open({
    reporters: requestedReporters(asked),
    print: (line) => said.push(line),
    reportsFolder,
    dryRun,
    view: { warn: (text) => said.push(`warning: ${text}`), suspended: async (work) => await work() },
    env: {},
  });
  const loaded = await loadAll([
    join(packageRoot(), "experiments", "kube-dns.yaml"),
    join(packageRoot(), "experiments", "etcd.yaml"),
  ]);
  return { reports, folder: reportsFolder, said, loaded };
}

test("the reporters get each run, what the session did not reach, and the exit code", async (t) => {
  const { reports, folder, said, loaded } = await opened(t, "junit,json=/dev/null,github");
  reports.plan(loaded);
  const [first] = loaded;
  if (first === undefined) return t.fail();
  const outcome = { exitCode: ExitCode.notRestored, result: OUTAGE, folder: join(folder, "run") };
  t.is(await reports.run(first, () => Promise.resolve(outcome)), outcome);
  t.regex(await readFile(join(folder, "junit.xml"), "utf8"), /tests="3"/, "after the run");
  t.is(await reports.end(ExitCode.notRestored), ExitCode.notRestored);
  const xml = await readFile(join(folder, "junit.xml"), "utf8");
  t.regex(xml, /<error message="Something is left to undo/);
  t.regex(xml, /<skipped message="Not run: the session ended before it\./);
  t.is(said.length, 2);
  t.regex(
    said[0] ?? "",
    /^::error file=.*kube-dns\.yaml,line=\d+,col=3,title=kube-dns%3A restored not restored::/,
  );
  t.regex(said[1] ?? "", /^::warning file=.*etcd\.yaml/);
});

test("a command that ends with an error is reported", async (t) => {
  const { reports, folder } = await opened(t, "junit");
  await reports.failed(new UsageError("x.yaml:1:1: not YAML"), ExitCode.usage);
  t.regex(await readFile(join(folder, "junit.xml"), "utf8"), /<error message="x\.yaml:1:1: not YAML"/);
});

test("a success without the file that was asked for is none; other codes stay", async (t) => {
  const { reports, said, loaded } = await opened(t, "junit=/dev/full");
  reports.plan(loaded.slice(0, 1));
  const [first] = loaded;
  if (first === undefined) return t.fail();
  await reports.run(first, () => Promise.resolve({ exitCode: ExitCode.asExpected, result: OUTAGE }));
  t.is(await reports.end(ExitCode.asExpected), ExitCode.failed);
  t.regex(said[0] ?? "", /^warning: the reporter junit wrote no \/dev\/full: /);
  t.is(await reports.end(ExitCode.differs), ExitCode.differs);
});

test("a dry run writes nothing", async (t) => {
  const { reports, folder } = await opened(t, "junit,markdown", true);
  t.is(await reports.end(ExitCode.asExpected), ExitCode.asExpected);
  await t.throwsAsync(readdir(folder), { code: "ENOENT" });
});
