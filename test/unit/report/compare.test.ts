import test from "ava";
import type { RunResult } from "../../../src/analysis/result.js";
import { acceptedFromJson } from "../../../src/report/accepted-read.js";
import {
  type Change,
  compare,
  comparedRuns,
  type ComparedRow,
  type Comparison,
  DEFAULT_TOLERANCE,
  type Tolerance,
} from "../../../src/report/compare.js";
import { comparisonLines, rowText } from "../../../src/report/compare-words.js";
import { matrixJson } from "../../../src/report/matrix.js";
import { changed, functionLost, inconclusive, matrixOf, OUTAGE } from "../../helpers/matrix-results.js";

/** The same experiment, measured again. */
const again = (result: RunResult, change: Partial<RunResult> = {}): RunResult =>
  changed(result, { facts: { runId: `${result.facts.runId}-again` }, result: change });

/** Writes of every worker with these figures. */
const writes = (availability: number, longestOutageMs: number): Pick<RunResult, "probes"> => ({
  probes: OUTAGE.probes.map((each) => ({
    ...each,
    longestOutageMs,
    phases: { ...each.phases, window: { ...each.phases.window, availability } },
  })),
});

const recovery = (healthyMs: number | null): Pick<RunResult, "recovery"> => ({
  recovery: { restorerMs: 20, restoredBy: "runner", readyMs: 9500, firstGoodMs: 7600, healthyMs },
});

function compared(
  accepted: readonly RunResult[],
  present: readonly RunResult[],
  only: readonly string[] = [],
  tolerance: Tolerance = DEFAULT_TOLERANCE,
): Comparison {
  return compare(comparedRuns(matrixOf(...accepted)), comparedRuns(matrixOf(...present)), tolerance, only);
}

function row(accepted: readonly RunResult[], present: RunResult): ComparedRow {
  const [only] = compared(accepted, [present]).rows;
  if (only === undefined) throw new Error("no row");
  return only;
}

const changeOf = (accepted: RunResult, present: RunResult): Change => row([accepted], present).change;

test("the same figures again are as accepted, and a pass", (t) => {
  const { rows, exitCode } = compared([OUTAGE], [again(OUTAGE)]);
  t.deepEqual(
    rows.map(({ change, because }) => [change, because]),
    [["as accepted", []]],
  );
  t.is(exitCode, 0);
});

test("each figure beyond the tolerance is worse, with a sentence; within it is not", (t) => {
  const worse = (change: Partial<RunResult>): string => rowText(row([OUTAGE], again(OUTAGE, change)));
  t.is(
    worse(writes(0.0125, 92_100)),
    "kube-dns: worse. When it dies, the application now fails for 92.1 s without a break (accepted: 62.0 s; tolerated: up to 92.0 s).",
  );
  t.is(changeOf(OUTAGE, again(OUTAGE, writes(0.0125, 92_000))), "as accepted");
  t.is(
    worse(recovery(43_200)),
    "kube-dns: worse. After it is released, everything now works again in 43.2 s (accepted: 13.1 s; tolerated: up to 43.1 s).",
  );
  t.is(changeOf(OUTAGE, again(OUTAGE, recovery(43_100))), "as accepted");
  t.regex(worse(recovery(null)), /it was not seen that everything works again \(accepted: 13\.1 s\)/);
  const half = changed(OUTAGE, { result: writes(0.4, 62_000) });
  t.is(changeOf(half, again(half, writes(0.3, 62_000))), "as accepted");
  t.is(
    rowText(row([half], again(half, writes(0.29, 62_000)))),
    "kube-dns: worse. While it is down, 29.0 % of the application's writes now succeed (accepted: 40.0 %; tolerated: down to 30.0 %).",
  );
});

test("long times have the relative tolerance", (t) => {
  const long = changed(OUTAGE, { result: writes(0, 1_000_000) });
  t.is(changeOf(long, again(long, writes(0, 1_200_000))), "as accepted");
  t.is(changeOf(long, again(long, writes(0, 1_200_001))), "worse");
});

