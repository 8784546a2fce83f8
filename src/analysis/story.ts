/** What the cluster said meanwhile of its nodes and of the application's endpoints, and what was done to it. */
import type { ObjectRef, RunEvent } from "../evidence/events.js";
import { duration } from "../common/figures.js";
import type { RunResult } from "./result.js";

type EventOf<T extends RunEvent["type"]> = Extract<RunEvent, { type: T }>;

const named = ({ kind, name }: ObjectRef): string => `${kind} ${name}`;

/** Follows what is told of more than once: only what changed is a sentence. */
class Teller {
  readonly #nodes = new Map<string, string>();
  readonly #ready = new Map<string, number>();
  /** Most ready addresses that a Service was seen with: what it has when all is well. */
  readonly #most = new Map<string, number>();

  /** @returns the sentence without its time; undefined: nothing that anybody need be told. */
  tell(event: RunEvent): string | undefined {
    if (event.type === "node-ready") return this.#node(event);
    if (event.type === "app-endpoints") return this.#endpoints(event);
    if (event.type === "churn") return churn(event);
    return event.type === "let-up" ? `the attack let ${named(event.object)} come back` : undefined;
  }

  #node({ node, ready, reason }: EventOf<"node-ready">): string | undefined {
    const before = this.#nodes.get(node) ?? "True";
    this.#nodes.set(node, ready);
    if (before === ready) return undefined;
    const why = reason === undefined ? "" : ` (${reason})`;
    if (ready === "True") return `node ${node} Ready again`;
    return ready === "gone" ? `node ${node} gone` : `node ${node} NotReady${why}`;
  }

  #endpoints({ service, ready }: EventOf<"app-endpoints">): string | undefined {
    const before = this.#ready.get(service);
    const most = Math.max(ready, this.#most.get(service) ?? 0);
    this.#ready.set(service, ready);
    this.#most.set(service, most);
    if (before === undefined || before === ready) return undefined;
    return `${ready} of ${most} ${most === 1 ? "address" : "addresses"} of ${service} ready`;
  }
}

function churn({ object, ok, tookMs, detail }: EventOf<"churn">): string {
  const after = detail === "" ? "" : `: ${detail}`;
  return ok
    ? `${named(object)} had its pod replaced, which took ${duration(tookMs)}${after}`
    : `${named(object)} could not have its pod replaced in ${duration(tookMs)}${after}`;
}

const signed = (ms: number): string => (ms < 0 ? duration(ms) : `+${duration(ms)}`);

/**
 * The story from the window's start on, in order; each sentence begins with its time.
 *
 * @param events in order of time.
 * @param fromMs start of the window; null: it was not reached, so there is no story.
 * @param zeroMs zero of the times that are told: the first kill.
 */
export function storyOf(
  events: readonly RunEvent[],
  fromMs: number | null,
  zeroMs: number,
): RunResult["story"] {
  if (fromMs === null) return [];
  const teller = new Teller();
  return events.flatMap((event) => {
    const text = teller.tell(event);
    if (text === undefined || event.tMs < fromMs) return [];
    return [{ tMs: event.tMs, text: `${signed(event.tMs - zeroMs)}: ${text}` }];
  });
}
