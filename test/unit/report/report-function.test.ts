/** The report on the component's own function, on the fight and on what happened during the run. */
import test from "ava";
import { analyse, analysisOf } from "../../../src/analysis/analyse.js";
import type { InconclusiveReason, RunResult } from "../../../src/analysis/result.js";
import { FUNCTION_CHECKS, FUNCTION_CHECK_NAMES } from "../../../src/components/functions.js";
import type { RunEvent } from "../../../src/evidence/events.js";
import type { RunFacts } from "../../../src/evidence/facts.js";
import { reportMarkdown } from "../../../src/report/markdown.js";
import { functionAloneUnknown } from "../../../src/report/pick.js";
import { matrixRow } from "../../../src/report/row.js";
import { summaryLines } from "../../../src/report/summary.js";
import { timelineSvg } from "../../../src/report/timeline-svg.js";
import { eventLines, type EventLine } from "../../../src/ui/event-lines.js";
import * as own from "../../helpers/function-runs.js";
import * as runs from "../../helpers/synthetic-run.js";

const of = ({ facts, events, samples }: runs.SyntheticRun): RunResult => analyse(facts, events, samples);
const svgOf = (run: runs.SyntheticRun): string =>
  timelineSvg(of(run), run.events, analysisOf(run.facts, run.events, run.samples).series);
const withEvents = (run: runs.SyntheticRun, ...events: readonly RunEvent[]): runs.SyntheticRun => ({
  ...run,
  events: [...run.events, ...events],
});

/** A section of a report; undefined: it does not exist. */
function section(text: string, title: string): string | undefined {
  return text.split("\n## ").find((part) => part.startsWith(`${title}\n`));
}

test("row: the function, the attack and the nodes", (t) => {
  const row = matrixRow(of(own.kubelet()));
  t.is(row.component, "kubelet");
  t.is(row.experiment, "kubelet");
  t.deepEqual(row.attack, { type: "systemd-unit", everyMs: null });
  t.deepEqual(row.nodes, ["kind-worker"]);
  t.is(row.functionState, "lost");
  t.regex(row.functionBecause, /in none of 3/);
  t.is(row.functionBackMs, 3000);
  t.is(row.timesDown, 1);
  t.is(row.fight, 0);
  t.is(row.evidence, "node");
  t.is(
    row.behaviour.en,
    "App → DB writes continue (100 % succeed); pods can be neither started nor deleted (present in 0 of 3 checks).",
  );
  t.is(
    row.behaviour.ja,
    "アプリ → DB の書き込みは継続(成功率 100 %)。Podの起動も削除もできない(3 回中 0 回確認)。",
  );
  t.deepEqual(matrixRow(of(own.flappingUnit())).attack, { type: "systemd-unit", everyMs: 10_000 });
  const workload = matrixRow(of(runs.kubeDnsOutage()));
  t.is(workload.nodes, null);
  t.is(workload.fight, 2);
  t.is(workload.functionBackMs, null);
  t.is(matrixRow(of(runs.controlRun())).timesDown, null);
});

test("behaviour: kept, lost at times and inconclusive, each from the checks", (t) => {
  const run = own.kubelet();
  const behaviour = (...checks: readonly RunEvent[]): { en: string; ja: string } => {
    const events = run.events.filter(({ type }) => type !== "function");
    return matrixRow(analyse(run.facts, [...events, ...checks], run.samples)).behaviour;
  };
  const before = own.look(21_000, true);
  const kept = behaviour(before, own.look(40_000, true));
  t.regex(kept.en, /; starting and deleting pods still works \(present in 1 of 1 check\)\.$/);
  t.regex(kept.ja, /Podの起動と削除は引き続きできる\(1 回中 1 回確認\)/);
  const part = behaviour(before, own.look(40_000, true), own.look(50_000, false));
  t.regex(part.en, /pods can be neither started nor deleted at times \(present in 1 of 2 checks\)/);
  t.regex(part.ja, /Podの起動も削除もできないことがある\(2 回中 1 回確認\)/);
  const open = behaviour(before);
  t.is(
    open.en,
    "App → DB writes continue (100 % succeed); no statement on its own function (inconclusive).",
    "the application's result is still reported",
  );
  t.regex(open.ja, /書き込みは継続.*機能は判定不能/);
});

