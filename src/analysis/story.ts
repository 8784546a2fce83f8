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

/** An attack on nodes: how long they stayed Ready is seen, not assumed (clusters set other grace periods). */
export interface AttackedNodes {
  readonly nodes: readonly string[];
  readonly firstKillMs: number;
  readonly releaseMs: number;
}

/**
 * Sentences for attacked nodes that were Ready from the first kill to the release. For a node whose state was not seen,
 * or while the watch of nodes failed, there is none.
 */
function stayedReady(events: readonly RunEvent[], attacked: AttackedNodes): RunResult["story"] {
  const { nodes, firstKillMs, releaseMs } = attacked;
  const during = (tMs: number): boolean => tMs >= firstKillMs && tMs <= releaseMs;
  if (events.some((event) => event.type === "watch" && event.resource === "nodes" && during(event.tMs)))
    return [];
  return nodes.flatMap((node) => {
    const states = events.filter(
      (event): event is EventOf<"node-ready"> =>
        event.type === "node-ready" && event.node === node && event.tMs <= releaseMs,
    );
    const before = states.findLast(({ tMs }) => tMs < firstKillMs)?.ready;
    if (before !== "True" || states.some(({ tMs, ready }) => during(tMs) && ready !== "True")) return [];
    return [
      {
        tMs: releaseMs,
        text: `${signed(releaseMs - firstKillMs)}: node ${node} still Ready when it was released`,
      },
    ];
  });
}

const signed = (ms: number): string => (ms < 0 ? duration(ms) : `+${duration(ms)}`);

/**
 * The story from the window's start, in order. Each sentence begins with its time.
 *
 * @param events in order of time.
 * @param fromMs start of the window; null: it was not reached, so there is no story.
 * @param zeroMs zero of the times in the sentences: the first kill.
 * @param attacked undefined: the attack does not concern the readiness of nodes.
 */
export function storyOf(
  events: readonly RunEvent[],
  fromMs: number | null,
  zeroMs: number,
  attacked?: AttackedNodes,
): RunResult["story"] {
  if (fromMs === null) return [];
  const changes = new Changes();
  const story = events.flatMap((event) => {
    const text = changes.describe(event);
    if (text === undefined || event.tMs < fromMs) return [];
    return [{ tMs: event.tMs, text: `${signed(event.tMs - zeroMs)}: ${text}` }];
  });
  const stayed = attacked === undefined ? [] : stayedReady(events, attacked);
  return [...story, ...stayed].sort((a, b) => a.tMs - b.tMs);
}