test("the tolerance is an argument, and stated", (t) => {
  const tolerance = { share: 0.5, timeMs: 1000, availability: 0.025 };
  const comparison = compared([OUTAGE], [again(OUTAGE, recovery(20_000))], [], tolerance);
  t.is(comparison.exitCode, 1);
  t.regex(
    comparisonLines(comparison, "accepted", undefined)[0] ?? "",
    /^Compared with accepted \(tolerated: times longer by 50 % or 1\.0 s, whichever is more; availability lower by 2\.5 points\):$/,
  );
});

test("a worse severity is said in words for everyone, once", (t) => {
  const lost = functionLost("kube-dns", { facts: { functionProbe: null } });
  const none = changed(lost, {
    result: { severity: "none", ownFunction: { ...lost.ownFunction, state: "kept" }, functionLost: false },
  });
  t.deepEqual(row([none], again(lost)).because, [
    "When it dies, the application works, but what the component itself does is lost (accepted: nothing is lost).",
  ]);
  t.is(changeOf(none, again(OUTAGE)), "worse");
  t.is(changeOf(lost, again(none)), "better");
  t.is(changeOf(changed(OUTAGE, { result: { severity: "degraded" } }), again(OUTAGE)), "worse");
});

test("what a client saw, and the component's own function", (t) => {
  const seen = (of: "unreachable" | "intermittent"): RunResult =>
    changed(OUTAGE, {
      result: {
        client: {
          ...{ class: of, probe: "app-write", share: 1, fromMs: 0, lastedMs: 1, open: false },
          ...{ explainedBy: null, because: "" },
        },
      },
    });
  t.deepEqual(row([seen("intermittent")], again(seen("unreachable"))).because, [
    "When it dies, nobody can reach the application for a time (accepted: some requests fail).",
  ]);
  const state = (of: "kept" | "partly lost" | "lost" | "not measured"): RunResult =>
    changed(OUTAGE, { result: { ownFunction: { ...OUTAGE.ownFunction, state: of } } });
  t.is(changeOf(state("kept"), again(state("partly lost"))), "worse");
  t.is(changeOf(state("lost"), again(state("partly lost"))), "better");
  t.is(changeOf(state("kept"), again(state("not measured"))), "worse");
  t.is(changeOf(state("not measured"), again(state("kept"))), "as accepted");
});

test("not restored is worse, whatever was accepted", (t) => {
  const result = again(OUTAGE, { verdict: "not restored" });
  t.is(row([], result).change, "worse");
  t.regex(rowText(row([OUTAGE], result)), /The cluster was not restored after it\./);
});

test("no history is never a pass: exit code 2", (t) => {
  const other = (experiment: Partial<RunResult["facts"]["experiment"]>): RunResult =>
    changed(again(OUTAGE), { experiment });
  const cases: readonly (readonly [accepted: readonly RunResult[], present: RunResult, Change, RegExp])[] = [
    [[], OUTAGE, "no history", /no accepted run/],
    [[inconclusive(OUTAGE)], again(OUTAGE), "no history", /accepted run is inconclusive/],
    [[OUTAGE], inconclusive(again(OUTAGE)), "inconclusive", /shows nothing/],
    [[OUTAGE], OUTAGE, "not measured", /the accepted one itself/],
    [
      [OUTAGE],
      other({ attack: { type: "delete-pods" } }),
      "no history",
      /delete-pods, accepted: delete-workload/,
    ],
    [
      [OUTAGE],
      changed(again(OUTAGE), { facts: { application: { kind: "existing", name: "shop/api" } } }),
      "no history",
      /another application: shop\/api, accepted: the guestbook/,
    ],
    [
      [OUTAGE],
      other({ phases: { baseline: 1, window: 30_000, recovery: 1 } }),
      "no history",
      /30\.0 s, accepted: 60\.0 s/,
    ],
  ];
  for (const [accepted, present, change, because] of cases) {
    const comparison = compared(accepted, [present]);
    t.deepEqual(
      comparison.rows.map((each) => each.change),
      [change],
    );
    t.regex(comparison.rows[0]?.because.join(" ") ?? "", because);
    t.is(comparison.exitCode, 2);
  }
});

