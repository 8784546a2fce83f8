import test from "ava";
import { analyse, analysisOf } from "../../../src/analysis/analyse.js";
import { INCONCLUSIVE_REASONS, type RunResult } from "../../../src/analysis/result.js";
import type { Point } from "../../../src/analysis/series.js";
import { eventsOf, eventsToNdjson, samplesOf, samplesToNdjson } from "../../../src/evidence/serialise.js";
import type { SampleLine } from "../../../src/evidence/sample.js";
import { cell } from "../../../src/report/markdown-text.js";
import { reportMarkdown } from "../../../src/report/markdown.js";
import { REASONS_JA } from "../../../src/report/matrix-words.js";
import { resultFromJson } from "../../../src/report/matrix-read.js";
import { resultJson } from "../../../src/report/result-json.js";
import { matrixRow } from "../../../src/report/row.js";
import { summaryLines } from "../../../src/report/summary.js";
import { classify, runs as stretches } from "../../../src/report/timeline-bins.js";
import { timelineSvg } from "../../../src/report/timeline-svg.js";
import * as own from "../../helpers/function-runs.js";
import * as runs from "../../helpers/synthetic-run.js";

/** The prober on one worker, and the runner, were late for two seconds each. */
function lateRun(): runs.SyntheticRun {
  const run = runs.kubeDnsOutage();
  const line = (source: string): SampleLine => ({
    own: "late",
    t: runs.FIRST_KILL_MS + 20_000 - (runs.OFFSETS[source] ?? 0),
    d: 2_000,
    late: 1_900,
  });
  const busy: SampleLine = { own: "cpu", t: runs.FIRST_KILL_MS, d: 5_000, steal: 0.1, pressure: 0.5 };
  const samples = run.samples.map(({ source, lines }) => ({
    source,
    lines:
      source === "kind-worker2" ? lines : [...lines, line(source), ...(source === "runner" ? [busy] : [])],
  }));
  return { ...run, samples };
}

const ALL: Readonly<Record<string, runs.SyntheticRun>> = {
  "kube-dns outage": runs.kubeDnsOutage(),
  control: runs.controlRun(),
  "target never down": runs.targetNeverDown(),
  "unhealthy baseline": runs.baselineUnhealthy(),
  interrupted: runs.interruptedRun(),
  aborted: runs.abortedRun(),
  "not restored": runs.notRestored(),
  flapping: runs.flapping(0.4),
  "one of three front ends cut": runs.threeFrontEnds([
    { probe: "app-write", fromMs: 45_000, toMs: 75_000, target: runs.FRONT_ENDS[0] },
  ]),
  "function lost": runs.functionLostRun(),
  kubelet: own.kubelet(),
  "logs late and lost": own.logs(),
  "disruptive checks": own.disturbing(),
  "flapping unit": own.flappingUnit(),
  "late prober": lateRun(),
  "function not measured": {
    ...own.kubelet(),
    facts: { ...own.kubelet().facts, functionProbe: own.functionProbe("api-stores") },
  },
  empty: { facts: runs.defaultFacts, events: [], samples: [] },
};
const of = ({ facts, events, samples }: runs.SyntheticRun): RunResult => analyse(facts, events, samples);
const svgOf = (run: runs.SyntheticRun): string =>
  timelineSvg(of(run), run.events, analysisOf(run.facts, run.events, run.samples).series);

test("picture: sources that differ at the end of their names stay distinct", (t) => {
  const run = runs.kubeDnsOutage();
  const zone = "ip-10-0-123-45.eu-central-1.compute.internal";
  const renamed = (source: string): string => source.replace("kind-", `${zone}-`);
  const samples = run.samples.map((each) => ({ ...each, source: renamed(each.source) }));
  const events = run.events.map((event) =>
    event.type === "clock" ? { ...event, source: renamed(event.source) } : event,
  );
  const facts = { ...run.facts, sources: run.facts.sources.map(renamed) };
  const svg = svgOf({ facts, events, samples });
  const sources = new Set([...svg.matchAll(/>(…[^<]*)</g)].map((match) => match[1] ?? ""));
  t.is(sources.size, runs.WORKERS.length);
  for (const worker of runs.WORKERS) {
    const shown = [...sources].filter((source) => source.endsWith(worker.replace("kind-", "-")));
    t.is(shown.length, 1, worker);
    t.true(renamed(worker).endsWith((shown[0] ?? "").slice(1)));
    t.true((shown[0] ?? "").length <= Math.floor(96 / 5.8));
  }
  t.regex(svgOf(run), />kind-worker</, "a name that fits is not cut");
});

