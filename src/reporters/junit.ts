/**
 * JUnit XML, valid for Jenkins (jenkinsci/xunit-plugin, junit-10.xsd). That schema allows `file` only on a suite and a
 * line nowhere: both are properties, and begin the text of a failure, which GitLab and Jenkins show.
 */
import { type Case, type FileReporter, nothingJudged, type Session, type Suite, tally } from "./reporter.js";
import { type Element, xmlDocument } from "./xml.js";

/** Seconds with milliseconds, as surefire writes them. */
const time = (ms: number): string => (Math.max(0, ms) / 1000).toFixed(3);

/** The schemas of Ant and Jenkins have no time zone and no fraction: UTC. */
const timestamp = (iso: string): string => iso.replace(/(\.\d+)?Z$/, "");

function caseElement({ name, state, type, message, tookMs }: Case, suite: Suite): Element {
  const place = suite.place === undefined ? "" : `:${suite.place.line}:${suite.place.column}`;
  const attributes = { message, type };
  const of: Readonly<Record<Case["state"], readonly Element[]>> = {
    passed: [],
    skipped: [{ name: "skipped", attributes }],
    failure: [{ name: "failure", attributes, content: `${suite.file}${place}\n${message}` }],
    error: [{ name: "error", attributes, content: `${suite.file}${place}\n${message}` }],
  };
  return {
    name: "testcase",
    // GitLab tells cases apart, and shows them, by class name and name.
    attributes: { classname: `kube-system-chaos.${suite.name}`, name, time: time(tookMs) },
    content: of[state],
  };
}

function suiteElement(suite: Suite): Element {
  const { passed, failure, error, skipped } = tally([suite]);
  const properties = suite.properties.map(([name, value]) => ({
    name: "property",
    attributes: { name, value },
  }));
  return {
    name: "testsuite",
    attributes: {
      name: suite.name,
      tests: passed + failure + error + skipped,
      failures: failure,
      errors: error,
      skipped,
      time: time(suite.tookMs),
      timestamp: timestamp(suite.startedAt),
      ...(suite.file === "" ? {} : { file: suite.file }),
    },
    content: [
      ...(properties.length === 0 ? [] : [{ name: "properties", content: properties }]),
      ...suite.cases.map((each) => caseElement(each, suite)),
      { name: "system-out", content: suite.summary.join("\n") },
    ],
  };
}

/** A session in which nothing was judged has a case that says so: it must not look like a success. */
function sessionSuite(session: Session): Suite[] {
  const message = nothingJudged(session);
  if (message === undefined) return [];
  const { name, startedAt, tookMs } = session;
  const cases: Case[] = [{ name: "session", state: "error", type: "nothing measured", message, tookMs: 0 }];
  const rest = { file: "", place: undefined, report: undefined, result: undefined, properties: [] };
  return [{ ...rest, name, headline: name, startedAt, tookMs, cases, summary: [message] }];
}

export const junit: FileReporter = {
  file: "junit.xml",
  text: (session) => {
    const suites = [...session.suites, ...sessionSuite(session)];
    const { passed, failure, error, skipped } = tally(suites);
    return xmlDocument({
      name: "testsuites",
      attributes: {
        name: session.name,
        tests: passed + failure + error + skipped,
        failures: failure,
        errors: error,
        time: time(session.tookMs),
      },
      content: suites.map(suiteElement),
    });
  },
};
