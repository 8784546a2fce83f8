/** What a client of the application saw in the window: its class, the share that failed, and what explains it. Pure. */
import { duration, percent, plural } from "../common/figures.js";
import type { ProbeName } from "../experiment/names.js";
import { RUNNER_SOURCE } from "../evidence/sample.js";
import { impairmentsOf, type ImpairedSpan } from "./intervals.js";
import { countsIn } from "./losses.js";
import { lossBeyondNoise, sumOf, type Counts } from "./noise.js";
import type { ClosedSpan } from "./phases.js";
import type { ClientFinding, Outage, ProbeResult } from "./result.js";
import { endOf, type Point } from "./series.js";
import { coveredMs, meets, merged } from "./spans.js";

/** The counted points of one series of the application. */
interface ClientSeries {
  readonly result: ProbeResult;
  readonly points: readonly Point[];
}

interface ClientTimes {
  /** From the first kill, or from the start of the window, to its end. */
  readonly harmed: ClosedSpan;
  readonly goodInARow: number;
  /** The nodes of the front ends, by pod. */
  readonly nodeOf: ReadonlyMap<string, string>;
}

/** Writes first: they are the main measure. */
const CLIENT_PROBES = ["app-write", "app-read"] as const satisfies readonly ProbeName[];

type ClientProbe = (typeof CLIENT_PROBES)[number];

const WORDS: Readonly<Record<ClientProbe, string>> = { "app-write": "writes", "app-read": "reads" };

/** A part is shown to be fine if it would have failed, at the share of the others, with at least this likelihood. */
const SHOWN_FINE = 1 / 100;

type Explanation = NonNullable<ClientFinding["explainedBy"]>;

/** The samples of one front end from one worker, in the time in question. */
interface Asked extends Counts {
  readonly source: string;
  readonly target: string;
}

type Kind = ImpairedSpan["kind"];

const EVER: ClosedSpan = { fromMs: -Infinity, toMs: Infinity };

/** One without an end lasts for ever. */
const closed = ({ fromMs, toMs }: Outage): ClosedSpan => ({ fromMs, toMs: toMs ?? Infinity });

/** The times of a class in the window. */
function spansIn({ result }: ClientSeries, kind: Kind, harmed: ClosedSpan): readonly ClosedSpan[] {
  const spans = kind === "unreachable" ? result.outages : (result.intermittent ?? []);
  return spans.map(closed).filter((span) => meets(span, harmed));
}

/** The workers' points as one series. Each worker asks each front end: these are its targets. */
function pooled(members: readonly ClientSeries[]): Point[] {
  return members.flatMap(({ result, points }) =>
    points.map((point) => ({ ...point, target: JSON.stringify([result.source, point.target ?? ""]) })),
  );
}

interface Classified {
  readonly kind: Kind;
  /** In order. One without an end lasts for ever. */
  readonly spans: readonly ClosedSpan[];
}

/**
 * The class of a probe over its workers, and when. The times come from all samples of the workers that saw it: together
 * they sample more often than each one. undefined: no failure that noise does not explain.
 */
function classify(
  series: readonly ClientSeries[],
  { harmed, goodInARow }: ClientTimes,
): Classified | undefined {
  for (const kind of ["unreachable", "intermittent"] as const) {
    const members = series.filter((one) => spansIn(one, kind, harmed).length > 0);
    if (members.length === 0) continue;
    const own = merged(members.flatMap((one) => spansIn(one, kind, harmed)));
    const together = impairmentsOf(pooled(members), goodInARow)
      .flatMap(({ spans }) => spans)
      .filter((span) => own.some((each) => meets(closed(span), each)));
    const worst = together.some((span) => span.kind === "unreachable") ? "unreachable" : kind;
    const same = merged(together.filter((span) => span.kind === worst).map(closed));
    // Workers that fail one after the other overlap only for a moment: then each one's own times count.
    const longest = Math.max(...members.map((one) => coveredMs(spansIn(one, kind, harmed), EVER)));
    const shared = worst !== kind || coveredMs(same, EVER) * 2 >= longest;
    return { kind: worst, spans: same.length > 0 && shared ? same : own };
  }
  return undefined;
}

