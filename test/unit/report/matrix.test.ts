import test from "ava";
import { INCONCLUSIVE_REASONS, type RunResult } from "../../../src/analysis/result.js";
import { compareWithStudy } from "../../../src/analysis/study.js";
import { components } from "../../../src/components/all-components.js";
import { COMPONENTS } from "../../../src/experiment/names.js";
import { matrixMarkdown } from "../../../src/report/matrix-markdown.js";
import { resultFromJson } from "../../../src/report/matrix-read.js";
import { HEADER, REASONS_JA } from "../../../src/report/matrix-words.js";
import { buildMatrix, matrixJson, shownRuns, type Matrix } from "../../../src/report/matrix.js";
import { resultJson } from "../../../src/report/result-json.js";
import * as make from "../../helpers/matrix-results.js";

const { OUTAGE, cells, changed, functionLost, inconclusive, matrixOf, rowsOf } = make;

/** Columns by their heading. */
const COLUMN = Object.fromEntries(HEADER.map(({ en }, index) => [en, index]));
const at = (row: readonly string[] | undefined, column: string): string => row?.[COLUMN[column] ?? -1] ?? "";
const rowOf = (markdown: string, start: string): string[] | undefined =>
  rowsOf(markdown).find(([name]) => name?.startsWith(start));
