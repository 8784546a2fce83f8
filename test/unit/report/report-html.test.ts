/** report.html: everything that is foreign is text, every sample that matters is in it, and it stays small. */
import { createHash } from "node:crypto";
import { inflateRawSync } from "node:zlib";
import test from "ava";
import { analysisOf } from "../../../src/analysis/analyse.js";
import type { ReportInput } from "../../../src/report/report-input.js";
import { pageAssets } from "../../../src/report/html/assets.js";
import { type PageData, type Packed, STATES, unpacked } from "../../../src/report/html/data.js";
import { LaneView, troubles } from "../../../src/report/html/lane-view.js";
import { reportPage, rerunCommand } from "../../../src/report/html/report.js";
import { eventLanes, timelineOf } from "../../../src/report/timeline-model.js";
import * as own from "../../helpers/function-runs.js";
import { manySamples } from "../../helpers/many-samples.js";
import * as runs from "../../helpers/synthetic-run.js";

const inputOf = ({ facts, events, samples }: runs.SyntheticRun): ReportInput => ({
  ...analysisOf(facts, events, samples),
  events,
});
const NO_ASSETS = { style: "", script: "" };
const page = (run: runs.SyntheticRun): string => reportPage(inputOf(run), NO_ASSETS);

function dataIn(html: string): PageData {
  const [, base64 = ""] = /id="data">([^<]*)</.exec(html) ?? [];
  return unpacked(JSON.parse(inflateRawSync(Buffer.from(base64, "base64")).toString("utf8")) as Packed);
}

const ALL: Readonly<Record<string, runs.SyntheticRun>> = {
  outage: runs.kubeDnsOutage(),
  control: runs.controlRun(),
  intermittent: runs.threeFrontEnds([
    { probe: "app-write", fromMs: 45_000, toMs: 75_000, target: runs.FRONT_ENDS[0] },
  ]),
  interrupted: runs.interruptedRun(),
  "not restored": runs.notRestored(),
  flapping: runs.flapping(0.4),
  kubelet: own.kubelet(),
  empty: { facts: runs.defaultFacts, events: [], samples: [] },
};

for (const [name, run] of Object.entries(ALL)) {
  test(`${name}: one complete document with the verdict and no request`, (t) => {
    const html = page(run);
    const { result } = inputOf(run);
    t.true(html.startsWith("<!doctype html>"));
    t.true(html.trimEnd().endsWith("</html>"));
    t.true(html.includes(result.verdict));
    // The name of the SVG namespace is no request.
    t.notRegex(
      html.replaceAll('xmlns="http://www.w3.org/2000/svg"', ""),
      /\s(src|href|action)="?(https?:)?\/\//,
    );
    t.false(/<(iframe|object|embed|base|form)\b/.test(html));
    t.is(html, page(run), "the same result gives the same page");
  });
}

const HOSTILE = [
  "</script><script>alert(1)</script>",
  '"><img src=x onerror=alert(1)>',
  "' onmouseover='alert(1)",
  "<!--",
  "]]>",
  "\u2028\u2029",
  "javascript:alert(1)",
  "`${alert(1)}`",
  "**|`<b>`|**\n\n| a | b |",
  "&lt;script&gt;",
];

