/**
 * Faults that the runner does not know of, in control runs: the report says what they were, when, and for how long. The
 * test knows when from its own clock (the nodes are containers of this machine, so they share it).
 */
import test, { type ExecutionContext } from "ava";
import { appendFile } from "node:fs/promises";
import { STALL_MS } from "../../src/analysis/disturbed.js";
import { FEWEST_FAILURES } from "../../src/analysis/noise.js";
import type { ProbeResult, RunResult } from "../../src/analysis/result.js";
import type { Point, Series } from "../../src/analysis/series.js";
import { FRONTEND_LABELS, LEADER_LABELS } from "../../src/application/guestbook.js";
import type { ProbeName } from "../../src/experiment/names.js";
import { list, PODS, resourcePath, selectorString } from "../../src/kube/api.js";
import type { Pod } from "../../src/kube/objects.js";
import { PROBER_LABELS } from "../../src/probes/prober-manifests.js";
import { analyseFolder } from "../../src/report/files.js";
import type { TestCluster } from "./support/cluster.js";
import {
  chaosRun,
  onlyReport,
  said,
  setUp,
  type Workspace,
  windowStarted,
  writeExperiment,
} from "./support/run-cli.js";

const FRONT_ENDS = 3;

/** Probes that connect with a timeout of less than a second: no repeated SYN hides when packets pass again. */
const CONNECTS: readonly ProbeName[] = ["tcp-pod", "tcp-service"];

/** A pod, and a process of it as its node sees it. */
interface Place {
  readonly name: string;
  readonly node: string;
  readonly pid: string;
}

async function placesOf(cluster: TestCluster, namespace: string, labelSelector: string): Promise<Place[]> {
  const { items } = await list<Pod>(cluster.connection.transport, resourcePath(PODS, namespace), {
    labelSelector,
  });
  const found = items.map(async ({ metadata: { name, uid }, spec }) => {
    const node = spec?.nodeName ?? "";
    const script =
      'id=$(ctr -n k8s.io containers list -q "labels.\\"io.cri-containerd.kind\\"==container,labels.\\"io.kubernetes.pod.uid\\"==$1"); ctr -n k8s.io tasks list | awk -v id="$id" \'$1 == id { print $2 }\'';
    const pid = await cluster.access.exec(node, ["sh", "-c", script, "pid", uid], 10_000);
    return { name, node, pid: pid.trim() };
  });
  return (await Promise.all(found)).sort((a, b) => (a.node < b.node ? -1 : 1));
}

/** When a fault began and ended, ms since the epoch: each between these two times. */
interface Fault {
  readonly from: readonly [number, number];
  readonly to: readonly [number, number];
}

/**
 * Sets a fault on a node for some seconds, by one script, so that neither the length nor the end depends on this test.
 *
 * @param begin, end shell commands; `$1` is the process id of the place.
 */
async function fault(
  cluster: TestCluster,
  { node, pid }: Place,
  seconds: number,
  { begin, end }: { readonly begin: string; readonly end: string },
): Promise<Fault> {
  // To enter a node takes CPU time that a prober on it may need: a second passes before the fault begins.
  const script = `set -e; now() { date +%s%3N; }; sleep 1
a=$(now); ${begin} >&2; b=$(now); sleep ${seconds}; c=$(now); ${end} >&2; echo "$a $b $c $(now)"`;
  const text = await cluster.access.exec(node, ["bash", "-c", script, "fault", pid], (seconds + 20) * 1_000);
  const [a = 0, b = 0, c = 0, d = 0] = text.trim().split(" ").map(Number);
  return { from: [a, b], to: [c, d] };
}

/** Packets are dropped in the pod's network namespace. */
function dropped(match: string): { begin: string; end: string } {
  const rule = (action: string): string => `nsenter -t "$1" -n iptables -w ${action} ${match} -j DROP`;
  return { begin: rule("-I"), end: rule("-D") };
}

/** Redis takes writes only while it has this many followers: 0 is its default. */
function redisWithout(followers: number): string {
  return `nsenter -t "$1" -n bash -c 'exec 3<>/dev/tcp/127.0.0.1/6379; printf "CONFIG SET min-replicas-to-write ${followers}\\r\\n" >&3; read -r answer <&3; [[ $answer == +OK* ]]'`;
}

const pause = async (ms: number): Promise<void> => await new Promise((resolve) => setTimeout(resolve, ms));

/** What a run measured, and when it began, ms since the epoch. */
interface Measured {
  readonly result: RunResult;
  readonly series: readonly Series[];
  readonly zero: number;
}

