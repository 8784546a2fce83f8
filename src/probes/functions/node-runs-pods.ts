import { functionFacts } from "../../components/functions.js";
import { hasEnded } from "../../kube/pod-state.js";
import { getOrUndefined, PODS, resourcePath } from "../../kube/api.js";
import type { Pod } from "../../kube/objects.js";
import { ChaosError } from "../../common/errors.js";
import {
  canaryPod,
  createCanary,
  isRunning,
  Leftovers,
  type Names,
  podsAreAdmitted,
  removeCanary,
  runNames,
  stateOf,
  canaryNeeds,
  MAKE,
} from "./canary.js";
import type { FunctionContext, FunctionCheck } from "./function-check.js";
import { attempt, CheckTime, preparation, seconds, type Seen } from "./attempt.js";

const FACTS = functionFacts("node-runs-pods");
const EVERY_MS = 250;
const PREPARE_LIMIT_MS = 60_000;

/** kubelet, container runtime: a new pod starts on the node, and a running one can be deleted. */
export const nodeRunsPods: FunctionCheck = {
  ...FACTS,
  needs: (canaries) => canaryNeeds(canaries, [...MAKE, "delete"], "pods"),
  async prepare(context) {
    await podsAreAdmitted(context);
    const names = runNames(context, "node");
    const leftovers = new Leftovers(context.transport);
    const canaries = context.nodes.map((node) => new NodeCanary(context, node, names, leftovers));
    await Promise.all(canaries.map(async (canary) => await canary.prepare()));
    return {
      async look(signal) {
        const check = new CheckTime(context.clock, FACTS.deadlineMs, signal);
        try {
          const results = await Promise.all(canaries.map(async (canary) => await canary.check(check)));
          return {
            present: results.length > 0 && results.every(({ present }) => present),
            evidence: results.map(({ evidence }) => evidence).join("; "),
          };
        } finally {
          await leftovers.sweep();
        }
      },
    };
  },
};

/** The canary pods of one node: the running one to delete next, and the deleted one that has not ended. */
class NodeCanary {
  readonly #context: FunctionContext;
  readonly #node: string;
  readonly #names: Names;
  readonly #leftovers: Leftovers;
  /** A running pod. */
  #spare: string | undefined;
  /** Was starting when the previous check was cancelled; it probably runs by now. */
  #starting: string | undefined;
  /** Its deletion was accepted, but it has not ended. */
  #ending: string | undefined;

  constructor(context: FunctionContext, node: string, names: Names, leftovers: Leftovers) {
    this.#context = context;
    this.#node = node;
    this.#names = names;
    this.#leftovers = leftovers;
  }

  /** @throws ChaosError if no pod runs on the node in time. */
  async prepare(): Promise<void> {
    const started = await this.#start(preparation(this.#context, PREPARE_LIMIT_MS));
    if ("not" in started)
      throw new ChaosError(`cannot run a canary pod on node ${this.#node}: ${started.not}`);
  }

  async check(check: CheckTime): Promise<{ present: boolean; evidence: string }> {
    await this.#takeOver(check);
    const deleted = this.#spare ?? this.#ending;
    const [ended, started] = await Promise.all([
      deleted === undefined ? undefined : this.#end(deleted, check),
      this.#start(check),
    ]);
    const present = !("not" in started) && (ended === undefined || !("not" in ended));
    const words = [started, ended ?? { not: "there was no running pod to delete" }].map((seen) =>
      "not" in seen ? seen.not : seen.done,
    );
    return { present, evidence: `${this.#node}: ${words.join(", ")}` };
  }

  /** Starts a pod, which becomes the spare one. */
  async #start(check: CheckTime): Promise<Seen<string>> {
    const { transport, namespace } = this.#context;
    const name = this.#names.next();
    const path = resourcePath(PODS, namespace, name);
    this.#leftovers.add(path);
    const pod = canaryPod({ namespace, pods: this.#context.pods, name, node: this.#node });
    const created = await attempt(createCanary(transport, resourcePath(PODS, namespace), pod, check.call()));
    if ("not" in created) return { not: `pod ${name} could not be created (${created.not})` };
    const running = await check.until<Pod>(EVERY_MS, async () => {
      const live = await getOrUndefined<Pod>(transport, path, check.call());
      if (live === undefined) return { not: "it no longer exists" };
      return isRunning(live) ? { done: live } : { not: stateOf(live) };
    });
    const after = `after ${seconds(check.tookMs)}`;
    if ("not" in running) {
      if (check.signal?.aborted === true) this.#keepStarting(name);
      return { not: `pod ${name} did not run ${after} (${running.not})` };
    }
    this.#leftovers.keep(path);
    // The API did not accept the deletion of the old one: try again later.
    if (this.#spare !== undefined) this.#leftovers.add(resourcePath(PODS, namespace, this.#spare));
    this.#spare = name;
    return { done: `pod ${name} ran ${after}` };
  }

  /** The phase ended before the pod ran: the first check of the next phase needs a running pod. */
  #keepStarting(name: string): void {
    this.#leftovers.keep(resourcePath(PODS, this.#context.namespace, name));
    this.#starting = name;
  }

  /** Makes the pod that was starting the spare one if it runs by now. */
  async #takeOver(check: CheckTime): Promise<void> {
    const name = this.#starting;
    if (name === undefined) return;
    this.#starting = undefined;
    const path = resourcePath(PODS, this.#context.namespace, name);
    const live = await attempt(getOrUndefined<Pod>(this.#context.transport, path, check.call()));
    const runs = !("not" in live) && live.done !== undefined && isRunning(live.done);
    if (runs && this.#spare === undefined) this.#spare = name;
    else this.#leftovers.add(path);
  }

  /** Deletes a pod, if it is not deleted yet, and waits until its containers have ended. */
  async #end(name: string, check: CheckTime): Promise<Seen<string>> {
    const { transport, namespace } = this.#context;
    const path = resourcePath(PODS, namespace, name);
    const before = name === this.#ending ? "deleted before" : "deleted";
    if (name !== this.#ending) {
      const accepted = await attempt(removeCanary(transport, path, check.call()));
      if ("not" in accepted) return { not: `pod ${name} could not be deleted (${accepted.not})` };
      // The new pod, started in parallel, may already be the spare one.
      if (this.#spare === name) this.#spare = undefined;
      this.#ending = name;
    }
    const ended = await check.until(EVERY_MS, async () => {
      const live = await getOrUndefined<Pod>(transport, path, check.call());
      if (live === undefined || hasEnded(live)) return { done: true };
      return { not: `Terminating, ${containersOf(live)}` };
    });
    if ("not" in ended)
      return { not: `pod ${name}, ${before}, has not ended after ${seconds(check.tookMs)} (${ended.not})` };
    this.#ending = undefined;
    return { done: `pod ${name}, ${before}, ended after ${seconds(check.tookMs)}` };
  }
}

function containersOf(pod: Pod): string {
  const running = (pod.status?.containerStatuses ?? []).some((each) => each.state?.running !== undefined);
  return running ? "its container is reported as running" : "its node has reported no container state";
}