const en = (...results: RunResult[]): string => matrixMarkdown(matrixOf(...results), "en");
const ja = (...results: RunResult[]): string => matrixMarkdown(matrixOf(...results), "ja");
const section = (markdown: string, title: string): string =>
  markdown.split(/^## /m).find((text) => text.startsWith(`${title}\n`)) ?? "";

const variant = (name: string, title: string, startedAt = OUTAGE.facts.startedAt): RunResult =>
  changed(OUTAGE, { experiment: { name, title }, facts: { runId: `${startedAt}-${name}`, startedAt } });

/** kube-proxy as measured on kind: the application is not affected, unlike in the study. */
const proxy = functionLost("kube-proxy");

test("rows: every component, in the matrix' order, whatever the order of the runs", (t) => {
  const [kubelet, etcd] = [functionLost("kubelet"), functionLost("etcd")];
  const one = matrixOf(etcd, OUTAGE, kubelet);
  const other = matrixOf(kubelet, etcd, OUTAGE);
  t.deepEqual(
    one.groups.map(({ component }) => component),
    [...COMPONENTS],
  );
  t.is(matrixJson(one), matrixJson(other));
  t.is(matrixMarkdown(one, "ja"), matrixMarkdown(other, "ja"));
  t.deepEqual(
    rowsOf(matrixMarkdown(one, "en")).map(([name]) => name?.split(" (")[0]),
    COMPONENTS.map((name) => components[name].study?.name ?? name),
  );
});

test("the main row is the experiment with the component's name; the others are its variants, by name", (t) => {
  const matrix = matrixOf(variant("kube-dns-b", "second"), variant("a-first", "first"), OUTAGE);
  const group = matrix.groups.find(({ component }) => component === "kube-dns");
  t.is(group?.main?.row.experiment, "kube-dns");
  t.deepEqual(
    group?.variants.map(({ row }) => row.experiment),
    ["a-first", "kube-dns-b"],
  );
  const names = rowsOf(matrixMarkdown(matrix, "en")).map(([name]) => name);
  const main = names.indexOf("kube-dns (Deployment kube-system/coredns)");
  t.true(main >= 0);
  t.deepEqual(names.slice(main + 1, main + 3), ["↳ first", "↳ second"]);
});

test("without an experiment of the component's name, the first by name is the main one", (t) => {
  const matrix = matrixOf(variant("kube-dns-z", "z"), variant("kube-dns-y", "y"));
  const group = matrix.groups.find(({ component }) => component === "kube-dns");
  t.is(group?.main?.row.experiment, "kube-dns-y");
  t.is(group?.variants.length, 1);
});

test("a variant is not compared with the study, and not counted", (t) => {
  const alone = matrixOf(OUTAGE);
  const matrix = matrixOf(OUTAGE, variant("kube-dns-b", "second"));
  t.deepEqual(matrix.summary, alone.summary);
  const row = rowOf(matrixMarkdown(matrix, "en"), "↳");
  t.deepEqual(row?.slice(-3), ["—", "—", "—"]);
});

test("the newest run of an experiment counts; the older ones are counted", (t) => {
  const old = variant("kube-dns", "old", "2026-07-01T12:00:00.000Z");
  const older = variant("kube-dns", "older", "2025-12-31T23:00:00.000Z");
  for (const order of [
    [old, OUTAGE, older],
    [OUTAGE, older, old],
  ]) {
    const matrix = matrixOf(...order);
    const group = matrix.groups.find(({ component }) => component === "kube-dns");
    t.is(group?.main?.row.runId, OUTAGE.facts.runId);
    t.is(group?.olderRuns, 2);
    t.is(group?.variants.length, 0);
  }
  t.regex(en(old, OUTAGE, older), /2 older runs of the same experiments not shown \(kube-dns: 2\)/);
  t.regex(ja(old, OUTAGE), /古い実行 1 件は表示していない \(kube-dns: 1\)/);
  t.notRegex(en(OUTAGE), /older run/);
});

test("a copy of a report does not count as another run", (t) => {
  const entries = [make.entry(OUTAGE, "b/result.json"), make.entry(OUTAGE, "a/result.json")];
  const matrix = buildMatrix(entries, Object.values(components));
  const group = matrix.groups.find(({ component }) => component === "kube-dns");
  t.is(group?.olderRuns, 0);
  t.is(group?.main?.links.report, "a/report.md");
});

test("control runs are not rows", (t) => {
  const control = changed(OUTAGE, {
    experiment: { name: "control", attack: { type: "none" } },
    facts: { runId: "control" },
  });
  const matrix = matrixOf(control);
  t.is(matrix.controlRuns, 1);
  t.deepEqual(shownRuns(matrix), []);
  t.regex(matrixMarkdown(matrix, "en"), /1 control run \(nothing was taken down\) not shown/);
});

test("a component without a run is a row, with the study's claim", (t) => {
  const text = en(OUTAGE);
  const row = rowOf(text, "kubelet");
  t.is(row?.length, HEADER.length);
  t.is(at(row, "Severity"), "not run");
  t.is(at(row, "Count"), "— (study: 3)");
  t.is(at(row, "The study said"), "the service runs on; pods can be neither deleted nor started");
  t.is(at(row, "Study: impact"), "not run");
  const japanese = rowOf(ja(OUTAGE), "kubelet");
  t.is(at(japanese, "Severity"), "未実施");
  t.is(at(japanese, "The study said"), "サービスは稼働するが、Podの削除/起動が不可になった");
  t.is(at(rowOf(text, "etcd"), "The study said"), "not in the study");
});

test("a run that did not find its target still belongs to its component", (t) => {
  const lost = (result: RunResult): RunResult => {
    const { target, ...facts } = result.facts;
    t.truthy(target);
    return inconclusive({ ...result, facts, suppression: null, probes: [] });
  };
  const matrix = matrixOf(lost(functionLost("fluentd")), lost(functionLost("etcd")));
  for (const name of ["fluentd", "etcd"]) {
    t.is(matrix.groups.find(({ component }) => component === name)?.main?.row.object, null, name);
  }
  t.is(matrix.groups.length, COMPONENTS.length);
  const row = rowOf(matrixMarkdown(matrix, "en"), "fluentd-gcp");
  t.is(at(row, "Type"), "DaemonSet");
  t.is(at(row, "Suppression (evidence)"), "nothing was taken down");
});

test("a user's workload has its own row, at the end", (t) => {
  const custom = (object: string, name: string): RunResult =>
    changed(functionLost("etcd"), {
      experiment: { name, title: `${object} ${name}` },
      facts: {
        runId: `run-${object}-${name}`,
        study: null,
        target: {
          ...OUTAGE.facts.target!,
          component: null,
          object: { kind: "Deployment", namespace: "shop", name: object },
        },
      },
    });
  const matrix = matrixOf(custom("zeta", "one"), OUTAGE, custom("alpha", "two"), custom("alpha", "one"));
  t.deepEqual(
    matrix.groups.slice(COMPONENTS.length).map(({ name, component }) => [name, component]),
    [
      ["alpha", null],
      ["zeta", null],
    ],
  );
  const alpha = matrix.groups[COMPONENTS.length];
  t.is(alpha?.main?.row.experiment, "one");
  t.is(alpha?.variants[0]?.row.experiment, "two");
});

test("figures link to the section of the report that has them", (t) => {
  const row = rowOf(en(OUTAGE), "kube-dns (");
  const report = `${OUTAGE.facts.runId}/report.md`;
  t.is(at(row, "Severity"), `[outage](${report})`);
  t.is(
    at(row, "app → DB writes in the window"),
    `[1.2 % (worst worker: worker)](${report}#what-the-application-saw)`,
  );
  t.is(at(row, "Time to impact"), `[400 ms ± 1.5 ms](${report}#what-the-application-saw)`);
  t.is(at(row, "Longest outage"), `[62.0 s](${report}#what-the-application-saw)`);
  t.is(at(row, "Recovery"), `[13.1 s](${report}#recovery)`);
  t.is(at(row, "Own function"), `[lost (dns-internal: 1.2 %)](${report}#what-the-application-saw)`);
  t.is(at(row, "Time to down"), `[170 ms](${report}#how-it-was-kept-down)`);
  t.is(at(row, "Suppression (evidence)"), `[99.7 % (runtime)](${report}#how-it-was-kept-down)`);
  t.true(at(row, "Behaviour when stopped").endsWith(`[timeline](${OUTAGE.facts.runId}/timeline.svg)`));
  t.is(at(row, "Study: impact"), "confirmed");
  t.is(at(row, "Count"), "2");
});

test("a folder's name cannot break a link or a row; a missing file has no link", (t) => {
  const odd = {
    ...make.entry(OUTAGE, "../my reports (1)/a|b/result.json"),
    lacks: ["timeline.svg"] as const,
  };
  const text = matrixMarkdown(buildMatrix([odd], Object.values(components)), "en");
  const row = rowOf(text, "kube-dns (");
  t.is(row?.length, HEADER.length);
  t.is(at(row, "Severity"), "[outage](../my%20reports%20%281%29/a%7Cb/report.md)");
  t.notRegex(text, /timeline/);
});

test("titles and descriptions cannot break a table", (t) => {
  const title = "a | b [c](http://evil) <b> \\";
  const run = changed(variant("kube-dns-b", title), {
    facts: { standIns: [{ image: "x|y", description: "d | e\nf", victim: true }] },
    result: { onStandIn: true },
  });
  for (const lang of ["en", "ja"] as const) {
    const text = matrixMarkdown(matrixOf(OUTAGE, run), lang);
    const lines = text.split("\n");
    lines.forEach((line, index) => {
      if (!line.startsWith("|") || !lines[index - 1]?.startsWith("|")) return;
      t.is(cells(line).length, cells(lines[index - 1] ?? "").length, line);
    });
    t.false(make.linksOf(text).includes("http://evil"));
    t.notRegex(text, /<b>|undefined|NaN|null|\[object/);
  }
});

test("differs: a numbered note says why, in both languages", (t) => {
  const text = en(OUTAGE, proxy);
  t.is(at(rowOf(text, "kube-proxy"), "Study: impact"), "differs (note 1)");
  t.is(at(rowOf(text, "kube-proxy"), "Study: function"), "newly verified");
  t.true(section(text, "Notes").includes(`1. **kube-proxy**: differs: ${proxy.study.because}`));
  const japanese = ja(OUTAGE, proxy);
  t.is(at(rowOf(japanese, "kube-proxy"), "Study: impact"), "相違 (注 1)");
  t.true(
    section(japanese, "注").includes(
      "1. **kube-proxy**: 相違: 影響: 発表は「サービス障害」(未確認の推測)、今回の測定は「サービスに影響なし」。",
    ),
  );
  t.is(section(en(OUTAGE), "Notes"), "", "nothing to explain, no notes");
});

test("inconclusive: no figure is shown for the component, and the note has the codes", (t) => {
  const run = inconclusive(OUTAGE);
  const text = en(run);
  const row = rowOf(text, "kube-dns (");
  t.is(at(row, "Severity"), `[inconclusive](${OUTAGE.facts.runId}/report.md) (note 1)`);
  for (const column of [
    "app → DB writes in the window",
    "Time to impact",
    "Longest outage",
    "Own function",
  ]) {
    t.is(at(row, column), "inconclusive (note 1)", column);
  }
  t.is(at(row, "Study: impact"), "inconclusive (note 1)");
  t.regex(at(row, "Suppression (evidence)"), /99\.7 %/, "the figure that explains it is kept");
  t.regex(section(text, "Notes"), /1\. .*`target-not-down`: it served for 40 % of the window\.$/m);
  const japanese = section(ja(run), "注");
  t.regex(japanese, /1\. .*判定不能: `target-not-down` \(対象を停止した状態に保てなかった\)。/);
  t.notRegex(japanese, /it served/);
});

test("if only the function is unknown, the application's figures are shown", (t) => {
  const because = "no check finished.";
  const run = functionLost("metrics-server", {
    result: {
      verdict: "inconclusive",
      severity: "inconclusive",
      reasons: [{ code: "function-not-measured", message: because }],
      ownFunction: {
        ...OUTAGE.ownFunction,
        state: "inconclusive",
        because,
        baseline: { looks: 3, present: 0 },
        window: { looks: 0, present: 0 },
      },
    },
  });
  const row = rowOf(en(run), "metrics-server");
  t.regex(at(row, "app → DB writes in the window"), /^\[100 % \(every worker\)\]/);
  t.regex(at(row, "Own function"), /^\[inconclusive\]\(.*\) \(note 1\)$/);
});

test("if only the function is unknown, the impact may still differ, and the note says how", (t) => {
  const run = changed(proxy, {
    result: {
      severity: "inconclusive",
      reasons: [{ code: "function-not-measured", message: "no check finished." }],
      ownFunction: { ...proxy.ownFunction, state: "inconclusive" },
      study: { impact: "differs", function: "inconclusive", because: "Impact: it differs." },
    },
  });
  const row = rowOf(en(run), "kube-proxy");
  t.is(at(row, "Study: impact"), "differs (note 1)");
  t.regex(
    section(en(run), "Notes"),
    /`function-not-measured`: no check finished\. differs: Impact: it differs\./,
  );
  t.regex(section(ja(run), "注"), /影響: 発表は「サービス障害」.*今回の測定は「サービスに影響なし」/);
});

test("a function that was not measured has a reason, too", (t) => {
  const run = changed(functionLost("kube-scheduler"), {
    result: {
      severity: "none",
      ownFunction: {
        ...OUTAGE.ownFunction,
        state: "not measured",
        because: "the component has no function probe.",
      },
    },
  });
  t.regex(at(rowOf(en(run), "kube-scheduler"), "Own function"), /^\[not measured\].* \(note 1\)$/);
  t.regex(section(en(run), "Notes"), /`function-not-measured`: the component has no function probe\.$/m);
  t.regex(section(ja(run), "注"), /機能は未測定: `function-not-measured`/);
});

test("every reason has a Japanese text", (t) => {
  for (const code of INCONCLUSIVE_REASONS) t.regex(REASONS_JA[code], /[ぁ-ん]/, code);
  const unknown = changed(inconclusive(OUTAGE), {
    result: { reasons: [{ code: "of-tomorrow" as "stopped", message: "m" }] },
  });
  t.regex(section(ja(unknown), "注"), /判定不能: `of-tomorrow`。/);
});

test("own function: checks, late items, lost items", (t) => {
  const run = functionLost("fluentd", {
    result: {
      ownFunction: {
        ...OUTAGE.ownFunction,
        state: "partly lost",
        baseline: { looks: 3, present: 3 },
        window: { looks: 6, present: 2 },
        late: 3,
        lostForGood: 1,
        backAfterMs: 4000,
      },
    },
  });
  t.true(
    at(rowOf(en(run), "fluentd-gcp ("), "Own function").startsWith(
      "[partly lost (present in 2 of 6 checks, 3 late, 1 never arrived, present again 4.0 s after the release)]",
    ),
  );
  t.true(
    at(rowOf(ja(run), "fluentd-gcp ("), "Own function").startsWith(
      "[一部停止 (6 回の確認のうち働いていたのは 2 回、遅れて到着 3 件、未到着 1 件、解除の 4.0 s 後に復帰)]",
    ),
  );
});

test("an unaffected application: words instead of a dash", (t) => {
  const row = rowOf(en(proxy), "kube-proxy");
  t.regex(at(row, "Time to impact"), /^\[never failed\]/);
  t.regex(at(row, "Longest outage"), /^\[none\]/);
});

test("not restored, and an open outage", (t) => {
  const writes = make.probeOf("app-write", "worker", 0.01);
  const run = changed(OUTAGE, {
    result: {
      verdict: "not restored",
      recovery: { ...OUTAGE.recovery!, healthyMs: null },
      probes: [{ ...writes, outages: [{ fromMs: 36_500, toMs: null }] }],
    },
  });
  const row = rowOf(en(run), "kube-dns (");
  t.regex(at(row, "Recovery"), /^\[not restored\]/);
  t.regex(at(row, "Longest outage"), /^\[≥ 62\.0 s\]/);
  t.regex(at(rowOf(ja(run), "kube-dns ("), "Recovery"), /^\[復旧未完了\]/);
});

test("type and count: the run's and the study's are both shown if they differ", (t) => {
  const run = changed(proxy, { facts: { target: { ...proxy.facts.target!, type: "DaemonSet", count: 2 } } });
  t.is(at(rowOf(en(run), "kube-proxy"), "Type"), "DaemonSet (study: Pod)");
  t.is(at(rowOf(en(run), "kube-proxy"), "Count"), "2 (study: 3)");
  t.is(at(rowOf(ja(run), "kube-proxy"), "Count"), "2 (発表: 3)");
});

test("a target that never went down says so in both languages", (t) => {
  const run = changed(OUTAGE, {
    result: { suppression: { ...OUTAGE.suppression!, share: 0, downAfterMs: null } },
  });
  t.regex(at(rowOf(en(run), "kube-dns ("), "Time to down"), /^\[never\]/);
  t.regex(at(rowOf(ja(run), "kube-dns ("), "Time to down"), /^\[停止せず\]/);
});

test("flapping: the number of times down is shown with the share", (t) => {
  const run = changed(OUTAGE, {
    experiment: { attack: { type: "delete-workload", every: 10_000 } },
    result: { suppression: { ...OUTAGE.suppression!, share: 0.5, timesDown: 6 } },
  });
  t.regex(at(rowOf(en(run), "kube-dns ("), "Suppression (evidence)"), /50\.0 % \(runtime, down 6 times\)/);
});

test("a substitute image is named in the verdict, in the count and below the table", (t) => {
  const standIns = [
    { image: "example/dns:1", description: "built here | not upstream", victim: true },
    { image: "example/redis:6", description: "Debian's", victim: false },
  ];
  const run = changed(OUTAGE, { facts: { standIns }, result: { onStandIn: true } });
  const text = en(run);
  t.regex(at(rowOf(text, "kube-dns ("), "Severity"), /\(on a substitute image\)$/);
  t.is(at(rowOf(text, "kube-dns ("), "Study: impact"), "confirmed (on a substitute image)");
  t.regex(
    section(text, "Compared with the study"),
    /impact on the application \| 1 \(1 on a substitute image\) \| 0 /,
  );
  t.true(
    section(text, "Substitute images").includes(
      "| example/dns:1 | built here \\| not upstream | **kube-dns** |",
    ),
  );
  t.true(section(text, "Substitute images").includes("| example/redis:6 | Debian's | — |"));
  t.is(at(rowOf(ja(run), "kube-dns ("), "Study: impact"), "確認 (代替イメージでの測定)");
  t.notRegex(section(en(OUTAGE), "Compared with the study"), /substitute image/);
});

test("the counts are those of the cells", (t) => {
  const kubelet = inconclusive(functionLost("kubelet"));
  const matrix = matrixOf(OUTAGE, proxy, kubelet, functionLost("event-exporter"), functionLost("etcd"));
  const counts = (side: "impact" | "function"): number[] =>
    Object.values(matrix.summary[side]).map(({ count }) => count);
  // confirmed, newly verified, differs, inconclusive, not run
  t.deepEqual(counts("impact"), [2, 0, 1, 1, 5]);
  t.deepEqual(counts("function"), [1, 2, 0, 1, 5]);
  t.deepEqual(matrix.summary.beyond, { measured: 1, inconclusive: 0, notRun: 5 });
  const rows = rowsOf(matrixMarkdown(matrix, "en"));
  for (const [column, side] of [
    ["Study: impact", "impact"],
    ["Study: function", "function"],
  ] as const) {
    for (const [word, { count }] of Object.entries(matrix.summary[side])) {
      t.is(rows.filter((row) => at(row, column).startsWith(word)).length, count, `${column} ${word}`);
    }
  }
  t.is(matrix.summary.rows, 9);
});

test("(はず) appears only in quotes of the study", (t) => {
  for (const text of [en(OUTAGE, proxy), ja(OUTAGE, proxy)]) {
    const quoted = rowsOf(text).map((row) => at(row, "The study said"));
    t.true(quoted.some((cell) => cell.endsWith("(はず)")));
    const others = rowsOf(text).flatMap((row) =>
      row.filter((_, index) => index !== COLUMN["The study said"]),
    );
    t.false(others.some((cell) => cell.includes("はず")));
  }
});

test("thresholds: once if they are equal, by row if they differ", (t) => {
  const kubelet = functionLost("kubelet");
  t.is(
    section(en(OUTAGE, kubelet), "Thresholds").match(/\*\*All rows\*\*: outage: writes under 50 %/g)?.length,
    1,
  );
  const strict = functionLost("kubelet", {
    experiment: { thresholds: { ...OUTAGE.facts.experiment.thresholds, outageBelow: 0.8 } },
  });
  const text = section(en(OUTAGE, strict), "Thresholds");
  t.regex(text, /\*\*kubelet\*\*: outage: writes under 80 %/);
  t.regex(text, /\*\*kube-dns\*\*: outage: writes under 50 %/);
  t.notRegex(text, /All rows/);
});

test("runs: each with its cluster, its version and its link", (t) => {
  const other = functionLost("kubelet", {
    facts: {
      cluster: { ...OUTAGE.facts.cluster, provider: "lab", version: "v1.20.2" },
      target: { ...functionLost("kubelet").facts.target!, nodes: ["worker"] },
    },
  });
  const lines = section(en(OUTAGE, other), "Runs and clusters").split("\n");
  const line = lines.find((each) => each.startsWith("| kubelet |")) ?? "";
  t.regex(line, /lab, 3 nodes \(1 attacked\) \| v1\.20\.2 \| containerd:\/\/2\.1\.1/);
  t.true(lines.some((each) => each.startsWith(`| kube-dns | [${OUTAGE.facts.runId}](`)));
});

test("Japanese: headers, words and behaviours, nothing left in English by mistake", (t) => {
  const text = ja(OUTAGE, proxy, inconclusive(functionLost("kubelet")));
  const header = cells(text.split("\n").find((line) => line.startsWith("| Name")) ?? "");
  t.deepEqual(header.slice(0, 5), ["Name", "Type", "数", "重要度", "止めたときの挙動"]);
  const row = rowOf(text, "kube-dns (");
  t.regex(at(row, "Severity"), /^\[サービス障害\]/);
  t.regex(at(row, "Behaviour when stopped"), /アプリ → DB の書き込みが失敗/);
  t.regex(at(row, "app → DB writes in the window"), /^\[1\.2 % \(最も低いワーカー: worker\)\]/);
  t.regex(at(row, "Suppression (evidence)"), /^\[99\.7 % \(コンテナランタイムで確認\)\]/);
  // Words that the English table has in its cells; names, titles, codes and links are data.
  const words = text.replace(/\]\([^)]*\)/g, "]").replace(/`[^`]*`/g, "");
  t.notRegex(
    words,
    /\b(outage|inconclusive|confirmed|differs|not run|study|worst|lost|kept|measured|window)\b/,
  );
  for (const title of text.matchAll(/^#+ (.+)$/gm)) t.regex(title[1] ?? "", /[ぁ-んァ-ヶ一-龠]/);
});

test("JSON: complete, with its version; reading it gives the same tables", (t) => {
  const matrix = matrixOf(OUTAGE, proxy, variant("kube-dns-b", "b"), inconclusive(functionLost("kubelet")));
  const text = matrixJson(matrix);
  t.true(text.startsWith('{\n  "schemaVersion": 1,\n  "summary"'));
  t.true(text.endsWith("}\n"));
  const again = JSON.parse(text) as Matrix;
  t.deepEqual(again, matrix);
  t.is(matrixJson(again), text);
  for (const lang of ["en", "ja"] as const) t.is(matrixMarkdown(again, lang), matrixMarkdown(matrix, lang));
});

test("a comparison's text comes from the measurement: another measurement gives another text", (t) => {
  const kept = functionLost("event-exporter", {
    result: {
      severity: "none",
      ownFunction: { ...OUTAGE.ownFunction, state: "kept" },
      study: compareWithStudy(components["event-exporter"].study, {
        severity: "none",
        functionLost: false,
        onStandIn: false,
        control: false,
      }),
    },
  });
  t.is(at(rowOf(en(kept), "event-exporter"), "Study: function"), "differs (note 1)");
  t.regex(section(ja(kept), "注"), /機能: 発表は「停止」\(未確認の推測\)、今回の測定は「継続」。/);
});

test("reading result.json gives the result; damage is named and nothing is thrown", (t) => {
  const whole = JSON.parse(resultJson(OUTAGE)) as RunResult;
  t.deepEqual(resultFromJson(resultJson(OUTAGE)), { result: whole });
  const problem = (json: string): string => {
    const read = resultFromJson(json);
    return "problem" in read ? read.problem : "none";
  };
  t.regex(problem(resultJson(OUTAGE).slice(0, 500)), /not JSON, or cut off/);
  t.regex(problem("[]"), /not the result of a run/);
  t.regex(problem('{"name":"x"}'), /not the result of a run/);
  t.regex(problem(JSON.stringify({ ...whole, schemaVersion: 1 })), /schemaVersion is 1, not 2/);
  t.regex(problem(JSON.stringify({ ...whole, severity: "dreadful" })), /^its severity is not/);
  t.regex(problem(JSON.stringify({ ...whole, probes: [{}] })), /^its probes\.0\.probe is not/);
  // If any key is missing or has another type: no crash, and either a problem or a matrix.
  for (const key of Object.keys(whole)) {
    for (const value of [undefined, null, 7, "x", [], {}]) {
      const read = resultFromJson(JSON.stringify({ ...whole, [key]: value }));
      if ("result" in read)
        t.notThrows(() => matrixMarkdown(matrixOf(read.result), "ja"), `${key}: ${JSON.stringify(value)}`);
    }
  }
});