/** A control run, with faults in its window. */
async function controlRun(
  { cluster, space }: { cluster: TestCluster; space: Workspace },
  experiment: { readonly name: string; readonly window: string; readonly interval: number },
  faults: () => Promise<void>,
): Promise<Measured & { text: string }> {
  const { name, window, interval } = experiment;
  const file = await writeExperiment(space, { name, window, attack: "{ type: none }" });
  await appendFile(file, `probes: { interval: ${interval}ms }\n`);
  const child = chaosRun(cluster, space, file);
  await windowStarted(child);
  await faults();
  const ended = await child;
  const { folder, result } = await onlyReport(space);
  const { series } = await analyseFolder(folder);
  return {
    result,
    series,
    text: `${said(ended)}\n${result.severityBecause}`,
    zero: Date.parse(result.facts.startedAt),
  };
}

/** The outages of a series that overlap a fault, with times in ms since the epoch. */
function outagesIn(
  { outages }: Pick<ProbeResult, "outages">,
  { from, to }: Fault,
  zero: number,
): { from: number; to: number }[] {
  return outages
    .map(({ fromMs, toMs }) => ({ from: zero + fromMs, to: zero + (toMs ?? Infinity) }))
    .filter((outage) => outage.from <= to[1] && outage.to >= from[0]);
}

/**
 * Whether the measuring itself was late during a fault: then its samples count for nothing, and the report says so. A busy
 * machine must not fail this test, and must not pass it silently.
 */
function wasLate(
  t: ExecutionContext,
  result: RunResult,
  source: string,
  { from, to }: Fault,
  zero: number,
): boolean {
  const { disturbed = [] } = result;
  const late = disturbed.some(
    (each) =>
      each.source === source &&
      each.spans.some(({ fromMs, toMs }) => zero + fromMs < to[1] + 1_000 && zero + toMs > from[0] - 1_000),
  );
  if (late) t.log(`not compared: the prober on ${source} was late during the fault of ${to[0] - from[0]} ms`);
  return late;
}

/**
 * Within this the ends of an outage are those of the fault, ms: less than the default sampling interval, and as much more
 * as a prober that was late for less than a stall may have shifted a sample.
 */
function toleranceMs({ disturbed = [] }: RunResult, source: string): number {
  return disturbed.some((each) => each.source === source && each.lateMs > 0) ? 200 + STALL_MS : 200;
}

/** "312 failed 900, 412 missed 0": the samples of a probe around a fault, their starts from its begin, and how long they took, ms. */
function samplesAround(points: readonly Point[], { from, to }: Fault, zero: number): string {
  return points
    .filter(({ tMs }) => zero + tMs > from[0] - 1_000 && zero + tMs < to[1] + 1_500)
    .map(
      ({ tMs, outcome, durationMs, disturbed }) =>
        `${Math.round(zero + tMs - from[0])} ${disturbed === true ? "disturbed " : ""}${outcome} ${Math.round(durationMs)}`,
    )
    .join(", ");
}

/**
 * One outage, and both its ends are those of the fault. A request that is under way when the fault begins may fail, too: on
 * a busy machine it began long before.
 */
function assertSeen(
  t: ExecutionContext,
  { probe, source, ...series }: ProbeResult,
  { fault: each, measured }: { readonly fault: Fault; readonly measured: Measured },
): void {
  const { result, zero } = measured;
  const points = measured.series.find((one) => one.probe === probe && one.source === source)?.points ?? [];
  const tolerance = toleranceMs(result, source);
  const found = outagesIn(series, each, zero);
  const message = `${probe} from ${source}: ${JSON.stringify({ fault: each, found, zero })}\n${samplesAround(points, each, zero)}`;
  const taken = points.filter(
    ({ tMs, outcome }) => outcome !== "missed" && zero + tMs > each.from[1] && zero + tMs < each.to[0],
  ).length;
  if (taken < FEWEST_FAILURES) return t.log(`not compared: ${taken} samples of ${message}`);
  t.is(found.length, 1, message);
  for (const { from, to } of found) {
    const first = points.find(({ tMs }) => Math.abs(zero + tMs - from) < 1);
    const underWay = CONNECTS.includes(probe) ? 0 : (first?.durationMs ?? 0);
    t.true(
      from + underWay >= each.from[0] - tolerance && from <= each.from[1] + tolerance,
      `begin: ${message}`,
    );
    t.true(to >= each.to[0] - tolerance && to <= each.to[1] + tolerance, `end: ${message}`);
  }
}