function askedIn(series: readonly ClientSeries[], spans: readonly ClosedSpan[]): Asked[] {
  const within = (tMs: number): boolean => spans.some(({ fromMs, toMs }) => tMs >= fromMs && tMs < toMs);
  return series.flatMap(({ result: { source }, points }) => {
    const byTarget = new Map<string, { failed: number; samples: number }>();
    for (const { outcome, tMs, target = "" } of points) {
      if (outcome === "missed" || !within(tMs)) continue;
      const counts = byTarget.get(target) ?? { failed: 0, samples: 0 };
      byTarget.set(target, counts);
      counts.samples += 1;
      if (outcome === "failed") counts.failed += 1;
    }
    return [...byTarget].map(([target, counts]) => ({ source, target, ...counts }));
  });
}

/** No failures at the baseline: within an impairment a part either fails or it does not. */
const failing = (counts: Counts, parts: number): boolean =>
  lossBeyondNoise(counts, { failed: 0, samples: 0 }, parts);

/** Whether the samples would show it if this part failed as the blamed ones did. */
function shownFine(counts: Counts, blamed: Counts): boolean {
  const share = blamed.failed / (blamed.samples + 1);
  return (1 - share) ** counts.samples < SHOWN_FINE;
}

/** The parts that failed, if there are others and each of these is shown to be fine; undefined: it does not explain it. */
function blamedParts(
  asked: readonly Asked[],
  partOf: (one: Asked) => string,
): Omit<Explanation, "what"> | undefined {
  const parts = new Map<string, Asked[]>();
  for (const one of asked) {
    const known = parts.get(partOf(one));
    if (known === undefined) parts.set(partOf(one), [one]);
    else known.push(one);
  }
  const counted = [...parts].map(([name, all]) => ({ name, counts: sumOf(all) }));
  const bad = counted.filter(({ counts }) => failing(counts, counted.length));
  const fine = counted.filter((part) => !bad.includes(part));
  if (bad.length === 0 || fine.length === 0) return undefined;
  const total = sumOf(asked);
  const blamed = sumOf(bad.map(({ counts }) => counts));
  const rest = { failed: total.failed - blamed.failed, samples: total.samples - blamed.samples };
  if (failing(rest, counted.length)) return undefined;
  if (!fine.every(({ counts }) => shownFine(counts, blamed))) return undefined;
  return { names: bad.map(({ name }) => name).sort(), of: counted.length };
}

/** The only node whose workers and front ends fail, each of them with all others. */
function blamedNode(asked: readonly Asked[], nodeOf: ReadonlyMap<string, string>): Explanation | undefined {
  const nodes = new Set([...asked.map(({ source }) => source), ...nodeOf.values()]);
  // Only a node with a front end can fail both ways.
  for (const node of new Set(nodeOf.values())) {
    const on = ({ source, target }: Asked): string =>
      `${source === node ? "from" : "-"} ${nodeOf.get(target) === node ? "to" : "-"}`;
    const blamed = blamedParts(
      asked.filter((one) => on(one) !== "from to"),
      on,
    );
    if (blamed?.names.length === 2 && !blamed.names.includes("- -"))
      return { what: "node", names: [node], of: nodes.size };
  }
  return undefined;
}

function explanation(asked: readonly Asked[], nodeOf: ReadonlyMap<string, string>): Explanation | null {
  const frontEnds = blamedParts(asked, ({ target }) => target);
  if (frontEnds !== undefined) {
    const nodes = new Set(frontEnds.names.map((name) => nodeOf.get(name)));
    const [node] = nodes;
    const others = asked.filter(({ target }) => !frontEnds.names.includes(target));
    const wholeNode = nodes.size === 1 && others.every(({ target }) => nodeOf.get(target) !== node);
    if (frontEnds.names.length > 1 && node !== undefined && wholeNode)
      return { what: "node", names: [node], of: new Set(nodeOf.values()).size };
    return { what: "front end", ...frontEnds };
  }
  const workers = blamedParts(asked, ({ source }) => source);
  if (workers !== undefined) return { what: "worker", ...workers };
  return blamedNode(asked, nodeOf) ?? null;
}

