import { within } from "../../common/clock.js";
import { ChaosError, messageOf } from "../../common/errors.js";
import { getOrUndefined } from "../../kube/api.js";
import type { KubeObject } from "../../kube/objects.js";
import { schedulableNodes } from "../../kube/pod-state.js";
import { ensure } from "../../own/ensure.js";
import { namespaceManifest } from "../../own/manifest.js";
import { CANARY_NAMESPACE, namespaceState } from "../../own/namespaces.js";
import { PROBER_NAMESPACE } from "../../own/own-names.js";
import { functionProbes } from "../../probes/functions/all-function-checks.js";
import type {
  FunctionCheck,
  Observation,
  ReadyFunctionCheck,
} from "../../probes/functions/function-check.js";
import { record, recordNamespace } from "../../safety/journal/entries.js";
import type { PendingUndo } from "../../safety/journal/journal.js";
import { type AnyTarget, isNodeTarget } from "../../targets/target.js";
import type { RunContext } from "../context.js";

/** A look that is given up at the end of its phase may take so much longer to say so, ms. */
const GIVING_UP_MS = 1_000;

/**
 * Looks at the component's own function, again and again while a phase goes on. Every look that was finished
 * becomes an event; one that the end of its phase cut off is no evidence of anything, unless it had succeeded.
 */
export class FunctionChecks {
  readonly #context: RunContext;
  readonly #probe: FunctionCheck;
  readonly #ready: ReadyFunctionCheck;
  readonly #pending: { readonly look: number; readonly id: string }[] = [];
  #look = 0;
  #lastPresent = false;
  #running: { readonly abort: AbortController; readonly done: Promise<void> } | undefined;

  private constructor(context: RunContext, probe: FunctionCheck, ready: ReadyFunctionCheck) {
    this.#context = context;
    this.#probe = probe;
    this.#ready = ready;
  }

  /**
   * Sets the probe's canaries up, in a namespace of the run's own.
   *
   * @param nodes that are attacked; empty: the target is a workload.
   * @returns undefined when the component has no such probe.
   * @throws ChaosError when the canaries cannot be made.
   */
  static async prepare(
    context: RunContext,
    target: AnyTarget,
    nodes: readonly string[],
  ): Promise<FunctionChecks | undefined> {
    const name = context.resolved.component?.functionProbe;
    if (name === undefined) return undefined;
    const probe = functionProbes[name];
    const namespace = await canaryNamespace(context);
    const { transport, discovery, clock, recorder } = context;
    const ready = await probe.prepare({
      transport,
      discovery,
      clock,
      runId: context.runId,
      namespace,
      nodes: nodes.length > 0 ? nodes : schedulableNodes(context.nodes).map((node) => node.metadata.name),
      component: isNodeTarget(target) ? undefined : { namespace: target.namespace, name: target.name },
      emit: recorder.emit,
      interrupted: context.interrupted,
      record: async (path, collection) => await recordObject(context, path, collection),
    });
    return new FunctionChecks(context, probe, ready);
  }

  /** Whether a look may disturb the application, and so is taken outside its window. */
  get disturbs(): boolean {
    return this.#probe.disturbs;
  }

  get deadlineMs(): number {
    return this.#probe.deadlineMs;
  }

  /** Looks that were finished so far. */
  get finished(): number {
    return this.#look;
  }

  get lastPresent(): boolean {
    return this.#lastPresent;
  }

