/** How well the target was kept down, from the run's events. Milliseconds. */
import type { RunEvent } from "../evidence/events.js";
import { fightOf } from "./fight.js";
import type { ClosedSpan } from "./phases.js";
import type { Suppression } from "./result.js";
import {
  A_CONTAINER,
  type NodeAnswer,
  nodeAnswers,
  runningMoments,
  type ServingMoment,
} from "./serving-nodes.js";
import { coveredMs, isWithin } from "./spans.js";
import { servingMoments, servingSteps, TargetState, type ServingStep } from "./serving.js";

type EventOf<T extends RunEvent["type"]> = Extract<RunEvent, { type: T }>;

/** The API server or the node accepted it. (404 and 409: nothing was left to delete.) */
export function isAccepted(kill: EventOf<"kill">): boolean {
  return kill.status >= 200 && kill.status < 300;
}

/** Time of the first accepted kill, ms since the run began; null: there was none. */
export function firstKillOf(events: readonly RunEvent[]): number | null {
  return events.find((event) => event.type === "kill" && isAccepted(event))?.tMs ?? null;
}

function ofType<T extends RunEvent["type"]>(
  events: readonly RunEvent[],
  type: T,
  span: ClosedSpan,
): EventOf<T>[] {
  return events.filter(
    (event): event is EventOf<T> => event.type === type && event.tMs >= span.fromMs && event.tMs < span.toMs,
  );
}

function countBy<T>(items: readonly T[], key: (item: T) => string): Record<string, number> {
  const result: Record<string, number> = {};
  for (const item of items) result[key(item)] = (result[key(item)] ?? 0) + 1;
  return result;
}

/** Each item with its time within the span, ms: until the next item. */
function lastingWithin<T extends { readonly tMs: number }>(
  each: readonly T[],
  span: ClosedSpan,
): (T & { readonly ms: number })[] {
  return each.map((one, index) => {
    const from = Math.max(one.tMs, span.fromMs);
    const to = Math.min(each[index + 1]?.tMs ?? Infinity, span.toMs);
    return { ...one, ms: Math.max(0, to - from) };
  });
}

/** Time within the span during which the target served, ms, without the time of `stalls`. */
function servingWithin(
  steps: readonly ServingStep[],
  span: ClosedSpan,
  stalls: readonly ClosedSpan[] = [],
): number {
  return steps.reduce((sum, { tMs, serving }, index) => {
    const fromMs = Math.max(tMs, span.fromMs);
    const toMs = Math.min(steps[index + 1]?.tMs ?? Infinity, span.toMs);
    return serving && toMs > fromMs ? sum + toMs - fromMs - coveredMs(stalls, { fromMs, toMs }) : sum;
  }, 0);
}

/** At most this many serving instances are named. */
const NAMED = 3;

/** What served within the span and for how long, longest first. */
function servedBy(moments: readonly ServingMoment[], span: ClosedSpan): Suppression["servedBy"] {
  const times = new Map<string, number>();
  for (const { by, ms } of lastingWithin(moments, span)) {
    for (const what of by) times.set(what, (times.get(what) ?? 0) + ms);
  }
  return [...times]
    .filter(([, ms]) => ms > 0)
    .map(([what, ms]) => ({ what, ms }))
    .sort((a, b) => b.ms - a.ms || (a.what < b.what ? -1 : 1))
    .slice(0, NAMED);
}

/** First moment of the span without a serving instance; null: there is none. */
function firstDown(steps: readonly ServingStep[], span: ClosedSpan): number | null {
  const before = steps.findLast((step) => step.tMs <= span.fromMs);
  if (before?.serving !== true) return span.fromMs;
  return steps.find((step) => !step.serving && step.tMs > span.fromMs && step.tMs < span.toMs)?.tMs ?? null;
}

/** How often the target went from serving to not serving within the span. */
function timesDown(steps: readonly ServingStep[], span: ClosedSpan): number {
  return steps.filter(
    (step, index) =>
      !step.serving && steps[index - 1] !== undefined && step.tMs >= span.fromMs && step.tMs < span.toMs,
  ).length;
}

/** How often a pod became Ready in the span after `afterMs`. */
function readySeen(events: readonly RunEvent[], span: ClosedSpan, afterMs: number): number {
  const ready = new Map<string, boolean>();
  let seen = 0;
  for (const event of events) {
    if (event.type !== "instance") continue;
    const key = event.object.uid ?? `${event.object.namespace ?? ""}/${event.object.name}`;
    const became = event.ready && !event.terminating && ready.get(key) !== true;
    ready.set(key, event.ready);
    if (became && event.tMs > afterMs && event.tMs < span.toMs) seen += 1;
  }
  return seen;
}

/** How often a target on nodes ran again in the span after `afterMs`. */
function runningAgain(steps: readonly ServingStep[], span: ClosedSpan, afterMs: number): number {
  return steps.filter((step) => step.serving && step.tMs > afterMs && step.tMs < span.toMs).length;
}

/** Every answer of every node to whether the target may have served there, in order of time. */
function checksOf(events: readonly RunEvent[], nodes: readonly string[] | undefined): NodeAnswer[] {
  if (nodes !== undefined) return nodeAnswers(events, nodes);
  const state = new TargetState();
  const checks: NodeAnswer[] = [];
  for (const event of events) {
    state.apply(event);
    if (event.type !== "runtime" || event.error !== undefined) continue;
    const runs = event.running.some((entry) => !state.neverServed(entry));
    checks.push({ tMs: event.tMs, node: event.node, asked: A_CONTAINER, runs });
  }
  return checks;
}

