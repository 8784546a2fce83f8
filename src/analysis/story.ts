/** What happened during the run to nodes, to the application's endpoints and to the churned pod. */
import type { ObjectRef, RunEvent } from "../evidence/events.js";
import { duration } from "../common/figures.js";
import type { RunResult } from "./result.js";

type EventOf<T extends RunEvent["type"]> = Extract<RunEvent, { type: T }>;

const named = ({ kind, name }: ObjectRef): string => `${kind} ${name}`;

/** Keeps the last state of nodes and Services, because only a change gives a sentence. */
class Changes {
  readonly #nodes = new Map<string, string>();
  readonly #ready = new Map<string, number>();
  /** The most ready addresses seen for a Service: its normal number. */
  readonly #most = new Map<string, number>();

  /** @returns the sentence without its time; undefined: nothing to report. */
  describe(event: RunEvent): string | undefined {
    if (event.type === "node-ready") return this.#node(event);
    if (event.type === "app-endpoints") return this.#endpoints(event);
    if (event.type === "churn") return churn(event);
    return event.type === "let-up" ? `the attack allowed ${named(event.object)} to run again` : undefined;
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
    ? `${named(object)}: pod replaced in ${duration(tookMs)}${after}`
    : `${named(object)}: pod not replaced within ${duration(tookMs)}${after}`;
}

const signed = (ms: number): string => (ms < 0 ? duration(ms) : `+${duration(ms)}`);

/**
 * The story from the window's start, in order. Each sentence begins with its time.
 *
 * @param events in order of time.
 * @param fromMs start of the window; null: it was not reached, so there is no story.
 * @param zeroMs zero of the times in the sentences: the first kill.
 */
export function storyOf(
  events: readonly RunEvent[],
  fromMs: number | null,
  zeroMs: number,
): RunResult["story"] {
  if (fromMs === null) return [];
  const changes = new Changes();
  return events.flatMap((event) => {
    const text = changes.describe(event);
    if (text === undefined || event.tMs < fromMs) return [];
    return [{ tMs: event.tMs, text: `${signed(event.tMs - zeroMs)}: ${text}` }];
  });
}
