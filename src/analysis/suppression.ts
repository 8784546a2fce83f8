/** How well the target was kept down, from the run's events. Milliseconds. */
import type { RunEvent } from "./events.js";
import type { ClosedSpan } from "./phases.js";
import type { Suppression } from "./result.js";
import { servingSteps, TargetState, type ServingStep } from "./serving.js";

type EventOf<T extends RunEvent["type"]> = Extract<RunEvent, { type: T }>;

/** The API server accepted the deletion. (404 and 409: there was nothing left to delete.) */
export function isAccepted(kill: EventOf<"kill">): boolean {
  return kill.status >= 200 && kill.status < 300;
}

/** Time of the first accepted deletion, ms since the run began; null: there was none. */
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

/** Time within the span in which the target served, ms. */
function servingWithin(steps: readonly ServingStep[], span: ClosedSpan): number {
  let total = 0;
  steps.forEach((step, index) => {
    if (!step.serving) return;
    const from = Math.max(step.tMs, span.fromMs);
    const to = Math.min(steps[index + 1]?.tMs ?? Infinity, span.toMs);
    total += Math.max(0, to - from);
  });
  return total;
}

/** First moment of the span without a serving instance; null: there is none. */
function downAt(steps: readonly ServingStep[], span: ClosedSpan): number | null {
  const before = steps.findLast((step) => step.tMs <= span.fromMs);
  if (before?.serving !== true) return span.fromMs;
  return steps.find((step) => !step.serving && step.tMs > span.fromMs && step.tMs < span.toMs)?.tMs ?? null;
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

/** The runtimes' answers in the span after the target was down, and which saw a container that may serve. */
function runningAfter(
  events: readonly RunEvent[],
  span: ClosedSpan,
  afterMs: number,
): { checks: number; running: number; share: number } {
  const state = new TargetState();
  const nodes = new Map<string, { checks: number; running: number }>();
  for (const event of events) {
    state.apply(event);
    if (event.type !== "runtime" || event.error !== undefined) continue;
    if (event.tMs <= afterMs || event.tMs >= span.toMs) continue;
    const node = nodes.get(event.node) ?? { checks: 0, running: 0 };
    node.checks += 1;
    if (event.running.some((entry) => !state.neverServed(entry))) node.running += 1;
    nodes.set(event.node, node);
  }
  const all = [...nodes.values()];
  return {
    checks: all.reduce((sum, node) => sum + node.checks, 0),
    running: all.reduce((sum, node) => sum + node.running, 0),
    share: Math.min(
      1,
      all.reduce((sum, node) => sum + node.running / node.checks, 0),
    ),
  };
}

/**
 * Suppression from the first accepted kill to the release.
 *
 * @param events in order of time.
 * @param windowFromMs start of the window: no kill is before it.
 * @param releaseMs end of the window: the start of the release.
 * @returns null when nothing was killed.
 */
export function suppressionOf(
  events: readonly RunEvent[],
  windowFromMs: number,
  releaseMs: number,
): Suppression | null {
  const fromMs = firstKillOf(events);
  if (fromMs === null) return null;
  const span = { fromMs, toMs: Math.max(fromMs, releaseMs) };
  const windowMs = span.toMs - span.fromMs;
  const steps = servingSteps(events);
  const servingMs = servingWithin(steps, span);
  const down = downAt(steps, span);
  const kills = ofType(events, "kill", span);
  const accepted = kills.filter(isAccepted);
  const recreated = ofType(events, "recreated", span);
  const runtime = ofType(events, "runtime", span);
  const answers = runtime.filter((event) => event.error === undefined);
  const after = runningAfter(events, span, down ?? Infinity);
  return {
    windowMs,
    servingMs,
    share: windowMs === 0 ? 0 : 1 - servingMs / windowMs,
    servingBefore: steps.findLast((step) => step.tMs < Math.min(windowFromMs, fromMs))?.serving ?? false,
    downAfterMs: down === null ? null : down - fromMs,
    kills: accepted.length,
    killsByKind: countBy(accepted, (kill) => kill.object.kind),
    killsNotAccepted: kills.length - accepted.length,
    recreationsByKind: countBy(recreated, (event) => event.object.kind),
    recreatedBy: [...new Set(recreated.flatMap((event) => event.by ?? []))],
    readySeen: down === null ? 0 : readySeen(events, span, down),
    evidence: after.checks > 0 ? "runtime" : "API only",
    runtimeNodes: [...new Set(answers.map((event) => event.node))].sort(),
    runtimeChecks: answers.length,
    runtimeRunning: after.running,
    runtimeRunningShare: after.share,
    runtimeErrors: runtime.length - answers.length,
  };
}