/** A run in which everything that comes from a cluster or a file is hostile. */
function hostile(text: string): runs.SyntheticRun {
  const run = runs.kubeDnsOutage();
  const ref = { kind: text, namespace: text, name: text, uid: "h" };
  const { facts } = run;
  return {
    facts: {
      ...facts,
      experiment: { ...facts.experiment, title: text, file: text },
      cluster: { ...facts.cluster, context: text, version: text },
      notMeasured: [{ probe: "dns-external", reason: text }],
      ...(facts.target === undefined
        ? {}
        : { target: { ...facts.target, images: [text], ownerChain: [text], services: [ref] } }),
    },
    events: [
      ...run.events,
      runs.at(40_000, { type: "kill", object: ref, reason: "recreated", status: 200, tookMs: 1 }),
      runs.at(41_000, { type: "recreated", object: ref, by: text }),
      runs.at(42_000, { type: "restored", object: ref, how: "created", by: text }),
      runs.at(43_000, { type: "warning", text }),
      runs.at(44_000, { type: "check", name: text, ok: true, detail: text }),
      runs.at(45_000, {
        type: "instance",
        object: ref,
        podPhase: text,
        ready: false,
        terminating: false,
        node: text,
      }),
    ],
    samples: run.samples.map(({ source, lines }) => ({
      source,
      lines: lines.map((line) =>
        "probe" in line && "ok" in line
          ? { ...line, target: text, ...(line.ok ? {} : { message: text }) }
          : line,
      ),
    })),
  };
}

for (const text of HOSTILE) {
  test(`foreign text stays text: ${JSON.stringify(text)}`, (t) => {
    const benign = page(hostile("benign"));
    const html = page(hostile(text));
    const tags = (source: string, tag: string): number => source.split(new RegExp(`<${tag}\\b`)).length;
    for (const tag of ["script", "img", "b", "style", "link", "meta", "svg"])
      t.is(tags(html, tag), tags(benign, tag), tag);
    t.false(/<[^>]*\son\w+=/i.test(html), "no handler in an element");
    t.true(dataIn(html).messages.includes(text), "the page has the message as it is");
    t.true(dataIn(html).targets.includes(text));
  });
}