test("a row that was accepted and is not measured now is said, unless --only leaves it out", (t) => {
  const accepted = [OUTAGE, functionLost("kubelet")];
  const comparison = compared(accepted, [again(OUTAGE)]);
  t.deepEqual(
    comparison.rows.map(({ experiment, change }) => [experiment, change]),
    [
      ["kube-dns", "as accepted"],
      ["kubelet", "not measured"],
    ],
  );
  t.is(comparison.exitCode, 2);
  t.is(compared(accepted, [again(OUTAGE)], ["kube-dns"]).exitCode, 0);
});

test("worse wins over what cannot be compared; the lines say both, and the worst first", (t) => {
  const comparison = compared(
    [OUTAGE, functionLost("kubelet")],
    [again(OUTAGE, recovery(100_000)), functionLost("etcd")],
  );
  t.is(comparison.exitCode, 1);
  const lines = comparisonLines(comparison, "accepted", undefined);
  t.deepEqual(
    lines.slice(1).map((line) => /^[^.]*/.exec(line)?.[0]),
    [
      "kube-dns: worse",
      "etcd: no history",
      "kubelet: not measured",
      "Not accepted: 1 row got worse, and 2 rows could not be compared",
    ],
  );
});

test("the end says what the exit code says, and why there is no accepted matrix", (t) => {
  const last = (comparison: Comparison): string => comparisonLines(comparison, "x", undefined).at(-1) ?? "";
  t.regex(last(compared([OUTAGE], [again(OUTAGE)])), /^Accepted: no row is worse/);
  t.regex(
    last(compared([], [OUTAGE])),
    /has not passed\. If the present state is right, accept it: replace x by the present reports,/,
  );
  const missing = compared([OUTAGE], []);
  t.deepEqual(missing.rows[0]?.because, ["It is accepted, but has no present run."]);
  t.regex(last(missing), /has not passed\.$/);
  t.regex(last(compared([], [OUTAGE], ["y"])), /nothing to compare/);
  t.is(
    comparisonLines(compared([], [OUTAGE]), "x", "x does not exist")[1],
    "No accepted matrix: x does not exist.",
  );
});

test("another environment is said, also of a row that is as accepted", (t) => {
  const newer = changed(again(OUTAGE), {
    facts: { cluster: { ...OUTAGE.facts.cluster, version: "v1.34.0", nodes: [] } },
  });
  const comparison = compared([OUTAGE], [newer]);
  t.is(comparison.exitCode, 0);
  t.is(
    comparisonLines(comparison, "x", undefined)[1],
    "kube-dns: as accepted. Another environment: Kubernetes: v1.34.0, accepted: v1.33.1; Nodes: 0, accepted: 3.",
  );
  const substitute = again(OUTAGE, { onStandIn: true });
  t.deepEqual(row([OUTAGE], substitute).environment, ["on a substitute image: now"]);
});

test("impact-matrix.json is an accepted matrix; another file is not", (t) => {
  const matrix = matrixOf(OUTAGE, functionLost("kubelet"));
  const read = acceptedFromJson(matrixJson(matrix));
  if ("problem" in read) return t.fail(read.problem);
  const { rows } = compare(read.runs, comparedRuns(matrixOf(again(OUTAGE))), DEFAULT_TOLERANCE, ["kube-dns"]);
  t.deepEqual(
    rows.map(({ change }) => change),
    ["as accepted"],
  );
  for (const text of ["", "{", "[]", "{}", '{"schemaVersion":1,"groups":[{"main":{},"variants":[]}]}'])
    t.true("problem" in acceptedFromJson(text), text);
  t.deepEqual(acceptedFromJson("[]"), { problem: "it is not a matrix of this version" });
  t.deepEqual(acceptedFromJson("{}"), { problem: "it is not a matrix of this version (schemaVersion)" });
});
