import test from "ava";
import type { RunResult } from "../../../src/analysis/result.js";
import { ExitCode } from "../../../src/common/errors.js";
import { type CaseState, tally } from "../../../src/reporters/reporter.js";
import { expectationPlace } from "../../../src/reporters/place.js";
import { notReached, suiteOf } from "../../../src/reporters/suites.js";
import { changed, functionLost, inconclusive, OUTAGE } from "../../helpers/matrix-results.js";
import { ended, finished } from "../../helpers/reporter-sessions.js";

type States = readonly CaseState[];

/** application, own function, restored. */
const statesOf = (result: RunResult, exitCode?: ExitCode): States =>
  suiteOf(finished(result, exitCode === undefined ? {} : { exitCode })).cases.map(({ state }) => state);

const differs = (
  result: RunResult,
  expectedImpact: RunResult["facts"]["experiment"]["expectedImpact"],
): RunResult => changed(result, { experiment: { expectedImpact }, result: { verdict: "differs" } });

const refused = changed(inconclusive(OUTAGE), { result: { phases: {}, firstKillMs: null } });

const CASES: readonly (readonly [title: string, result: RunResult, states: States])[] = [
  ["an outage as expected", OUTAGE, ["passed", "passed", "passed"]],
  ["a lost function as expected", functionLost("kubelet"), ["passed", "passed", "passed"]],
  ["an outage that was not expected", differs(OUTAGE, "none"), ["failure", "failure", "passed"]],
  ["degraded was expected", differs(OUTAGE, "degraded"), ["failure", "passed", "passed"]],
  [
    "only the function should have stayed",
    differs(functionLost("kubelet"), "none"),
    ["passed", "failure", "passed"],
  ],
  ["the outage did not come", differs(functionLost("kubelet"), "outage"), ["failure", "passed", "passed"]],
  [
    "the function should have been lost",
    differs(
      changed(functionLost("kubelet"), { result: { severity: "none", functionLost: false } }),
      "function lost",
    ),
    ["passed", "failure", "passed"],
  ],
  [
    "what differs without a figure is a failure of the application",
    differs(
      changed(functionLost("kubelet"), { result: { severity: "none", functionLost: null } }),
      "function lost",
    ),
    ["failure", "skipped", "passed"],
  ],
  [
    "an expectation that the file does not have",
    changed(OUTAGE, { experiment: { expectedImpact: null } }),
    ["passed", "passed", "passed"],
  ],
  ["inconclusive after an attack", inconclusive(OUTAGE), ["error", "skipped", "passed"]],
  ["inconclusive before any attack", refused, ["skipped", "skipped", "skipped"]],
  [
    "not restored",
    changed(OUTAGE, { result: { verdict: "not restored", verdictBecause: "Not restored: …" } }),
    ["passed", "passed", "error"],
  ],
  ["interrupted", changed(OUTAGE, { result: { verdict: "interrupted" } }), ["error", "skipped", "passed"]],
  [
    "a control run with a failure",
    changed(OUTAGE, {
      experiment: { attack: { type: "none" } },
      result: { verdict: "differs", firstKillMs: null },
    }),
    ["failure", "failure", "skipped"],
  ],
  [
    "a control run",
    changed(OUTAGE, {
      experiment: { attack: { type: "none" }, expectedImpact: "none" },
      result: { verdict: "control", severity: "none", firstKillMs: null },
    }),
    ["passed", "passed", "skipped"],
  ],
];

for (const [title, result, states] of CASES)
  test(`cases of a run: ${title}`, (t) => {
    t.deepEqual(statesOf(result), states);
  });

test("the exit code and the cases agree", (t) => {
  for (const [title, result] of CASES) {
    const { exitCode } = finished(result);
    const { failure, error } = tally([suiteOf(finished(result))]);
    if (exitCode === ExitCode.asExpected || exitCode === ExitCode.preflightRefused)
      t.deepEqual([failure, error], [0, 0], title);
    else if (exitCode === ExitCode.differs) t.true(failure > 0 && error === 0, title);
    else t.true(error > 0, title);
  }
});

test("lost evidence and what is left to undo are errors, whatever the verdict says", (t) => {
  t.deepEqual(statesOf(OUTAGE, ExitCode.inconclusive), ["error", "skipped", "passed"]);
  t.deepEqual(statesOf(OUTAGE, ExitCode.notRestored), ["passed", "passed", "error"]);
});

test("a run without a result is skipped only if it was refused", (t) => {
  const state = (code: ExitCode): CaseState | undefined => ended(code, "why").cases[0]?.state;
  t.is(state(ExitCode.preflightRefused), "skipped");
  for (const code of [ExitCode.failed, ExitCode.interrupted, ExitCode.notRestored])
    t.is(state(code), "error");
  t.is(ended(ExitCode.failed, "no disk").cases[0]?.message, "no disk");
});

test("an experiment that the session did not reach is skipped", (t) => {
  const suite = notReached({
    name: "etcd",
    file: "etcd.yaml",
    place: undefined,
    startedAt: "2026-08-01T12:00:00Z",
  });
  t.deepEqual(
    suite.cases.map(({ state, type }) => [state, type]),
    [["skipped", "not run"]],
  );
});

test("the position of the expectation, else of the target", (t) => {
  t.deepEqual(expectationPlace("# x\ntarget:\n  component: etcd\nexpectation:\n  impact: none\n"), {
    line: 5,
    column: 3,
  });
  t.deepEqual(expectationPlace("expectation: {}\ntarget:\n"), { line: 1, column: 1 });
  t.deepEqual(expectationPlace("kind: Experiment\ntarget:\n  component: etcd\n"), { line: 2, column: 1 });
  t.is(expectationPlace("a: [b"), undefined);
});