test("the policy allows the page's own style and script alone", (t) => {
  const html = reportPage(inputOf(runs.controlRun()), { style: "p{color:red}", script: "let a = 1;" });
  const hash = (text: string): string => createHash("sha256").update(text).digest("base64");
  const [, policy = ""] = /Content-Security-Policy" content="([^"]*)"/.exec(html) ?? [];
  t.deepEqual(policy.replaceAll("&#39;", "'").split("; "), [
    "default-src 'none'",
    `style-src 'sha256-${hash("p{color:red}")}'`,
    `script-src 'sha256-${hash("let a = 1;")}'`,
    "base-uri 'none'",
    "form-action 'none'",
    "img-src data:",
  ]);
  t.true(html.includes("<style>p{color:red}</style>") && html.includes("<script>let a = 1;</script>"));
  t.false(/\sstyle="/.test(html), "the policy forbids styles in attributes");
});

test("the packed samples are the samples", (t) => {
  const run = runs.kubeDnsOutage();
  const { series } = inputOf(run);
  const data = dataIn(page(run));
  t.is(data.lanes.length, series.length);
  for (const lane of data.lanes) {
    const points =
      series.find(({ probe, source }) => probe === lane.probe && source === lane.source)?.points ?? [];
    t.deepEqual(
      lane.tMs,
      points.map(({ tMs }) => Math.round(tMs)),
    );
    t.deepEqual(
      lane.state.map((state) => STATES[state]),
      points.map(({ outcome, kind, disturbed, durationMs }) =>
        outcome === "failed"
          ? (kind ?? "other")
          : outcome === "missed"
            ? "missed"
            : disturbed === true
              ? "late"
              : durationMs >= 100
                ? "slow"
                : "good",
      ),
    );
    t.true(
      points.every(
        ({ durationMs }, index) => Math.abs((lane.dMs[index] ?? 0) - durationMs) <= durationMs / 199,
      ),
    );
    t.deepEqual(
      lane.target?.map((position) => data.targets[position]),
      points.some(({ target }) => target !== undefined) ? points.map(({ target }) => target) : undefined,
    );
  }
});

test("100,000 samples: under 300 kB, good ones binned, every failed one as it is", async (t) => {
  const run = manySamples(100_000);
  const input = inputOf(run);
  const html = reportPage(input, await pageAssets());
  t.true(html.length < 300_000, `${html.length} bytes`);
  t.true(/good ones are binned by [\d.]+ m?s/.test(html));
  const data = dataIn(html);
  const all = input.series.flatMap(({ points }) => points);
  const failedIn = data.lanes.flatMap((lane) =>
    lane.state.filter((state) => STATES.indexOf("missed") < state),
  );
  t.is(failedIn.length, all.filter(({ outcome }) => outcome === "failed").length);
  const counted = data.lanes.reduce(
    (sum, { state, count }) => sum + state.reduce((each, _, index) => each + (count?.[index] ?? 1), 0),
    0,
  );
  t.is(counted, all.length, "no sample is lost");
  const [lane] = data.lanes.filter(({ count }) => count !== undefined);
  const view = lane === undefined ? undefined : new LaneView(lane);
  t.regex(
    view?.describe(0, data).join("\n") ?? "",
    /^−.* s\n\d+ good samples from here on, binned in this file: median /,
  );
});

test("a run of a few minutes: every sample is in the page, and it says so", (t) => {
  const html = page(manySamples(15_000));
  t.true(/\d+ samples of 60 lanes: every sample is in this page\./.test(html));
  t.true(dataIn(html).lanes.every(({ count }) => count === undefined));
});

test("a lane in words: one sample, and many together", (t) => {
  const data = dataIn(page(runs.kubeDnsOutage()));
  const lane = data.lanes.find(({ probe, source }) => probe === "app-write" && source === "kind-worker");
  if (lane === undefined) return t.fail();
  const view = new LaneView(lane);
  const whole = { fromMs: data.fromMs, toMs: data.toMs };
  t.false(view.isRaw(whole, 400));
  t.true(view.isRaw({ fromMs: 50_000, toMs: 52_000 }, 400));
  t.is(view.columns(whole, 100).length, 100);
  const first = view.trouble(-1, 1);
  const [time, outcome, ...more] = view.describe(first, data);
  t.regex(time ?? "", /^\+\d+\.\d{3} s$/);
  t.regex(outcome ?? "", /^failed: \S+ after /);
  t.deepEqual(more, ["“synthetic”"]);
  t.regex(view.summarise({ fromMs: 60_000, toMs: 61_000 }, data).join("\n"), /4 samples: 4 failed \(4 /);
  t.is(view.trouble(first, -1), -1);
  const listed = troubles([view], whole, 3);
  t.deepEqual(
    listed.map(({ index }) => index),
    [first, first + 1, first + 2],
  );
});

test("what happened beneath: kills, restorers, instances, checks", (t) => {
  const { result, events, series } = inputOf(runs.kubeDnsOutage());
  const lanes = eventLanes(timelineOf(result, events, series));
  const marks = (label: string): string[] =>
    lanes.find((lane) => lane.label === label)?.marks.map(({ text }) => text) ?? [];
  t.true(marks("kills").some((text) => text.endsWith("deleted")));
  t.true(marks("restorers").length > 0);
  t.true(marks("endpoints of the target").some((text) => /endpoints? ready/.test(text)));
  const kubelet = inputOf(own.kubelet());
  const checks = eventLanes(timelineOf(kubelet.result, kubelet.events, kubelet.series)).find(({ label }) =>
    label.startsWith("function: "),
  );
  t.deepEqual([...new Set(checks?.marks.map(({ shape }) => shape))].sort(), ["absent", "present"]);
});

test("the command that runs it again is a word-safe line", (t) => {
  const { facts } = runs.kubeDnsOutage();
  t.is(
    rerunCommand({
      ...facts,
      cluster: { ...facts.cluster, provider: "lab" },
      experiment: { ...facts.experiment, file: "a b.yaml" },
    }),
    "chaos run 'a b.yaml' --cluster lab",
  );
  t.is(
    rerunCommand({
      ...facts,
      cluster: { ...facts.cluster, provider: "current", context: "prod" },
      experiment: { ...facts.experiment, file: "x.yaml", attack: { type: "none" } },
    }),
    "chaos run x.yaml --context prod --control",
  );
});
