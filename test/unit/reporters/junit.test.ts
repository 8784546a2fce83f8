import { readFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import { type XmlElement, XmlDocument, XsdValidator } from "libxml2-wasm";
import { packageRoot } from "../../../src/common/package-root.js";
import { ExitCode } from "../../../src/common/errors.js";
import { junit } from "../../../src/reporters/junit.js";
import type { Session } from "../../../src/reporters/reporter.js";
import { suiteOf } from "../../../src/reporters/suites.js";
import { changed, functionLost, inconclusive, OUTAGE } from "../../helpers/matrix-results.js";
import { ended, finished, session } from "../../helpers/reporter-sessions.js";

const schema = XsdValidator.fromDoc(
  XmlDocument.fromString(readFileSync(join(packageRoot(), "test/helpers/fixtures/junit.xsd"), "utf8")),
);

/** The file as libxml2 reads it; it is valid for the schema. */
async function read(of: Session): Promise<XmlDocument> {
  const document = XmlDocument.fromString(await junit.text(of));
  schema.validate(document);
  return document;
}

const values = (document: XmlDocument, path: string): string[] =>
  document.find(path).map((node) => node.content);

const DIFFERS = changed(OUTAGE, {
  experiment: { expectedImpact: "none" },
  result: { verdict: "differs", severityBecause: "All writes failed." },
});

test("a case for each expectation, apart by state, with counts that fit", async (t) => {
  const suites = [DIFFERS, inconclusive(functionLost("kubelet"))].map((result) => suiteOf(finished(result)));
  const document = await read(
    session([...suites, ended(4, "Refused: heapster was not found.")], { exitCode: 2 }),
  );
  t.deepEqual(values(document, "//testsuites/@*[name()!='name' and name()!='time']"), ["7", "2", "1"]);
  for (const suite of document.find("//testsuite") as XmlElement[]) {
    const count = (name: string): string => String(suite.find(`testcase/${name}`).length);
    t.deepEqual(
      ["failures", "errors", "skipped"].map((name) => suite.attr(name)?.content),
      ["failure", "error", "skipped"].map(count),
    );
    t.is(suite.attr("tests")?.content, String(suite.find("testcase").length));
  }
  t.deepEqual(values(document, "//testsuite[3]/testcase/skipped/@message"), [
    "Refused: heapster was not found.",
  ]);
});

test("properties, times, position and the summary", async (t) => {
  const document = await read(session([suiteOf(finished(DIFFERS))], { exitCode: 1 }));
  const property = (name: string): string[] => values(document, `//property[@name='${name}']/@value`);
  t.deepEqual(property("run"), [OUTAGE.facts.runId]);
  t.deepEqual(property("experiment.line"), ["17"]);
  t.deepEqual(property("Kubernetes"), ["v1.33.1"]);
  t.deepEqual(values(document, "//testsuite/@timestamp"), ["2026-08-01T12:00:00"]);
  t.deepEqual(values(document, "//testsuite/@time"), ["125.400"]);
  t.deepEqual(values(document, "//testcase/@time"), ["60.000", "0.000", "13.100"]);
  t.deepEqual(values(document, "//testcase[1]/failure"), [
    "experiments/kube-dns.yaml:17:3\nExpected: none; measured: outage. All writes failed.",
  ]);
  t.regex(values(document, "//system-out")[0] ?? "", /^kube-dns: outage \(differs\)\n/);
});

test("no text breaks the file: markup, the end of CDATA, control characters, halves of a pair", async (t) => {
  const nasty = 'a<b>&"]]>\u0000\u001b[31m\ud800|\uffff\t\r\nß日本🙂';
  const result = changed(DIFFERS, { result: { severityBecause: nasty }, experiment: { name: nasty } });
  const document = await read(session([suiteOf(finished(result))], { exitCode: 1 }));
  const message = values(document, "//testcase[1]/failure/@message")[0] ?? "";
  t.true(message.includes('a<b>&"]]>\ufffd\ufffd[31m\ufffd|\ufffd\t\r\nß日本🙂'), JSON.stringify(message));
  t.true((values(document, "//testcase[1]/failure")[0] ?? "").includes("|\ufffd\t\r\nß日本🙂"));
});

test("a session in which nothing was measured is an error, not a success", async (t) => {
  const none = await read(session([ended(4, "Refused.")], { exitCode: 4 }));
  t.is(none.find("//testsuite[@name='chaos run']/testcase/error").length, 1);
  const early = await read(session([], { exitCode: ExitCode.usage, problem: "x.yaml:1:1: not YAML" }));
  t.deepEqual(values(early, "//error/@message"), ["x.yaml:1:1: not YAML"]);
  const running = await read(session([], { exitCode: null }));
  t.is(running.find("//testcase").length, 0);
});

test("the schema of the test refuses what Jenkins refuses", (t) => {
  const text = '<testsuites name="x" tests="0" failures="0" errors="0" time="0" line="3"/>';
  t.throws(() => schema.validate(XmlDocument.fromString(text)));
});