/** "1 of 3 front ends", "from 1 of 3 workers", "one node: kind-worker". */
function explanationText({ what, names, of }: Explanation): string {
  if (what === "node") return `one node: ${names.join(", ")}`;
  return `${what === "worker" ? "from " : ""}${names.length} of ${plural(of, what)}`;
}

function failure(
  probe: ClientProbe,
  series: readonly ClientSeries[],
  found: Classified,
  times: ClientTimes,
): ClientFinding {
  const { kind, spans } = found;
  const asked = askedIn(series, spans);
  const { failed, samples } = sumOf(asked);
  const share = samples === 0 ? 0 : failed / samples;
  const endMs = Math.max(0, ...series.map(({ points }) => endOf(points) ?? 0));
  const lastedMs = coveredMs(spans, { ...EVER, toMs: endMs });
  const open = spans.some(({ toMs }) => toMs === Infinity);
  const explainedBy = explanation(asked, times.nodeOf);
  // Two seconds without any answer must not hide that half of the answers failed for half a minute.
  const partly =
    kind === "unreachable" ? series.flatMap((one) => spansIn(one, "intermittent", times.harmed)) : [];
  const partlyMs = coveredMs(merged([...partly, ...spans]), { ...EVER, toMs: endMs }) - lastedMs;
  // Unreachable without further words: writes, the main measure.
  const all = probe === "app-write" ? [] : [WORDS[probe]];
  const some = kind === "unreachable" ? all : [`${percent(share)} of ${WORDS[probe]}`];
  return {
    class: kind,
    probe,
    share,
    fromMs: spans[0]?.fromMs ?? null,
    lastedMs,
    open,
    explainedBy,
    because: [
      kind,
      ...(explainedBy === null ? some : [explanationText(explainedBy)]),
      `${open ? "≥ " : ""}${duration(lastedMs)}`,
      ...(partlyMs > lastedMs ? [`and intermittent for ${duration(partlyMs)}`] : []),
    ].join(", "),
  };
}

/** Failures that are too far apart for a time of their own, and together too many for noise: the whole window. */
function scattered(measured: readonly ClientSeries[], harmed: ClosedSpan): Classified | undefined {
  const comparisons = measured.length + 1;
  const results = measured.map(({ result }) => result);
  const beyondNoise = [results, ...results.map((one) => [one])].some((all) =>
    lossBeyondNoise(countsIn(all, "window"), countsIn(all, "baseline"), comparisons),
  );
  return beyondNoise ? { kind: "intermittent", spans: [harmed] } : undefined;
}

/** @param slowest the series that is slower than noise explains; undefined: none is. */
export function clientOf(
  series: readonly ClientSeries[],
  times: ClientTimes,
  slowest: ProbeResult | undefined,
): ClientFinding | null {
  const onWorkers = series.filter(({ result }) => result.source !== RUNNER_SOURCE);
  const measured = onWorkers.filter(({ result }) => result.phases.window.samples > 0);
  let worst: ClientFinding | undefined;
  for (const probe of CLIENT_PROBES) {
    const ofProbe = measured.filter(({ result }) => result.probe === probe);
    const found = classify(ofProbe, times) ?? scattered(ofProbe, times.harmed);
    if (found === undefined) continue;
    const finding = failure(probe, ofProbe, found, times);
    if (worst === undefined || (worst.class === "intermittent" && finding.class === "unreachable"))
      worst = finding;
  }
  if (worst !== undefined) return worst;
  const [first] = measured;
  if (first === undefined) return null;
  const { fromMs, toMs } = times.harmed;
  const nothing = { share: 0, open: false, explainedBy: null };
  if (slowest === undefined) {
    const { probe } = first.result;
    return { ...nothing, class: "unaffected", probe, fromMs: null, lastedMs: 0, because: "unaffected" };
  }
  const { probe, phases } = slowest;
  const p95 = `p95 ${duration(phases.baseline.p95Ms)} → ${duration(phases.window.p95Ms)}`;
  return { ...nothing, class: "slow", probe, fromMs, lastedMs: toMs - fromMs, because: `slow, ${p95}` };
}