test("behaviour: items written during the outage arrived late, never, or some of each", (t) => {
  const run = own.logs();
  const behaviour = (...outcomes: readonly ("late" | "lost")[]): { en: string; ja: string } => {
    const events = run.events.filter(({ type }) => type !== "function-late");
    const later = outcomes.map((outcome, index) => own.late(103_000, index, outcome));
    return matrixRow(analyse(run.facts, [...events, ...later], run.samples)).behaviour;
  };
  t.regex(behaviour().en, /; logs are not forwarded \(present in 0 of 3 checks\)\.$/);
  t.regex(behaviour("late", "late").en, /; logs written meanwhile arrived late\.$/);
  t.regex(behaviour("late").ja, /その間のログは遅れて到着。$/);
  t.regex(behaviour("lost").en, /; logs written meanwhile were lost\.$/);
  t.regex(behaviour("lost").ja, /その間のログは失われた。$/);
  t.regex(behaviour("late", "lost", "lost").en, /; of the logs written meanwhile 1 arrived late, 2 never\.$/);
  t.regex(behaviour("late", "lost").ja, /1 件は遅れて到着、1 件は失われた。$/);
});

test("every function check has its own phrases in both languages", (t) => {
  const all = FUNCTION_CHECK_NAMES.flatMap((name) => {
    const { lost, kept } = FUNCTION_CHECKS[name];
    return [lost.en, lost.ja, kept.en, kept.ja];
  });
  t.true(all.every((text) => text.length > 5));
  t.is(new Set(all).size, all.length);
  for (const name of FUNCTION_CHECK_NAMES) t.regex(FUNCTION_CHECKS[name].lost.ja, /ない$/, name);
});

test("report: the checks by phase, the evidence, late and lost items", (t) => {
  const text = section(reportMarkdown(of(own.logs())), "The component's own function") ?? "";
  t.regex(text, /\*\*lost\*\*\. Checks of logs-arrive: present in 3 of 3 checks before/);
  t.regex(text, /A canary starts, and another one goes\. \(deadline: 20\.0 s\)\./);
  t.regex(text, /\| baseline \| 3 \| 3 \| 100 % \|/);
  t.regex(text, /\| window, once it was down \| 3 \| 0 \| 0 % \|/);
  t.regex(text, /\| after the release \| 2 \| 1 \| 50\.0 % \|/);
  t.regex(text, /Seen again 3\.0 s after the release\./);
  t.regex(text, /2 arrived late, after the recovery; 1 never arrived\./);
  t.regex(text, /- \+3\.9 s, absent: seen \\\| at 40000/);
  const disturbing = section(reportMarkdown(of(own.disturbing())), "The component's own function") ?? "";
  t.regex(disturbing, /\| before the baseline \| 1 \| 1 \|/);
  t.regex(disturbing, /\| after the window, still down \| 1 \| 0 \|/);
  t.notRegex(disturbing, /late/);
});