/** Cells of a table's line; an escaped pipe ends none. */
const cells = (line: string): string[] => line.split(/(?<!\\)\|/).slice(1, -1);

for (const [name, run] of Object.entries(ALL)) {
  test(`report of: ${name}: no missing values, every table complete`, (t) => {
    const text = reportMarkdown(of(run));
    t.notRegex(text, /undefined|NaN|null|Infinity|\[object/);
    const lines = text.split("\n");
    lines.forEach((line, index) => {
      if (!line.startsWith("|") || !lines[index - 1]?.startsWith("|")) return;
      t.is(cells(line).length, cells(lines[index - 1] ?? "").length, line);
    });
    t.regex(text, /!\[[^\]]+\]\(timeline\.svg\)/);
  });

  test(`picture of: ${name}: small, well-formed, no missing values`, (t) => {
    const svg = svgOf(run);
    t.notRegex(svg, /undefined|NaN|null|Infinity/);
    t.true(svg.length < 150_000, `${svg.length} characters`);
    const opened = svg.match(/<[a-z]+(\s[^>]*[^/])?>/g)?.length;
    t.truthy(opened);
    t.is(opened, svg.match(/<\/[a-z]+>/g)?.length);
    t.notRegex(svg, /&(?!amp;|lt;|gt;|quot;)/);
    t.notRegex(svg, /(href|url\(|@import|<script)/);
  });
}

test("a late prober is named in the report, and marked in the picture", (t) => {
  const run = lateRun();
  t.regex(
    reportMarkdown(of(run)),
    /\n1 of 2 probers was late \(kind-worker for 2\.0+ s\): what .* counts for nothing\. The runner was late for 2\.0+ s\. Tasks waited for a CPU for up to 50\.0 % of the time\. The hypervisor gave up to 10\.0 % of the CPUs' time to other machines\.\n/,
  );
  const marked = (svg: string): number => svg.match(/fill-opacity="0.3"/g)?.length ?? 0;
  const rows = of(run).probes.filter(({ source }) => source !== "kind-worker2").length;
  t.is(marked(svgOf(run)), rows + 2, "each row of the source, the attack's lane for the runner, the legend");
  t.regex(svgOf(run), />measuring stalled: not counted</);
  t.is(marked(svgOf(runs.kubeDnsOutage())), 0);
  t.notRegex(reportMarkdown(of(runs.kubeDnsOutage())), /late/);
});

test("the row: what was measured, the worst worker", (t) => {
  const row = matrixRow(of(runs.kubeDnsOutage()));
  t.is(row.name, "kube-dns");
  t.is(row.object, "Deployment kube-system/coredns");
  t.is(row.count, 2);
  t.is(row.severity, "outage");
  t.is(row.writeAvailability, 0);
  t.is(row.timeToDownMs, 500);
  t.is(row.timeToImpactMs, 650);
  t.is(row.longestOutageMs, 64_757);
  t.is(row.recoveryMs, 7500);
  t.is(row.evidence, "runtime");
  t.is(
    row.behaviour.en,
    "App → DB is unreachable for 64.8 s (0 % of writes succeed from kind-worker) from 650 ms after the first kill; " +
      "its own function is lost (dns-internal: 0 %).",
  );
  t.regex(row.behaviour.ja, /書き込みが到達不能 64\.8 s.*成功率 0 %.*650 ms/);
});

test("reads alone fail: the behaviour says so, with the share of reads", (t) => {
  const run = runs.threeFrontEnds([{ probe: "app-read", fromMs: 45_000, toMs: 75_000 }], { shiftMs: 125 });
  const report = reportMarkdown(analysisOf(run.facts, run.events, run.samples).result);
  t.regex(report, /\*\*unreachable\*\* for 30\.\d s \(reads\)/);
  t.regex(report, /app → DB is unreachable for 30\.\d s \(reads\) \(50\.0 % of reads succeed from/);
});

test("one of three front ends cut: intermittent everywhere, an outage nowhere", (t) => {
  const [target] = runs.FRONT_ENDS;
  const failing = (["app-write", "app-read"] as const).map((probe) => {
    return { probe, fromMs: 45_000, toMs: 75_000, target };
  });
  const run = runs.threeFrontEnds(failing, { shiftMs: 125 });
  const { result, series } = analysisOf(run.facts, run.events, run.samples);
  const report = reportMarkdown(result);
  t.regex(
    report,
    /Seen by a client in the window: \*\*intermittent\*\*, 33\.\d % of writes failed for \d+\.\d s, 1 of 3 front ends \(frontend-a\)\./,
  );
  t.regex(
    report,
    /app → DB is intermittent, 33\.\d % of writes failed for .* \(\d+\.\d % of writes succeed from/,
  );
  t.regex(report, /\| none \(intermittent: (29|30)\.\d s\) \|/);
  t.notRegex(report.split("## What the words mean")[0] ?? "", /\boutages?\b(?!: write| \|)/);
  t.true(
    summaryLines(result, "r").some((line) =>
      /^ {2}client: intermittent, 1 of 3 front ends, \d+\.\d s$/.test(line),
    ),
  );
  t.regex(
    matrixRow(result).behaviour.ja,
    /断続的に失敗、.* にわたり書き込みの 33\.\d % が失敗、フロントエンド 3 中 1 \(frontend-a\)/,
  );
  t.regex(timelineSvg(result, run.events, series), /stroke-width="1\.3" stroke-dasharray="3 2"/);
});

test("a result of a version without classes of the client is still shown", (t) => {
  const { client, probes, ...rest } = of(runs.kubeDnsOutage());
  t.is(client?.class, "unreachable");
  const older = {
    ...rest,
    probes: probes.map(({ intermittent, totalIntermittentMs, ...probe }) => {
      t.deepEqual([intermittent, totalIntermittentMs], [[], 0]);
      return probe;
    }),
  };
  t.is(
    matrixRow(older).behaviour.en,
    "App → DB writes fail (0 % succeed from kind-worker) from 650 ms after the first kill; " +
      "its own function is lost (dns-internal: 0 %).",
  );
  t.notRegex(reportMarkdown(older), /Seen by a client in/);
  t.true("result" in resultFromJson(resultJson(older)));
});

test("the behaviour comes from measurements: another measurement gives another sentence", (t) => {
  const run = runs.kubeDnsOutage();
  const fine = matrixRow(analyse(run.facts, run.events, runs.samplesOf({})));
  t.is(
    fine.behaviour.en,
    "App → DB writes continue (100 % succeed); its own function continues (dns-internal: 100 %).",
  );
  t.is(fine.verdict, "differs");
  t.is(matrixRow(of(runs.targetNeverDown())).behaviour.en, "No statement: inconclusive (target-not-down).");
});

test("a substitute image is named in the verdict and in the row", (t) => {
  const text = reportMarkdown(of(runs.functionLostRun()));
  t.regex(text, /Verdict: \*\*as expected \(on a substitute image\)\*\*/);
  t.regex(text, /function lost \(on a substitute image\)/);
  t.notRegex(reportMarkdown(of(runs.kubeDnsOutage())), /on a substitute image/);
});

test("API-only evidence is named", (t) => {
  const run = runs.kubeDnsOutage();
  const events = run.events.filter(({ type }) => type !== "runtime");
  const text = reportMarkdown(analyse(run.facts, events, run.samples));
  t.regex(text, /Evidence: \*\*API only\*\*/);
  t.regex(text, /100 % \(API only\)/);
});

test("aborted: the report says why, and shows the measurements up to then", (t) => {
  const report = reportMarkdown(of(runs.abortedRun()));
  t.regex(
    report,
    /^Verdict: \*\*inconclusive\*\*\. Nothing can be concluded: .*has failed for 19\.2 s\. Everything that was/m,
  );
  t.regex(report, /^- `aborted`: app-write from kind-worker has failed for 19\.2 s\.$/m);
  t.regex(report, /3\.7 % \(worst worker: kind-worker\)/);
});

test("every reason has a Japanese text", (t) => {
  t.deepEqual(Object.keys(REASONS_JA).sort(), [...INCONCLUSIVE_REASONS].sort());
  for (const [code, words] of Object.entries(REASONS_JA)) t.regex(words, /[ぁ-ん]/, code);
});

test("cells cannot break a table", (t) => {
  t.is(cell("a | b\n c\\ <d>"), "a \\| b c\\\\ &lt;d>");
});

test("ndjson: reading what was written gives the same data", async (t) => {
  const run = runs.kubeDnsOutage();
  const events = await eventsOf(eventsToNdjson(run.events).split("\n"));
  t.deepEqual(events, { value: [...run.events], notes: [] });
  const samples = [];
  for (const raw of run.samples) {
    const read = await samplesOf(samplesToNdjson(raw).split("\n"), raw.source);
    t.deepEqual(read.notes, []);
    t.deepEqual([...read.value.lines], [...raw.lines]);
    samples.push(read.value);
  }
  t.is(resultJson(analyse(run.facts, events.value, samples)), resultJson(of(run)));
});

test("ndjson: a torn last line is ignored and reported", async (t) => {
  const whole = eventsToNdjson(runs.kubeDnsOutage().events.slice(0, 3));
  const { value, notes } = await eventsOf(whole.slice(0, -5).split("\n"));
  t.is(value.length, 2);
  t.deepEqual(notes, ["events.ndjson: the last line is incomplete and was skipped."]);
});

test("ndjson: unreadable lines are reported with their numbers, and the rest is read", async (t) => {
  const text = [
    '{"boot":"b","t":1,"wall":1,"node":"n"}',
    '{"probe":"app-write","t":2,"d":1,"o{"boot":"c","t":0,"wall":2,"node":"n"}',
    '{"probe":"made-up","t":3,"d":1,"ok":true}',
    '{"probe":"app-write","t":"4","d":1,"ok":true}',
    '{"probe":"app-write","t":5,"missed":"late"}',
    "",
  ].join("\n");
  const { value, notes } = await samplesOf(text.split("\n"), "n");
  t.is([...value.lines].length, 2);
  t.is(notes.length, 1);
  t.regex(notes[0] ?? "", /samples\/n\.ndjson\.gz: 3 of 5 lines .* \(line 2, 3, 4\)/);
});

test("notes from reading become warnings of the result", (t) => {
  const run = runs.kubeDnsOutage();
  t.deepEqual(analyse(run.facts, run.events, run.samples, ["torn"]).warnings, ["torn"]);
});

test("result.json is stable and reads back as the result", (t) => {
  const result = of(runs.kubeDnsOutage());
  const text = resultJson(result);
  t.true(text.endsWith("}\n"));
  t.is(resultJson(JSON.parse(text) as RunResult), text);
});

test("columns: a failed sample is never hidden, and gaps stay empty", (t) => {
  const point = (tMs: number, outcome: Point["outcome"]): Point => ({ tMs, durationMs: 1, outcome });
  const points = [
    ...Array.from({ length: 100 }, (_, index) => point(index * 10, index === 57 ? "failed" : "good")),
    point(2000, "good"),
  ];
  const classes = classify(points, { fromMs: 0, toMs: 4000 }, 40);
  t.deepEqual(stretches(classes, "failed"), [{ from: 5, length: 1 }]);
  t.deepEqual(stretches(classes, "good"), [
    { from: 0, length: 5 },
    { from: 6, length: 5 },
    { from: 20, length: 1 },
  ]);
});

test("the picture stays small with many samples that flap quickly", (t) => {
  const run = runs.kubeDnsOutage();
  const source = "kind-worker";
  const names = ["app-write", "app-read", "dns-internal", "tcp-service", "tcp-pod", "http-service"] as const;
  const lines = names.flatMap((probe) =>
    Array.from({ length: 1600 }, (_, index) => {
      const t = 20_000 + index * 50 - (runs.OFFSETS[source] ?? 0);
      return Math.floor(index / 5) % 2 === 0
        ? ({ probe, t, d: 1, ok: true } as const)
        : ({ probe, t, d: 1, ok: false, kind: "refused" } as const);
    }),
  );
  const boot = { boot: "boot-1", t: 0, wall: 0, node: source };
  const samples = [{ source, lines: [boot, ...lines] }];
  const events = [
    ...run.events,
    ...Array.from({ length: 6000 }, (_, index) => runs.kill(37_000 + index * 9, runs.pod(`p${index}`))),
  ];
  const svg = timelineSvg(
    analyse(run.facts, events, samples),
    events,
    analysisOf(run.facts, events, samples).series,
  );
  t.true(svg.length < 150_000, `${svg.length} characters`);
});

test("what noise explains is affected nowhere in the report, and its rule is stated", (t) => {
  const { facts, events } = runs.controlRun();
  const failing = [45_000, 60_000, 80_000].map((fromMs) => ({
    probe: "app-write" as const,
    source: "kind-worker",
    fromMs,
    toMs: fromMs + 250,
  }));
  const result = analyse(facts, events, runs.samplesOf({ failing }));
  const { availability } = result.probes[0]?.phases.window ?? {};
  t.true((availability ?? 1) < facts.experiment.thresholds.degradedBelow, String(availability));
  t.is(result.severity, "none");
  const text = reportMarkdown(result);
  t.notRegex(text, /partly fail|Affected in the window/);
  t.regex(text, /Not affected: app-write \(98\.7 %\)/);
  t.regex(text, /3 or more failures, and so many by chance at most once in \| +2000 runs/);
});