  /** Begins to look, one look after the other. */
  begin(): void {
    if (this.#running !== undefined) return;
    const abort = new AbortController();
    this.#running = { abort, done: this.#loop(abort.signal) };
  }

  /** Gives up the look that is under way, and looks no more. */
  async end(): Promise<void> {
    const running = this.#running;
    this.#running = undefined;
    running?.abort.abort();
    await running?.done;
  }

  /** Waits until a further look is finished, or the time is up. @returns whether the last one found it present. */
  async another(limitMs: number, signal: AbortSignal): Promise<boolean> {
    const before = this.#look;
    const end = this.#context.clock.now() + limitMs;
    this.begin();
    while (this.#look === before && this.#context.clock.now() < end && !signal.aborted)
      await this.#context.clock.sleep(100, signal);
    return this.#look > before && this.#lastPresent;
  }

  /** After the recovery: looks for what had not arrived by its deadline, up to a look. */
  async followUp(upTo: number): Promise<void> {
    const { recorder } = this.#context;
    for (const { look, id } of this.#pending) {
      if (this.#ready.followUp === undefined || look > upTo) return;
      try {
        const { arrived, evidence } = await this.#ready.followUp(id);
        const outcome = arrived ? "late" : "lost";
        recorder.emit({ type: "function-late", probe: this.#probe.name, look, outcome, evidence });
      } catch (error) {
        recorder.emit({
          type: "warning",
          text: `what became of look ${look} is not known: ${messageOf(error)}`,
        });
      }
    }
  }

  async #loop(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#once(signal);
      await this.#context.clock.sleep(this.#probe.everyMs, signal);
    }
  }

  async #once(signal: AbortSignal): Promise<void> {
    const { clock, recorder } = this.#context;
    const startedAt = clock.now();
    let observation: Observation;
    try {
      observation = await this.#bounded(signal);
    } catch (error) {
      if (!signal.aborted)
        recorder.emit({
          type: "warning",
          text: `a look at ${this.#probe.name} could not be taken: ${messageOf(error)}`,
        });
      return;
    }
    if (signal.aborted && !observation.present) return;
    this.#look += 1;
    this.#lastPresent = observation.present;
    const { present, evidence, pendingId } = observation;
    const tookMs = clock.now() - startedAt;
    if (pendingId !== undefined && !present) this.#pending.push({ look: this.#look, id: pendingId });
    recorder.emit(
      {
        type: "function",
        probe: this.#probe.name,
        look: this.#look,
        present,
        tookMs: Math.round(tookMs),
        evidence,
        ...(pendingId === undefined ? {} : { pendingId }),
      },
      startedAt,
    );
  }

  /** A look has its own limits; one that does not keep them must not hang the run. */
  async #bounded(signal: AbortSignal): Promise<Observation> {
    const limitMs = this.#probe.deadlineMs + 5 * GIVING_UP_MS;
    const limit = { limitMs, what: "it did not end" };
    return await within(this.#context.clock, limit, this.#ready.look(signal));
  }
}

/**
 * A namespace for the canaries: the prepared one, or else one of this run alone (removing it takes time that the next
 * run need not wait for).
 */
async function canaryNamespace(context: RunContext): Promise<string> {
  const { transport } = context;
  const prepared = (await namespaceState(transport, CANARY_NAMESPACE)) === "prepared";
  const name = prepared ? CANARY_NAMESPACE : canaryNamespaceOf(context.runId);
  await recordNamespace(context, name);
  await ensure(transport, namespaceManifest(name));
  return name;
}

/** "kube-system-chaos-canary-3f9a": the end of a run's id is random. Pure. */
export function canaryNamespaceOf(runId: string): string {
  return `${PROBER_NAMESPACE}-canary-${runId.slice(-4)}`;
}

/** Writes down how an object outside our namespaces is put back, once, before a look changes it. */
async function recordObject(context: RunContext, path: string, collection: string): Promise<void> {
  const known = (entry: PendingUndo): boolean =>
    entry.undo.action === "restore-workload" && entry.undo.path === path;
  if (context.changed.some(known)) return;
  const object = await getOrUndefined<KubeObject>(context.transport, path);
  if (object === undefined) throw new ChaosError(`${path} is not there any more`);
  await record(context.journal, context.changed, { action: "restore-workload", path, collection, object });
}

/** A look at the function that was begun shortly before the end of the baseline may end so much later, ms. */
export const LOOK_SLACK_MS = 2000;
