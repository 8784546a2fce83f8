/**
 * When a target of nodes (a static pod, a systemd unit) ran, from what was asked on the attacked nodes. What the
 * API says of it is left aside: without a kubelet, or without the API server itself, it is what was.
 * Milliseconds since the run began.
 */
import type { RunEvent } from "./events.js";
import type { ServingStep } from "./serving.js";

/** A node's answer to whether the target runs on it. */
export interface NodeAnswer {
  readonly tMs: number;
  readonly node: string;
  /** What was asked after: the runtime's containers, or a unit. */
  readonly asked: string;
  readonly runs: boolean;
}

/** What an event says of the target on a node; undefined: nothing (another event, another node, no answer). */
export function nodeAnswer(event: RunEvent, nodes: readonly string[]): NodeAnswer | undefined {
  if ((event.type !== "unit" && event.type !== "runtime") || event.error !== undefined) return undefined;
  const { tMs, node } = event;
  if (!nodes.includes(node)) return undefined;
  return event.type === "unit"
    ? { tMs, node, asked: `unit ${event.unit}`, runs: event.active }
    : { tMs, node, asked: "runtime", runs: event.running.length > 0 };
}

/**
 * Steps of serving and not serving. An answer holds until the next one to the same question; a question that was
 * not answered changes nothing. The first answer that it runs also speaks for the time before it: the target is
 * up before the attack.
 *
 * @param events in order of time.
 */
export function nodeServingSteps(events: readonly RunEvent[], nodes: readonly string[]): ServingStep[] {
  const runs = new Map<string, boolean>();
  const steps: ServingStep[] = [];
  const answers = events.flatMap((event) => nodeAnswer(event, nodes) ?? []);
  answers.forEach((answer, index) => {
    const key = `${answer.node} ${answer.asked}`;
    const first = !runs.has(key);
    runs.set(key, answer.runs);
    if (first && answer.runs && steps.length === 0) steps.push({ tMs: -Infinity, serving: true });
    // Answers of the same moment count together.
    if (answers[index + 1]?.tMs === answer.tMs) return;
    const serving = [...runs.values()].some(Boolean);
    if (steps.at(-1)?.serving !== serving) steps.push({ tMs: answer.tMs, serving });
  });
  return steps;
}
