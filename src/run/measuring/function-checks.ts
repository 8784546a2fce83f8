import { podSource } from "../../application/own-pods.js";
import { within } from "../../common/clock.js";
import { ChaosError, messageOf } from "../../common/errors.js";
import { getOrUndefined } from "../../kube/api.js";
import type { KubeObject } from "../../kube/objects.js";
import { schedulableNodes } from "../../kube/pod-state.js";
import { ensure } from "../../own/ensure.js";
import { namespaceManifest } from "../../own/manifest.js";
import { CANARY_NAMESPACE, namespaceState } from "../../own/namespaces.js";
import { PROBER_NAMESPACE } from "../../own/own-names.js";
import { copyPullSecrets } from "../../own/pull-secrets.js";
import { functionProbes } from "../../probes/functions/all-function-checks.js";
import type {
  FunctionCheck,
  Observation,
  ReadyFunctionCheck,
} from "../../probes/functions/function-check.js";
import { record, recordNamespace } from "../../safety/journal/entries.js";
import type { PendingUndo } from "../../safety/journal/journal.js";
import type { WorkloadUndo } from "../../safety/journal/undo.js";
import { type AnyTarget, isNodeTarget } from "../../targets/target.js";
import type { RunContext } from "../context.js";

/** How long a check that is cancelled at the end of its phase may take to end, ms. */
const CANCEL_MS = 1_000;

/**
 * Checks the component's own function repeatedly during a phase. Every finished check becomes an event. A check that
 * the end of its phase cut off is no evidence, unless it succeeded.
 */
export class FunctionChecks {
  readonly #context: RunContext;
  readonly #probe: FunctionCheck;
  readonly #ready: ReadyFunctionCheck;
  readonly #pending: { readonly look: number; readonly id: string }[] = [];
  #finished = 0;
  #lastPresent = false;
  #running: { readonly abort: AbortController; readonly done: Promise<void> } | undefined;

  private constructor(context: RunContext, probe: FunctionCheck, ready: ReadyFunctionCheck) {
    this.#context = context;
    this.#probe = probe;
    this.#ready = ready;
  }

  /**
   * Creates the check's canaries in the run's own namespace.
   *
   * @param nodes the attacked nodes; empty: the target is a workload.
   * @param sources the nodes whose probers are asked; undefined: all of them.
   * @returns undefined when the component has no function check.
   * @throws ChaosError when the canaries cannot be created.
   */
  static async prepare(
    context: RunContext,
    target: AnyTarget,
    nodes: readonly string[],
    sources?: readonly string[],
  ): Promise<FunctionChecks | undefined> {
    const name = context.resolved.component?.functionProbe;
    if (name === undefined) return undefined;
    const probe = functionProbes[name];
    const namespace = await canaryNamespace(context);
    const { transport, clock, recorder } = context;
    const ready = await probe.prepare({
      transport,
      clock,
      runId: context.runId,
      pods: podSource(context.pods),
      namespace,
      nodes: nodes.length > 0 ? nodes : schedulableNodes(context.nodes).map((node) => node.metadata.name),
      ...(sources === undefined ? {} : { sources }),
      component: isNodeTarget(target) ? undefined : { namespace: target.namespace, name: target.name },
      emit: recorder.emit,
      interrupted: context.interrupted,
      record: async (path, collection, onlyField) =>
        await recordField(context, { path, collection, onlyField }),
    });
    return new FunctionChecks(context, probe, ready);
  }

  /** Whether a check may disturb the application and therefore runs outside the window. */
  get disturbs(): boolean {
    return this.#probe.disturbs;
  }

  get deadlineMs(): number {
    return this.#probe.deadlineMs;
  }

  /** Number of checks finished so far. */
  get finished(): number {
    return this.#finished;
  }

  get lastPresent(): boolean {
    return this.#lastPresent;
  }

  /** Starts checking, one check after the other. */
  begin(): void {
    if (this.#running !== undefined) return;
    const abort = new AbortController();
    this.#running = { abort, done: this.#loop(abort.signal) };
  }

  /** Cancels the current check and stops checking. */
  async end(): Promise<void> {
    const running = this.#running;
    this.#running = undefined;
    running?.abort.abort();
    await running?.done;
  }

  /** Waits until one more check is finished, or the time is up. @returns whether it found the function present. */
  async another(limitMs: number, signal: AbortSignal): Promise<boolean> {
    const finishedBefore = this.#finished;
    const end = this.#context.clock.now() + limitMs;
    this.begin();
    while (this.#finished === finishedBefore && this.#context.clock.now() < end && !signal.aborted)
      await this.#context.clock.sleep(100, signal);
    return this.#finished > finishedBefore && this.#lastPresent;
  }

  /** After the recovery: checks, up to a given check, whether results that missed their deadline have arrived since. */
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
          text: `cannot find out whether the result of function check ${look} arrived later: ${messageOf(error)}`,
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
          text: `the function check ${this.#probe.name} failed to run: ${messageOf(error)}`,
        });
      return;
    }
    if (signal.aborted && !observation.present) return;
    this.#finished += 1;
    this.#lastPresent = observation.present;
    const { present, evidence, pendingId } = observation;
    const tookMs = clock.now() - startedAt;
    if (pendingId !== undefined && !present) this.#pending.push({ look: this.#finished, id: pendingId });
    recorder.emit(
      {
        type: "function",
        probe: this.#probe.name,
        look: this.#finished,
        present,
        tookMs: Math.round(tookMs),
        evidence,
        ...(pendingId === undefined ? {} : { pendingId }),
      },
      startedAt,
    );
  }

  /** A check has its own limits. A check that exceeds them must not hang the run. */
  async #bounded(signal: AbortSignal): Promise<Observation> {
    const limitMs = this.#probe.deadlineMs + 5 * CANCEL_MS;
    const limit = { limitMs, what: "the function check did not end" };
    return await within(this.#context.clock, limit, this.#ready.look(signal));
  }
}

/**
 * A namespace for the canaries: the prepared one, or one for this run alone, so that the next run does not have to wait
 * for its removal.
 */
async function canaryNamespace(context: RunContext): Promise<string> {
  const { transport } = context;
  const prepared = (await namespaceState(transport, CANARY_NAMESPACE)) === "prepared";
  const name = prepared ? CANARY_NAMESPACE : canaryNamespaceOf(context.runId);
  await recordNamespace(context, name);
  await ensure(transport, namespaceManifest(name));
  await copyPullSecrets(transport, name, context.pods.pullSecrets);
  return name;
}

/** "kube-system-chaos-canary-3f9a": the end of a run's id is random. Pure. */
export function canaryNamespaceOf(runId: string): string {
  return `${PROBER_NAMESPACE}-canary-${runId.slice(-4)}`;
}

/** Records, once, how to undo the change of a field outside the run's own namespaces, before a check makes it. */
async function recordField(
  context: RunContext,
  change: Required<Pick<WorkloadUndo, "path" | "collection" | "onlyField">>,
): Promise<void> {
  const { path } = change;
  const known = (entry: PendingUndo): boolean =>
    entry.undo.action === "restore-workload" && entry.undo.path === path;
  if (context.changed.some(known)) return;
  const object = await getOrUndefined<KubeObject>(context.transport, path);
  if (object === undefined) throw new ChaosError(`${path} no longer exists`);
  await record(context.journal, context.changed, { action: "restore-workload", object, ...change });
}

/** How much later than the baseline a function check may end that started shortly before the baseline's end, ms. */
export const CHECK_SLACK_MS = 2000;
