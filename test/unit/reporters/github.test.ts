import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { github } from "../../../src/reporters/github.js";
import type { Session } from "../../../src/reporters/reporter.js";
import { suiteOf } from "../../../src/reporters/suites.js";
import { changed, functionLost, OUTAGE } from "../../helpers/matrix-results.js";
import { ended, finished, session } from "../../helpers/reporter-sessions.js";

async function told(
  t: ExecutionContext,
  of: Session,
  before = "",
): Promise<{ readonly lines: string[]; readonly summary: string; readonly output: string }> {
  const folder = await mkdtemp(join(tmpdir(), "chaos-github-"));
  t.teardown(async () => await rm(folder, { recursive: true, force: true }));
  const [GITHUB_STEP_SUMMARY, GITHUB_OUTPUT] = [join(folder, "summary"), join(folder, "output")];
  if (before !== "") await writeFile(GITHUB_STEP_SUMMARY, before);
  const lines: string[] = [];
  const env = { GITHUB_STEP_SUMMARY, GITHUB_OUTPUT, GITHUB_WORKSPACE: process.cwd() };
  await github.end(of, { env, print: (line) => lines.push(line) });
  return {
    lines,
    summary: await readFile(GITHUB_STEP_SUMMARY, "utf8"),
    output: await readFile(GITHUB_OUTPUT, "utf8"),
  };
}

const DIFFERS = changed(OUTAGE, {
  experiment: { expectedImpact: "degraded", name: "a,b:c" },
  result: { verdict: "differs", severityBecause: "100 % failed.\nAll of them." },
});

test("an annotation on the line of the expectation, escaped as GitHub reads it", async (t) => {
  const file = join(process.cwd(), "experiments", "kube-dns.yaml");
  const { lines } = await told(t, session([suiteOf(finished(DIFFERS, { file })), suiteOf(finished(OUTAGE))]));
  t.deepEqual(lines, [
    "::error file=experiments/kube-dns.yaml,line=17,col=3,title=a%2Cb%3Ac%3A application differs::" +
      "kube-dns: outage (differs)%0AExpected: degraded; measured: outage. 100 %25 failed.%0AAll of them.",
  ]);
});

test("what was refused is a warning; a file outside the repository keeps its path", async (t) => {
  const { lines } = await told(t, session([suiteOf(finished(OUTAGE)), ended(4, "Not found.")]));
  t.is(lines.length, 1);
  t.regex(
    lines[0] ?? "",
    /^::warning file=experiments\/heapster\.yaml,title=heapster%3A application refused::/,
  );
  const outside = await told(t, session([suiteOf(finished(DIFFERS, { file: "/elsewhere/x.yaml" }))]));
  t.regex(outside.lines[0] ?? "", /file=\/elsewhere\/x\.yaml,/);
});

test("at most ten of a kind; the last one counts the rest", async (t) => {
  const many = Array.from({ length: 14 }, () => suiteOf(finished(DIFFERS)));
  const { lines } = await told(t, session(many, { exitCode: 1 }));
  t.is(lines.length, 10);
  t.regex(lines[9] ?? "", /::5 more experiments: see the summary of this step$/);
});

test("nothing measured is an error", async (t) => {
  const { lines } = await told(t, session([], { exitCode: 3, problem: "bad file" }));
  t.deepEqual(lines, ["::error title=chaos run::bad file"]);
});

test("the summary is appended, and fits into what the step has left", async (t) => {
  const suites = [suiteOf(finished(OUTAGE)), suiteOf(finished(functionLost("kubelet")))];
  const { summary } = await told(t, session(suites), "# Before\n");
  t.regex(summary, /^# Before\n## kube-system chaos: `chaos run`/);
  t.regex(summary, /2 experiments: 2 ✅ as expected \(exit code 0\)/);
  const used = 1024 * 1024 - 300;
  const full = await told(t, session(suites), "x".repeat(used));
  t.true(Buffer.byteLength(full.summary) < 1024 * 1024);
  t.regex(full.summary, /The rest is left out/);
});

test("outputs for later steps, one line each", async (t) => {
  const { output } = await told(
    t,
    session([suiteOf(finished(DIFFERS)), ended(4, "Not found.")], { exitCode: 4, reportsFolder: "a\nb" }),
  );
  t.is(output, "exit-code=4\nexperiments=2\npassed=0\nfailed=1\nerrors=0\nskipped=1\nreports=a b\n");
});

test("without the files of a step only annotations are printed", async (t) => {
  const lines: string[] = [];
  await github.end(session([suiteOf(finished(DIFFERS))]), { env: {}, print: (line) => lines.push(line) });
  t.is(lines.length, 1);
});
