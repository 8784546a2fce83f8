/**
 * When the target had a serving instance, from the watches and the nodes' runtimes. The rule is described at
 * `Suppression` in result.ts. Milliseconds since the run began.
 */
import type { ObjectRef, RunEvent } from "../evidence/events.js";
import { nodeAnswers, runningMoments, type ServingMoment } from "./serving-nodes.js";

/** From `tMs` until the next step, an instance served or none did. */
export interface ServingStep {
  readonly tMs: number;
  readonly serving: boolean;
}

interface PodState {
  readonly uid: string | undefined;
  readonly name: string;
  readonly ready: boolean;
  readonly terminating: boolean;
}

/** A container that a node's runtime was seen running, proven from `fromMs` to `toMs`. */
interface Sighting {
  readonly entry: string;
  readonly node: string;
  readonly fromMs: number;
  readonly toMs: number;
}

const keyOf = (object: ObjectRef): string => `${object.namespace ?? ""}/${object.name}`;

const nameOf = (key: string): string => key.slice(key.indexOf("/") + 1);

/** The runner records a container as "POD ID". */
const podOf = (entry: string): string => entry.split(/[\s/]/, 1)[0] ?? entry;

/** The known state of the target at one moment. */
export class TargetState {
  readonly #pods = new Map<string, PodState>();
  readonly #endpoints = new Map<string, number>();
  /** The current sightings of each container: the node, and how many. */
  readonly #running = new Map<string, { readonly node: string; readonly sightings: number }>();
  /** Names of pods: seen in the API; ever ready; ready while terminating. */
  readonly #known = new Set<string>();
  readonly #everReady = new Set<string>();
  readonly #readyTerminating = new Set<string>();
  /** An endpoint was seen that serves while it terminates. A target without a Service has none. */
  #terminatingServe = false;

  /** Applies a watch event. */
  apply(event: RunEvent): void {
    if (event.type === "instance") {
      const { uid, name } = event.object;
      this.#known.add(name);
      if (event.ready) (event.terminating ? this.#readyTerminating : this.#everReady).add(name);
      this.#pods.set(keyOf(event.object), {
        uid,
        name,
        ready: event.ready,
        terminating: event.terminating,
      });
    } else if (event.type === "endpoints") {
      this.#endpoints.set(keyOf(event.service), event.ready + event.servingTerminating);
      this.#terminatingServe ||= event.servingTerminating > 0;
    } else if (event.type === "gone" && event.object.kind === "Pod") {
      this.#forget(event.object);
    }
  }

  /** A new object of the same name may appear before the old one's end is seen. Only the same object is removed. */
  #forget(object: ObjectRef): void {
    const uid = this.#pods.get(keyOf(object))?.uid;
    if (uid === undefined || object.uid === undefined || uid === object.uid) this.#pods.delete(keyOf(object));
  }

  /** A sighting begins (+1) or ends (−1). */
  count({ entry, node }: Sighting, change: 1 | -1): void {
    const sightings = (this.#running.get(entry)?.sightings ?? 0) + change;
    if (sightings === 0) this.#running.delete(entry);
    else this.#running.set(entry, { node, sightings });
  }

  /**
   * The container belongs to a pod that was never ready, or was ready only after its deletion in a cluster where
   * terminating pods get no endpoint. No traffic was ever routed to it, even if a busy kubelet keeps it running for a
   * while.
   */
  neverServed(entry: string): boolean {
    const name = podOf(entry);
    if (!this.#known.has(name) || this.#everReady.has(name)) return false;
    return !this.#terminatingServe || !this.#readyTerminating.has(name);
  }

  /** Everything that shows the target serving; empty: it does not. */
  servingBy(): string[] {
    const by: string[] = [];
    for (const [service, serving] of this.#endpoints)
      if (serving > 0) by.push(`an endpoint of ${nameOf(service)}`);
    for (const pod of this.#pods.values())
      if (pod.ready && !pod.terminating) by.push(`the ready pod ${pod.name}`);
    for (const [entry, { node, sightings }] of this.#running)
      if (sightings > 0 && !this.neverServed(entry)) by.push(`the container of ${podOf(entry)} on ${node}`);
    return by;
  }
}

interface Answer {
  readonly tMs: number;
  readonly running: ReadonlySet<string>;
}

/** The runtime's answers of each node, in order, without failed questions. */
function answersByNode(events: readonly RunEvent[]): Map<string, Answer[]> {
  const byNode = new Map<string, Answer[]>();
  for (const event of events) {
    if (event.type !== "runtime" || event.error !== undefined) continue;
    const answers = byNode.get(event.node) ?? [];
    answers.push({ tMs: event.tMs, running: new Set(event.running) });
    byNode.set(event.node, answers);
  }
  return byNode;
}

/** When a container's pod was first seen in the API; −∞ when it never was. */
function knownSince(events: readonly RunEvent[], entry: string): number {
  const name = podOf(entry);
  const first = events.find((event) => event.type === "instance" && event.object.name === name);
  return first?.tMs ?? -Infinity;
}

/**
 * What the answers prove: a container seen twice in a row ran in between, and a container in a node's first answer
 * ran before it (the target is up before the attack). A single sighting proves only a moment. It is counted in
 * `runtimeRunning`.
 */
function sightingsOf(events: readonly RunEvent[]): Sighting[] {
  const sightings: Sighting[] = [];
  const pair = (node: string, previous: Answer | undefined, answer: Answer): void => {
    const toMs = answer.tMs;
    for (const entry of answer.running) {
      if (previous === undefined) {
        sightings.push({ entry, node, fromMs: Math.min(knownSince(events, entry), toMs), toMs });
      } else if (previous.running.has(entry)) {
        sightings.push({ entry, node, fromMs: previous.tMs, toMs });
      }
    }
  };
  for (const [node, answers] of answersByNode(events)) {
    answers.forEach((answer, index) => pair(node, answers[index - 1], answer));
  }
  return sightings;
}

/**
 * What served at each moment of the run at which something changed. Before the first moment nothing is known.
 *
 * @param nodes the attacked nodes, for a target on nodes; undefined: the target is a workload.
 */
export function servingMoments(events: readonly RunEvent[], nodes?: readonly string[]): ServingMoment[] {
  if (nodes !== undefined) return runningMoments(nodeAnswers(events, nodes));
  const state = new TargetState();
  const changes: { tMs: number; apply: () => void }[] = events.map((event) => ({
    tMs: event.tMs,
    apply: () => state.apply(event),
  }));
  for (const sighting of sightingsOf(events)) {
    changes.push({ tMs: sighting.fromMs, apply: () => state.count(sighting, 1) });
    changes.push({ tMs: sighting.toMs, apply: () => state.count(sighting, -1) });
  }
  changes.sort((a, b) => (a.tMs < b.tMs ? -1 : a.tMs > b.tMs ? 1 : 0));
  const moments: ServingMoment[] = [];
  changes.forEach(({ tMs, apply }, index) => {
    apply();
    // Changes of the same moment count together.
    if (changes[index + 1]?.tMs !== tMs) moments.push({ tMs, by: state.servingBy() });
  });
  return moments;
}

/** Steps of serving and not serving, from the moments. Pure. */
export function servingSteps(moments: readonly ServingMoment[]): ServingStep[] {
  const steps: ServingStep[] = [];
  for (const { tMs, by } of moments) {
    const serving = by.length > 0;
    if (steps.at(-1)?.serving !== serving) steps.push({ tMs, serving });
  }
  return steps;
}
