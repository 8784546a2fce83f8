import test from "ava";
import parse from "parse-prometheus-text-format";
import { prometheusText } from "../../../src/reporters/prometheus.js";
import { changed, functionLost, matrixOf, OUTAGE } from "../../helpers/matrix-results.js";

const NASTY = 'a"b\\c\nd';
const TEXT = prometheusText(
  matrixOf(
    OUTAGE,
    functionLost("kubelet"),
    changed(OUTAGE, { experiment: { name: NASTY }, facts: { runId: "x" } }),
  ),
);

interface Family {
  readonly name: string;
  readonly help: string;
  readonly type: string;
  readonly metrics: readonly { readonly value: string; readonly labels: Readonly<Record<string, string>> }[];
}

const families = parse(TEXT) as Family[];

const value = (name: string, labels: Readonly<Record<string, string>>): string | undefined =>
  families
    .find((family) => family.name === `kube_system_chaos_${name}`)
    ?.metrics.find((metric) => Object.entries(labels).every(([key, text]) => metric.labels[key] === text))
    ?.value;

test("figures in base units; what was not measured has no series", (t) => {
  const dns = { experiment: "kube-dns" };
  t.is(value("longest_outage_seconds", dns), "62");
  t.is(value("app_write_availability_ratio", dns), "0.0125");
  t.is(value("recovery_seconds", dns), "13.1");
  t.is(value("run_start_timestamp_seconds", dns), "1785585600");
  t.is(value("time_to_impact_seconds", dns), "0.4");
  t.is(value("time_to_impact_seconds", { experiment: "kubelet" }), undefined);
  t.is(value("severity", { ...dns, severity: "outage" }), "1");
  t.is(value("severity", { ...dns, severity: "none" }), "0");
  t.is(value("verdict", { ...dns, verdict: "as expected" }), "1");
});

test("labels are escaped", (t) => {
  t.true(TEXT.includes('experiment="a\\"b\\\\c\\nd"'));
});

// prometheus/client_golang, prometheus/testutil/promlint/validations: what `promtool check metrics` reports.
test("the names follow promtool's rules", (t) => {
  t.true(families.length >= 10);
  for (const { name, help, type, metrics } of families) {
    t.regex(name, /^kube_system_chaos_[a-z0-9]+(_[a-z0-9]+)*$/);
    t.notRegex(name, /_(total|count|sum|bucket)$/);
    t.notRegex(name, /(^|_)(gauge|counter|histogram|summary|untyped)(_|$)/);
    t.notRegex(name, /(^|_)(ms|s|sec|secs|m|min|h|milliseconds|minutes|percent|pct)(_|$)/);
    t.true(help.length > 0);
    t.is(type, "GAUGE");
    const sets = metrics.map(({ labels }) => JSON.stringify(labels));
    t.is(new Set(sets).size, sets.length, "no series twice");
    for (const { labels } of metrics)
      for (const key of Object.keys(labels)) t.regex(key, /^[a-z]+(_[a-z]+)*$/);
  }
  t.is(new Set(families.map(({ name }) => name)).size, families.length);
});

test("each line as the textfile collector reads it: no timestamp, a line end at the end", (t) => {
  t.true(TEXT.endsWith("\n"));
  for (const line of TEXT.trimEnd().split("\n"))
    t.regex(line, /^(# (HELP|TYPE) \S+ .+|[a-z_]+\{([a-z_]+="([^"\\]|\\.)*",?)+\} -?[0-9.e+-]+)$/);
});