test("report: a component measured by the samples of a layer has no section of checks", (t) => {
  const text = reportMarkdown(of(runs.kubeDnsOutage()));
  t.is(section(text, "The component's own function"), undefined);
  t.is(section(text, "What happened meanwhile"), undefined);
  t.regex(text, /The component's own function: lost; dns-internal from kind-worker: 0 % good/);
});

test("report: a long story is cut", (t) => {
  const run = own.kubelet();
  const text = section(reportMarkdown(of(run)), "What happened meanwhile") ?? "";
  t.regex(text, /- \+41\.2 s: node kind-worker NotReady \(NodeStatusUnknown\)\n- \+41\.4 s: 0 of 1 address/);
  const many = Array.from({ length: 100 }, (_, index) =>
    own.appEndpoints(40_000 + index * 100, "frontend", index % 2),
  );
  const long = section(reportMarkdown(of(withEvents(run, ...many))), "What happened meanwhile") ?? "";
  t.is(long.match(/^- /gm)?.length, 60);
  t.regex(long, /… and 44 more lines in `result\.json`\./);
});

test("report: kills other than deletions, and how they were undone, are named with their node", (t) => {
  const text = reportMarkdown(of(own.kubelet()));
  const kept = section(text, "How it was kept down") ?? "";
  t.regex(kept, /- Kills: 1 \(1 SystemdUnit\)\. kubelet stopped on kind-worker\./);
  t.regex(kept, /Evidence: \*\*asked on the node\*\*\. The node kind-worker was asked 6 times/);
  t.regex(kept, /none of the answers said that it was running/);
  t.notRegex(kept, /deletion|Recreated/);
  t.regex(text, /\| SystemdUnit kubelet on kind-worker \| its unit started \| runner \|/);
  t.regex(text, /- Attacked on: kind-worker\./);
  t.regex(kept, /- Time to down: \*\*900 ms\*\* from the first kill\./);
  t.regex(
    kept,
    /without a serving instance for \*\*100 %\*\* of the 59\.0 s to the release \(serving: 0 ms\)/,
  );
  t.regex(text, /\| 900 ms \| 100 % \(asked on the node\) \|/);
  const deletions = section(reportMarkdown(of(runs.kubeDnsOutage())), "How it was kept down") ?? "";
  t.regex(deletions, /- Kills: 6 \(3 Deployment, 3 Pod\), all of them deletions; 1 more attempt/);
  const moved: RunEvent = runs.at(36_100, {
    type: "kill",
    object: { kind: "StaticPod", name: "etcd on kind-control-plane" },
    reason: "initial",
    action: "manifest-moved",
    status: 200,
    tookMs: 9,
  });
  const both = section(
    reportMarkdown(of(withEvents(runs.kubeDnsOutage(), moved, moved))),
    "How it was kept down",
  );
  t.regex(both ?? "", /6 of them deletions.*manifest of etcd moved away on kind-control-plane \(2 times\)\./);
});

test("report: a target that never went down has no time to down and no share", (t) => {
  const result = of(runs.targetNeverDown());
  const text = reportMarkdown(result);
  t.regex(text, /- Time to down: \*\*never\*\*\. It had a serving instance for all of the 59\.9 s/);
  t.regex(text, /\| never \| 0 % \(API only\) \|/);
  t.true(summaryLines(result, "report.md").some((line) => /^ {2}never down, 1 kill, evidence/.test(line)));
});

test("report: a companion is named, and its kill is not a kill of the target", (t) => {
  const scaled = runs.at(36_050, {
    type: "kill",
    object: { kind: "Deployment", namespace: "kube-system", name: "kube-dns-autoscaler" },
    reason: "initial",
    action: "scaled",
    status: 200,
    tookMs: 9,
  });
  const text = reportMarkdown(of(withEvents(runs.kubeDnsOutage(), scaled)));
  t.regex(
    text,
    /Companions scaled to 0 before the attack, because they would undo it: Deployment kube-system\/kube-dns-autoscaler\./,
  );
  t.regex(text, /Kills: 6 \(/);
});

test("report: flapping by how often it went down", (t) => {
  const text = reportMarkdown(of(own.flappingUnit()));
  t.regex(text, /- Flapping: taken down every 10\.0 s, it went down 6 times \(needed: 3\)\./);
  t.regex(text, /\| flapping: times down in the window, at least \| 3 \|/);
  t.notRegex(text, /down: share of the window/);
  t.regex(text, /kubelet stopped on kind-worker \(6 times\)\./);
});

test("report: the fight, cut after twenty rounds", (t) => {
  const text = section(reportMarkdown(of(runs.kubeDnsOutage())), "How it was kept down") ?? "";
  t.regex(
    text,
    /The workload was recreated 2 times\. It existed for at most 17 ms and served in none of them\./,
  );
  t.regex(text, /\| \+19\.9 s \| kubectl \| 17 ms \| no \|/);
  const many = Array.from({ length: 25 }, (_, index) =>
    runs.at(40_000 + index * 100, {
      type: "recreated",
      object: { ...runs.DEPLOYMENT, uid: `more-${index}` },
      by: "kubectl",
    }),
  );
  const long = section(reportMarkdown(of(withEvents(runs.kubeDnsOutage(), ...many))), "How it was kept down");
  t.is((long ?? "").match(/^\| \+/gm)?.length, 20);
  t.regex(long ?? "", /… and 7 more in `result\.json`\./);
  const quiet = own.logs();
  t.notRegex(reportMarkdown(of(quiet)), /was recreated/);
});

test("only the function is unknown: exactly if that is the only reason", (t) => {
  const reason = (code: InconclusiveReason): RunResult["reasons"][number] => ({ code, message: "" });
  t.true(functionAloneUnknown({ reasons: [reason("function-not-measured")] }));
  t.false(functionAloneUnknown({ reasons: [reason("function-not-measured"), reason("no-samples")] }));
  t.false(functionAloneUnknown({ reasons: [] }));
});

test("report: if only the function is unknown, the reason and the figures are shown", (t) => {
  const run = own.kubelet();
  const events = run.events.filter(({ type }) => type !== "function");
  const text = reportMarkdown(analyse(run.facts, events, run.samples));
  t.regex(text, /`function-not-measured`: The application was fine/);
  t.regex(text, /The component's own function: inconclusive; node-runs-pods: not checked before/);
  t.regex(text, /confirmed \/ inconclusive/);
});

test("summary: the function, and for a flapping target how often it went down", (t) => {
  const lines = summaryLines(of(own.kubelet()), "report.md");
  t.true(lines.some((line) => /own function: lost\. Checks of node-runs-pods/.test(line)));
  t.true(
    lines.some((line) =>
      /down after 900 ms, kept down: 100 % of 59\.0 s, 1 kill, evidence: asked on the node/.test(line),
    ),
  );
  const flapping = summaryLines(of(own.flappingUnit()), "report.md");
  t.true(flapping.some((line) => /went down 6 times, 6 kills/.test(line)));
  const fight = summaryLines(of(runs.kubeDnsOutage()), "report.md");
  t.true(fight.some((line) => /6 kills, recreated 2 times, evidence: runtime/.test(line)));
  const { facts, events, samples } = runs.kubeDnsOutage();
  const without = summaryLines(analyse({ ...facts, functionProbes: [] }, events, samples), "report.md");
  t.false(without.some((line) => line.includes("own function:")));
});

/** The path of the function's lane in one colour: its marks. */
const marks = (svg: string, colour: string, width: number, y: number): number =>
  [...svg.matchAll(/<path d="([^"]*)" stroke="([^"]*)" stroke-width="([^"]*)"/g)]
    .filter((match) => match[2] === colour && match[3] === String(width) && match[1]?.includes(` ${y}h`))
    .reduce((sum, match) => sum + (match[1]?.match(/M/g)?.length ?? 0), 0);

test("picture: a lane of checks, present and absent in different shapes, with the share in the window", (t) => {
  const svg = svgOf(own.kubelet());
  // The third lane: y = 86 + 2 × 20.
  t.is(marks(svg, "#0072B2", 3, 126 + 9.5), 4);
  t.is(marks(svg, "#D55E00", 10, 126 + 6), 4);
  t.regex(svg, />function<.*\n?.*>node-runs-pods</);
  t.regex(svg, /font-weight="bold">0 of 3</);
  t.regex(svg, />nodes not Ready</);
  t.regex(svg, />node not Ready</, "in the legend");
  t.notRegex(svg, /database pod replaced/);
  t.regex(svg, />nodes that run the target</);
  t.regex(svg, /seconds since the first kill/);
});

test("picture: the phase for disruptive checks has a band, and the churn has a mark", (t) => {
  t.regex(svgOf(own.disturbing()), /text-anchor="middle"[^>]*>function</);
  t.notRegex(svgOf(own.kubelet()), /text-anchor="middle"[^>]*>function</);
  const churn = runs.at(56_000, {
    type: "churn",
    object: { kind: "Deployment", name: "redis-leader" },
    rehearsal: false,
    ok: true,
    tookMs: 100,
    detail: "",
  });
  t.regex(svgOf(withEvents(own.logs(), churn)), />database pod replaced</);
});

test("picture: without checks, nodes and churn there is no further lane, and deletions are labelled as such", (t) => {
  const svg = svgOf(runs.kubeDnsOutage());
  t.notRegex(svg, />function<|nodes not Ready|first kill/);
  t.regex(svg, /seconds since the first deletion/);
  t.regex(svg, />deletion</);
});

test("live lines: only changes of checks and of nodes are shown", (t) => {
  const line = eventLines();
  const text = (event: RunEvent): string | undefined => line(event)?.text;
  t.is(text(own.look(1, true)), undefined);
  t.is(text(own.look(2, true)), undefined);
  t.is(text(own.look(3, false)), "the component's own function does not work (node-runs-pods): seen | at 3");
  t.is(text(own.look(4, false)), undefined);
  t.is(text(own.look(5, true)), "the component's own function works again (node-runs-pods): seen | at 5");
  t.is(text(own.nodeReady(1, "n1", "True")), undefined);
  t.is(
    text(own.nodeReady(2, "n1", "Unknown", "NodeStatusUnknown")),
    "node n1 is NotReady (NodeStatusUnknown)",
  );
  t.is(text(own.nodeReady(3, "n1", "Unknown")), undefined);
  t.is(text(own.nodeReady(4, "n2", "True")), undefined);
  t.is(text(own.nodeReady(5, "n1", "True")), "node n1 is Ready again");
  t.is(text(own.unit(6, "n1", false)), undefined);
  t.is(text(own.appEndpoints(6, "frontend", 3)), undefined);
});

test("live lines: a new run starts with a clean state, and two instances are independent", (t) => {
  const line = eventLines();
  t.truthy(line(own.look(1, false)));
  t.is(line(own.look(2, false)), undefined);
  t.truthy(eventLines()(own.look(3, false)));
  t.is(line(runs.at(4, { type: "phase", phase: "preflight", state: "start" })), undefined);
  t.truthy(line(own.look(5, false)));
  t.is(line({ type: "made-up", tMs: 6 } as unknown as RunEvent), undefined);
});

test("live lines: the churn, and a harmful rehearsal", (t) => {
  const line = eventLines();
  const churn = (rehearsal: boolean, ok: boolean): EventLine | undefined =>
    line(
      runs.at(1, {
        type: "churn",
        object: { kind: "Deployment", name: "redis-leader" },
        rehearsal,
        ok,
        tookMs: 1,
        detail: "pod r-2",
      }),
    );
  t.deepEqual(churn(false, true), {
    level: "info",
    text: "Deployment redis-leader: pod replaced: pod r-2",
  });
  t.deepEqual(churn(true, false), {
    level: "warn",
    text: "Deployment redis-leader: pod not replaced (rehearsal): pod r-2",
  });
});

test("an older run's facts lack newer fields: its report is still written", (t) => {
  const run = runs.kubeDnsOutage();
  const { functionProbe, ...old } = run.facts;
  t.is(functionProbe, null);
  const facts = { ...old, schemaVersion: 1 } as RunFacts;
  const result = analyse(facts, run.events, run.samples);
  t.is(result.schemaVersion, 2);
  t.is(reportMarkdown(result), reportMarkdown(of(run)));
});