test.serial(
  "packets are dropped for one front end of three for 30 s: intermittent, and it is named",
  async (t) => {
    const at = await setUp(t);
    const interval = 400;
    let lost: { place: Place; fault: Fault } | undefined;
    const { result, text, zero } = await controlRun(
      at,
      { name: "one-front-end", window: "36s", interval },
      async () => {
        const [place] = await placesOf(at.cluster, "guestbook", selectorString(FRONTEND_LABELS));
        if (place === undefined) throw new Error("no front end");
        await pause(1_500);
        lost = { place, fault: await fault(at.cluster, place, 30, dropped("INPUT -p tcp --dport 80")) };
      },
    );
    t.not(result.severity, "outage", text);
    t.not(result.severity, "none", text);
    const { client } = result;
    if (lost === undefined || !client) throw new Error(`the report does not say what a client saw: ${text}`);
    t.like(client, {
      class: "intermittent",
      explainedBy: { what: "front end", names: [lost.place.name], of: FRONT_ENDS },
    });
    const { from, to } = lost.fault;
    // Each worker asks one front end after the other, so each of them is sampled at every third tick.
    const sampled = FRONT_ENDS * interval;
    const { lastedMs } = client;
    const began = zero + (client.fromMs ?? Infinity);
    t.log(client.because, `${lastedMs} ms; in fact ${to[0] - from[1]} to ${to[1] - from[0]} ms`);
    t.true(
      began >= from[0] - sampled && began <= from[1] + sampled,
      `began ${began - from[0]} ms after the fault`,
    );
    t.true(lastedMs >= to[0] - from[1] - sampled && lastedMs <= to[1] - from[0] + sampled, `${lastedMs} ms`);
  },
);

test.serial(
  "one worker is cut off for 0.3, 1 and 5 s, Redis takes no writes, a prober is stopped: each is what it is",
  async (t) => {
    const at = await setUp(t);
    const { cluster } = at;
    // A cut of 0.3 s must fail more samples than noise explains: three of each TCP probe.
    const interval = 100;
    const cuts: Fault[] = [];
    let readOnly: Fault | undefined;
    let stopped: Fault | undefined;
    let probers: Place[] = [];
    const { text, ...measured } = await controlRun(
      at,
      { name: "faults", window: "40s", interval },
      async () => {
        probers = await placesOf(cluster, "kube-system-chaos", selectorString(PROBER_LABELS));
        const [redis] = await placesOf(cluster, "guestbook", selectorString(LEADER_LABELS));
        const [first, second] = probers;
        if (first === undefined || second === undefined || redis === undefined)
          throw new Error("missing pods");
        // Requests to the application; not the answers to the runner. Twice 0.3 s: one missed sample leaves too few of them.
        for (const seconds of [0.3, 0.3, 1, 5]) {
          await pause(1_000);
          cuts.push(await fault(cluster, first, seconds, dropped("OUTPUT -p tcp --dport 1:7000")));
        }
        await pause(2_000);
        readOnly = await fault(cluster, redis, 5, { begin: redisWithout(99), end: redisWithout(0) });
        await pause(2_000);
        stopped = await fault(cluster, second, 3, { begin: 'kill -STOP "$1"', end: 'kill -CONT "$1"' });
      },
    );
    const { result, zero } = measured;
    const [cut, other] = probers.map(({ node }) => node);
    const series = (probes: readonly ProbeName[], source: string | undefined): ProbeResult[] =>
      result.probes.filter((each) => probes.includes(each.probe) && each.source === source);
    for (const each of cuts) {
      if (!wasLate(t, result, cut ?? "", each, zero))
        for (const one of series(CONNECTS, cut)) assertSeen(t, one, { fault: each, measured });
      for (const one of series(CONNECTS, other))
        t.deepEqual(outagesIn(one, each, zero), [], `${one.source} ${text}`);
    }
    if (readOnly === undefined || stopped === undefined) throw new Error("a fault is missing");
    for (const source of [cut, other]) {
      const late = wasLate(t, result, source ?? "", readOnly, zero);
      for (const one of late ? [] : series(["app-write"], source))
        assertSeen(t, one, { fault: readOnly, measured });
      for (const one of series(["app-read", ...CONNECTS], source))
        t.deepEqual(
          outagesIn(one, readOnly, zero),
          [],
          `${one.probe} from ${one.source} while Redis took no writes`,
        );
    }
    for (const one of result.probes.filter(({ source }) => source === other)) {
      t.deepEqual(outagesIn(one, stopped, zero), [], `${one.probe} while its prober was stopped`);
    }
    for (const { phases, probe } of series(CONNECTS, other))
      t.true(phases.window.missed >= 3_000 / interval - 2, `${probe}: ${phases.window.missed} missed`);
  },
);