/** The share of the time from the first of these checks in which any node ran it. */
function runningShare(checks: readonly NodeAnswer[], toMs: number): number {
  const [first] = checks;
  if (first === undefined) return 0;
  const span = { fromMs: first.tMs, toMs };
  return servingWithin(servingSteps(runningMoments(checks)), span) / (toMs - first.tMs);
}

/** Accepted kills other than deletions, by object. */
function otherKillsOf(accepted: readonly EventOf<"kill">[]): Suppression["blows"] {
  const found = new Map<string, Suppression["blows"][number]>();
  for (const { action = "deleted", object } of accepted) {
    if (action === "deleted") continue;
    const key = JSON.stringify([action, object.kind, object.namespace, object.name]);
    found.set(key, { action, object, times: (found.get(key)?.times ?? 0) + 1 });
  }
  return [...found.values()];
}

/** How many questions the nodes could not answer, and whether one answered for a unit after the target was down. */
function asked(
  events: readonly RunEvent[],
  span: ClosedSpan,
  nodes: readonly string[] | undefined,
): { errors: number; unit: (afterMs: number) => boolean } {
  const mine = (event: EventOf<"runtime" | "unit">): boolean => nodes?.includes(event.node) ?? true;
  const units = nodes === undefined ? [] : ofType(events, "unit", span).filter(mine);
  const all = [...units, ...ofType(events, "runtime", span).filter(mine)];
  return {
    errors: all.filter((event) => event.error !== undefined).length,
    unit: (afterMs) => units.some((event) => event.error === undefined && event.tMs > afterMs),
  };
}

/**
 * When the target was first down: the first moment since the first accepted kill without a serving instance, ms since
 * the run began. null: it was never down, or nothing was killed.
 *
 * @param events in order of time.
 * @param untilMs later moments do not count: the release, or now.
 * @param nodes the attacked nodes, for a target on nodes; undefined: the target is a workload.
 */
export function downAtMs(
  events: readonly RunEvent[],
  untilMs: number,
  nodes?: readonly string[],
): number | null {
  const fromMs = firstKillOf(events);
  if (fromMs === null || fromMs >= untilMs) return null;
  return firstDown(servingSteps(servingMoments(events, nodes)), { fromMs, toMs: untilMs });
}

/**
 * How well the target was kept down: time to down from the first accepted kill, and the share of the time without a
 * serving instance from then to the release.
 *
 * @param events in order of time.
 * @param windowFromMs start of the window; no kill comes before it.
 * @param releaseMs end of the window: the start of the release.
 * @param nodes the attacked nodes, for a target on nodes; undefined: the target is a workload.
 * @param stalls when the runner was late itself. What it saw or did then is late, too: it does not count for the share of
 *   time, nor do a node's answers that it read then.
 * @returns null: nothing was killed.
 */
export function suppressionOf(
  events: readonly RunEvent[],
  windowFromMs: number,
  releaseMs: number,
  nodes?: readonly string[],
  stalls: readonly ClosedSpan[] = [],
): Suppression | null {
  const fromMs = firstKillOf(events);
  if (fromMs === null) return null;
  const span = { fromMs, toMs: Math.max(fromMs, releaseMs) };
  const moments = servingMoments(events, nodes);
  const steps = servingSteps(moments);
  const down = firstDown(steps, span);
  const afterMs = down ?? Infinity;
  const kept = { fromMs: down ?? span.fromMs, toMs: span.toMs };
  const keptMs = kept.toMs - kept.fromMs - coveredMs(stalls, kept);
  const kills = ofType(events, "kill", span);
  const accepted = kills.filter(isAccepted);
  const recreated = ofType(events, "recreated", span);
  const checks = checksOf(events, nodes).filter(({ tMs }) => tMs >= span.fromMs && tMs < span.toMs);
  const after = checks.filter(({ tMs }) => tMs > afterMs && !isWithin(stalls, tMs, tMs));
  const { errors, unit } = asked(events, span, nodes);
  const again = nodes === undefined ? readySeen(events, span, afterMs) : runningAgain(steps, span, afterMs);
  return {
    windowMs: span.toMs - span.fromMs,
    servingMs: servingWithin(steps, span),
    servedBy: servedBy(moments, kept),
    share: down === null || keptMs === 0 ? 0 : 1 - servingWithin(steps, kept, stalls) / keptMs,
    servingBefore: steps.findLast((step) => step.tMs < Math.min(windowFromMs, fromMs))?.serving ?? false,
    downAfterMs: down === null ? null : down - fromMs,
    timesDown: timesDown(steps, span),
    kills: accepted.length,
    killsByKind: countBy(accepted, (kill) => kill.object.kind),
    blows: otherKillsOf(accepted),
    killsNotAccepted: kills.length - accepted.length,
    recreationsByKind: countBy(recreated, (event) => event.object.kind),
    recreatedBy: [...new Set(recreated.flatMap((event) => event.by ?? []))],
    fight: fightOf(events, accepted, span),
    readySeen: again,
    evidence: unit(afterMs) ? "node" : after.length > 0 ? "runtime" : "API only",
    runtimeNodes: [...new Set(checks.map(({ node }) => node))].sort(),
    runtimeChecks: checks.length,
    runtimeRunning: after.filter(({ runs }) => runs).length,
    runtimeRunningShare: runningShare(after, span.toMs),
    runtimeErrors: errors,
  };
}
