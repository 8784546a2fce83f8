/**
 * When a target on nodes (a static pod, a systemd unit) ran, from the answers of the attacked nodes. The API's view
 * is ignored: without a kubelet or an API server it is out of date. Milliseconds since the run began.
 */
import type { RunEvent } from "../evidence/events.js";

/** What a node's runtime is asked for, in words. */
export const A_CONTAINER = "a container of it";

/** A node's answer to whether the target runs on it. */
export interface NodeAnswer {
  readonly tMs: number;
  readonly node: string;
  /** The subject of the question, in words: the runtime's containers, or a unit. */
  readonly asked: string;
  readonly runs: boolean;
}

/** The answer that an event has about the target on a node; undefined: none (another event, another node, an error). */
export function nodeAnswer(event: RunEvent, nodes: readonly string[]): NodeAnswer | undefined {
  if ((event.type !== "unit" && event.type !== "runtime") || event.error !== undefined) return undefined;
  const { tMs, node } = event;
  if (!nodes.includes(node)) return undefined;
  return event.type === "unit"
    ? { tMs, node, asked: `unit ${event.unit}`, runs: event.active }
    : { tMs, node, asked: A_CONTAINER, runs: event.running.length > 0 };
}

/** The answers that these events have about the target, in their order. */
export function nodeAnswers(events: readonly RunEvent[], nodes: readonly string[]): NodeAnswer[] {
  return events.flatMap((event) => nodeAnswer(event, nodes) ?? []);
}

/**
 * What ran at each moment. An answer is valid until the next answer to the same question. An unanswered question
 * changes nothing. The first answer that it runs also covers the time before it: the target is up before the
 * attack.
 *
 * @param answers in order of time.
 */
export function runningMoments(answers: readonly NodeAnswer[]): ServingMoment[] {
  const runs = new Map<string, boolean>();
  const moments: ServingMoment[] = [];
  answers.forEach((answer, index) => {
    const key = `${answer.asked} on ${answer.node}`;
    const first = !runs.has(key);
    runs.set(key, answer.runs);
    if (first && answer.runs && moments.length === 0) moments.push({ tMs: -Infinity, by: [key] });
    // Answers of the same moment count together.
    if (answers[index + 1]?.tMs === answer.tMs) return;
    moments.push({ tMs: answer.tMs, by: [...runs].filter(([, running]) => running).map(([each]) => each) });
  });
  return moments;
}

/** What served from `tMs` until the next moment: nothing, or each instance in words. */
export interface ServingMoment {
  readonly tMs: number;
  readonly by: readonly string[];
}
