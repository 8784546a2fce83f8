/**
 * When the target had a serving instance, from what the watches and the nodes' runtimes said. The rule is
 * written at `Suppression` in result.ts. Milliseconds since the run began.
 */
import type { ObjectRef, RunEvent } from "./events.js";
import { nodeServingSteps } from "./serving-nodes.js";

/** From `tMs` on (until the next step) an instance served, or none did. */
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

/** A container that a node's runtime was seen running: proven from `fromMs` to `toMs`. */
interface Sighting {
  readonly entry: string;
  readonly fromMs: number;
  readonly toMs: number;
}

const keyOf = (object: ObjectRef): string => `${object.namespace ?? ""}/${object.name}`;

/** The runner writes a container as "POD ID". */
const podOf = (entry: string): string => entry.split(/[\s/]/, 1)[0] ?? entry;

/** What is known of the target at one moment. */
export class TargetState {
  readonly #pods = new Map<string, PodState>();
  readonly #endpoints = new Map<string, number>();
  readonly #running = new Map<string, number>();
  /** Names of the pods that the API has shown, and of those that were ever ready. */
  readonly #known = new Set<string>();
  readonly #everReady = new Set<string>();

  /** Takes in what a watch said. */
  apply(event: RunEvent): void {
    if (event.type === "instance") {
      const { uid, name } = event.object;
      this.#known.add(name);
      if (event.ready) this.#everReady.add(name);
      this.#pods.set(keyOf(event.object), {
        uid,
        name,
        ready: event.ready,
        terminating: event.terminating,
      });
    } else if (event.type === "endpoints") {
      this.#endpoints.set(keyOf(event.service), event.ready + event.servingTerminating);
    } else if (event.type === "gone" && event.object.kind === "Pod") {
      this.#forget(event.object);
    }
  }

  /** A namesake may have come before its predecessor's end was seen: only the same object is forgotten. */
  #forget(object: ObjectRef): void {
    const uid = this.#pods.get(keyOf(object))?.uid;
    if (uid === undefined || object.uid === undefined || uid === object.uid) this.#pods.delete(keyOf(object));
  }

  /** A sighting begins (+1) or ends (−1). */
  count(entry: string, change: 1 | -1): void {
    const sightings = (this.#running.get(entry) ?? 0) + change;
    if (sightings === 0) this.#running.delete(entry);
    else this.#running.set(entry, sightings);
  }

  /**
   * The container belongs to a pod that was never ready: it has not been in any endpoint, so nothing was ever
   * routed to it, also when it runs on for a while after its pod was deleted.
   */
  neverServed(entry: string): boolean {
    const name = podOf(entry);
    return this.#known.has(name) && !this.#everReady.has(name);
  }

  isServing(): boolean {
    for (const serving of this.#endpoints.values()) if (serving > 0) return true;
    for (const pod of this.#pods.values()) if (pod.ready && !pod.terminating) return true;
    for (const [entry, sightings] of this.#running)
      if (sightings > 0 && !this.neverServed(entry)) return true;
    return false;
  }
}

interface Answer {
  readonly tMs: number;
  readonly running: ReadonlySet<string>;
}

/** The runtime's answers of each node, in order; failed questions are no answers. */
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
 * What the answers prove: a container seen twice in a row ran in between, and one seen by a node's first answer
 * ran before it (the target is up before the attack). One sighting alone proves a moment, not a stretch; it is
 * counted in `runtimeRunning`.
 */
function sightingsOf(events: readonly RunEvent[]): Sighting[] {
  const sightings: Sighting[] = [];
  const pair = (previous: Answer | undefined, answer: Answer): void => {
    for (const entry of answer.running) {
      if (previous === undefined) {
        sightings.push({ entry, fromMs: Math.min(knownSince(events, entry), answer.tMs), toMs: answer.tMs });
      } else if (previous.running.has(entry)) {
        sightings.push({ entry, fromMs: previous.tMs, toMs: answer.tMs });
      }
    }
  };
  for (const answers of answersByNode(events).values()) {
    answers.forEach((answer, index) => pair(answers[index - 1], answer));
  }
  return sightings;
}

/**
 * Steps of serving and not serving over the whole run; before the first step nothing is known.
 *
 * @param nodes those that are attacked, for a target of nodes; undefined: the target is a workload.
 */
export function servingSteps(events: readonly RunEvent[], nodes?: readonly string[]): ServingStep[] {
  if (nodes !== undefined) return nodeServingSteps(events, nodes);
  const state = new TargetState();
  const changes: { tMs: number; apply: () => void }[] = events.map((event) => ({
    tMs: event.tMs,
    apply: () => state.apply(event),
  }));
  for (const { entry, fromMs, toMs } of sightingsOf(events)) {
    changes.push({ tMs: fromMs, apply: () => state.count(entry, 1) });
    changes.push({ tMs: toMs, apply: () => state.count(entry, -1) });
  }
  changes.sort((a, b) => (a.tMs < b.tMs ? -1 : a.tMs > b.tMs ? 1 : 0));
  const steps: ServingStep[] = [];
  changes.forEach(({ tMs, apply }, index) => {
    apply();
    // Changes of the same moment count together.
    if (changes[index + 1]?.tMs === tMs) return;
    const serving = state.isServing();
    if (steps.at(-1)?.serving !== serving) steps.push({ tMs, serving });
  });
  return steps;
}
