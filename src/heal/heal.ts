/**
 * `chaos heal`: the note's cure. Deletes the pods of a component one at a time, each replaced before the next, and measures
 * before and after whether it helped. A controller is never deleted.
 */
import { anySignal } from "../common/signals.js";
import { ChaosError, ExitCode, messageOf, RefusedError } from "../common/errors.js";
import { plural, seconds } from "../common/figures.js";
import { objectName } from "../common/object-name.js";
import { components } from "../components/all-components.js";
import type { ComponentName } from "../experiment/names.js";
import { list, NODES, resourcePath } from "../kube/api.js";
import { withConnection } from "../kube/connect.js";
import type { Node, Pod } from "../kube/objects.js";
import { type Permission, rights } from "../kube/permission.js";
import { isTerminating } from "../kube/pod-state.js";
import { ApiError, ApiUnreachableError, type Transport } from "../kube/transport.js";
import { usableNodes } from "../nodes/left-out.js";
import {
  type Measured,
  type Probing,
  probingProblem,
  type ProbingOptions,
  type SeriesName,
  withProbers,
} from "../run/probing/probing.js";
import { findTarget, type Target } from "../targets/target.js";
import {
  compared,
  type Comparison,
  type Losses,
  lossesIn,
  lossLine,
  type Seen,
  stateLines,
} from "./compare.js";
import { refusedEviction } from "./evict.js";
import { inOrder, lastReady, podsOfTarget, podWords, workloadOnly } from "./pods.js";
import { type Replaced, type ReplaceOptions, replacePod } from "./replace.js";

export interface HealOptions extends Omit<ProbingOptions, "purpose" | "durationMs" | "permissions"> {
  readonly component: ComponentName;
  /** Replace also the last pod that is ready. */
  readonly allowLast: boolean;
  /** Delete pods without asking PodDisruptionBudgets. */
  readonly disableEviction: boolean;
  /** For one pod: for its eviction, and then for its successor, ms. */
  readonly limitMs: number;
  readonly dryRun: boolean;
  /** How long is measured before and after, ms. */
  readonly measureMs: number;
}

export interface HealOutcome {
  readonly exitCode: ExitCode;
  readonly lines: readonly string[];
  /** What failed while the pods were replaced; absent: none was, or it ended before. */
  readonly losses?: Losses;
  /** For --json. */
  readonly summary: unknown;
}

/** Deploying, measuring and removing, besides the pods, ms. */
const AROUND_MS = 10 * 60_000;

/**
 * @throws RefusedError before anything is deleted: no workload, the last ready pod, missing rights, no confirmation, the
 * lock; the errors of `withProbers`.
 */
export async function heal(options: HealOptions): Promise<HealOutcome> {
  const { handle, toolVersion, interrupted: signal, view } = options;
  const userAgent = `kube-system-chaos/${toolVersion} (heal)`;
  const { kubeconfigPath, context } = handle;
  return await withConnection({ kubeconfigPath, context, userAgent, signal }, async (connection) => {
    const { transport } = connection;
    const { target, pods } = await unlessForbidden(async () => await planOf(transport, options));
    const order = inOrder(pods);
    for (const line of planLines(target, order, options)) view.info(line);
    if (options.dryRun) return await dryRun(transport, target, order, options);
    refuseTheLast(order, pods, options);
    const probing = {
      ...options,
      purpose: "heal",
      durationMs: AROUND_MS + order.length * 2 * options.limitMs,
      permissions: permissionsFor(target, options),
    } as const;
    return await withProbers(connection, probing, async (probers) => {
      return await new Healing(probers, transport, target, options).run(order);
    });
  });
}

async function planOf(
  transport: Transport,
  { component }: HealOptions,
): Promise<{ readonly target: Target; readonly pods: readonly Pod[] }> {
  const { items } = await list<Node>(transport, resourcePath(NODES));
  const found = await findTarget(transport, { component }, components[component], {
    nodes: usableNodes(items),
    all: items,
  });
  if ("problem" in found) throw new RefusedError(`${found.problem}. Nothing was changed`);
  const target = workloadOnly(found);
  const pods = await podsOfTarget(transport, target);
  if (!pods.some((pod) => !isTerminating(pod)))
    throw new RefusedError(
      `${objectName(target)} has no pod to replace. \`chaos doctor\` shows what its controller lacks. Nothing was changed`,
    );
  return { target, pods };
}

/** What is forbidden to read is a refusal: nothing was changed. */
async function unlessForbidden<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof ApiError && error.status === 403)) throw error;
    throw new RefusedError(`${error.message}. Nothing was changed`, { cause: error });
  }
}

function refuseTheLast(order: readonly Pod[], pods: readonly Pod[], { allowLast }: HealOptions): void {
  const [first] = order;
  const problem = first === undefined || allowLast ? undefined : lastReady(first, pods);
  if (problem !== undefined) throw new RefusedError(`${problem}. Nothing was changed`);
}

function planLines(target: Target, order: readonly Pod[], { disableEviction }: HealOptions): string[] {
  const how = disableEviction ? "deleted" : "evicted, as far as PodDisruptionBudgets allow";
  return [
    `heal ${objectName(target)} (${target.ownerChain.join(" → ")}): ${plural(order.length, "pod")}, one at a time, ${how}:`,
    ...order.map((pod, index) => `  ${index + 1}. ${podWords(pod)}`),
  ];
}

/** Also asks the API server about the rights, and whether budgets would allow each eviction now. */
async function dryRun(
  transport: Transport,
  target: Target,
  order: readonly Pod[],
  options: HealOptions,
): Promise<HealOutcome> {
  const { disableEviction, allowLast, component } = options;
  const [first] = order;
  const last = first === undefined || allowLast ? undefined : lastReady(first, order);
  const rightless = await probingProblem(transport, permissionsFor(target, options));
  const budgets = await Promise.all(
    order.map(async (pod) => {
      if (disableEviction || rightless !== undefined) return [];
      const why = await refusedEviction(transport, pod, "All");
      return why === undefined ? [] : [`pod ${pod.metadata.name} would wait for its budget: ${why}`];
    }),
  );
  const refusals = [last, rightless].flatMap((each) => (each === undefined ? [] : [`refused: ${each}`]));
  const problems = [...refusals, ...budgets.flat()];
  return {
    exitCode: refusals.length === 0 ? ExitCode.asExpected : ExitCode.preflightRefused,
    lines: [...problems, "dry run: nothing was changed"],
    summary: {
      dryRun: true,
      component,
      target: objectName(target),
      pods: order.map(({ metadata }) => metadata.name),
      problems,
    },
  };
}

/** What `heal` does besides measuring. */
export function permissionsFor(
  { namespace, kind, services }: Pick<Target, "namespace" | "kind" | "services">,
  { disableEviction }: Pick<HealOptions, "disableEviction">,
): Permission[] {
  const reading = "finding the component's pods, and their successors";
  const resource = kind === "Deployment" ? "apps/deployments" : "apps/daemonsets";
  return [
    ...rights(reading, ["list"], { resource: "pods", namespace }),
    ...rights(reading, ["list"], { resource, namespace }),
    ...(kind === "Deployment" ? rights(reading, ["list"], { resource: "apps/replicasets", namespace }) : []),
    ...(services.length === 0
      ? []
      : rights("whether a successor is an endpoint", ["list"], {
          resource: "discovery.k8s.io/endpointslices",
          namespace,
        })),
    ...(disableEviction
      ? rights("deleting the component's pods", ["delete"], { resource: "pods", namespace })
      : rights("evicting the component's pods", ["create"], {
          resource: "pods",
          subresource: "eviction",
          namespace,
        })),
  ];
}

/** What replaced the pods, from first to last. */
interface PodsReplaced {
  readonly pods: readonly (Replaced & { readonly pod: string })[];
  /** Why it ended before the last pod. */
  readonly stopped?: string;
}

/** Everything between the start and the removal of the probers. */
class Healing {
  readonly #probers: Probing;
  readonly #transport: Transport;
  readonly #target: Target;
  readonly #options: HealOptions;

  constructor(probers: Probing, transport: Transport, target: Target, options: HealOptions) {
    this.#probers = probers;
    this.#transport = transport;
    this.#target = target;
    this.#options = options;
  }

  async run(order: readonly Pod[]): Promise<HealOutcome> {
    const { view } = this.#options;
    const before = await this.#look();
    const fromMs = this.#probers.clock.now();
    const replaced = await this.#replace(order, before);
    const toMs = this.#probers.clock.now();
    if (replaced.stopped !== undefined) view.warn(replaced.stopped);
    const during = await this.#probers.since(fromMs);
    if (this.#options.interrupted.aborted) throw this.#interrupted(replaced);
    const after = await this.#look();
    return this.#outcome({ before, during, after, replaced, tookMs: toMs - fromMs });
  }

  async #look(): Promise<Seen> {
    const { layers } = await this.#probers.measure(this.#options.measureMs);
    return { layers, services: await this.#probers.services() };
  }

  async #replace(order: readonly Pod[], before: Seen): Promise<PodsReplaced> {
    const { view, interrupted } = this.#options;
    const signal = anySignal(interrupted, this.#probers.lost);
    const series = goodSeries(before);
    const done: (Replaced & { readonly pod: string })[] = [];
    for (const [index, pod] of order.entries()) {
      if (signal.aborted) return { pods: done, stopped: endedEarly(signal, interrupted) };
      const title = `replace pod ${index + 1} of ${order.length}: ${podWords(pod)}`;
      const result = await view.step(title, async (note) => await this.#one(pod, { series, signal, note }));
      done.push({ ...result, pod: pod.metadata.name });
      if (result.problem !== undefined) return { pods: done, stopped: `stopped: ${result.problem}` };
      view.info(
        result.successor === undefined
          ? "  it was gone already"
          : `  ${result.successor} serves in its place after ${seconds(result.tookMs)}`,
      );
    }
    return { pods: done };
  }

  async #one(
    pod: Pod,
    { series, ...how }: Pick<ReplaceOptions, "signal" | "note"> & { readonly series: readonly SeriesName[] },
  ): Promise<Replaced> {
    const { allowLast, disableEviction, limitMs } = this.#options;
    const nothing = { deleted: false, tookMs: 0 };
    try {
      const living = await podsOfTarget(this.#transport, this.#target);
      const now = living.find(({ metadata }) => metadata.uid === pod.metadata.uid);
      if (now === undefined || isTerminating(now)) return nothing;
      const last = allowLast ? undefined : lastReady(now, living);
      if (last !== undefined) return { ...nothing, problem: last };
      return await replacePod(now, {
        ...how,
        transport: this.#transport,
        clock: this.#probers.clock,
        target: this.#target,
        disableEviction,
        limitMs,
        notGoodSince: async (fromMs) => await this.#probers.notGoodSince(fromMs, series),
      });
    } catch (error) {
      if (!(error instanceof ApiError || error instanceof ApiUnreachableError)) throw error;
      // The answer to its deletion may be what was lost.
      const problem = `pod ${pod.metadata.name} may have been deleted: ${messageOf(error)}`;
      return { deleted: true, tookMs: 0, problem };
    }
  }

  #interrupted({ pods }: PodsReplaced): ChaosError {
    const count = pods.filter(({ deleted }) => deleted).length;
    return new ChaosError(
      `interrupted after ${plural(count, "pod")} of ${objectName(this.#target)} had been deleted, which the controller replaces; the others are as they were. The probers were removed`,
      { exitCode: ExitCode.interrupted },
    );
  }

  #outcome(seen: {
    readonly before: Seen;
    readonly during: Measured;
    readonly after: Seen;
    readonly replaced: PodsReplaced;
    readonly tookMs: number;
  }): HealOutcome {
    const { before, during, after, replaced, tookMs } = seen;
    const comparison = compared(before, after);
    const count = replaced.pods.filter(
      ({ successor, problem }) => successor !== undefined && problem === undefined,
    ).length;
    const losses = lossesIn(during);
    const deleted = replaced.pods.filter((pod) => pod.deleted).length;
    return {
      exitCode: exitCodeOf(comparison, replaced.stopped !== undefined, deleted),
      lines: [
        `${verdict(comparison, replaced.stopped)} (${plural(count, "pod")} of ${objectName(this.#target)} replaced)`,
        ...stateLines(before, after).map((line) => `  ${line}`),
        `  ${lossLine(losses, tookMs)}`,
        ...comparison.worse.map((line) => `  worse: ${line}`),
        ...comparison.still.map((line) => `  still: ${line}`),
        ...comparison.unknown.map((line) => `  unknown: ${line}`),
      ],
      losses,
      summary: {
        component: this.#options.component,
        target: objectName(this.#target),
        replaced: replaced.pods,
        ...(replaced.stopped === undefined ? {} : { stopped: replaced.stopped }),
        ...comparison,
        before,
        during: { tookMs, losses },
        after,
      },
    };
  }
}

function endedEarly(signal: AbortSignal, interrupted: AbortSignal): string {
  return interrupted.aborted ? "stopped between two pods: interrupted" : `stopped: ${String(signal.reason)}`;
}

/** What must still work after each pod: what worked before, of what a restore can mend. */
function goodSeries({ layers }: Seen): SeriesName[] {
  return layers
    .filter(({ layer }) => layer === "dns-internal" || layer === "tcp-service")
    .flatMap(({ layer, nodes }) =>
      nodes.filter(({ state }) => state === "good").map(({ node }) => ({ layer, node })),
    );
}

/**
 * 0: every pod was replaced and nothing fails; 1: something fails or cannot be judged any more, or a pod did not come back;
 * 4: nothing was deleted. Pure.
 */
export function exitCodeOf(
  { worse, still, unknown }: Pick<Comparison, "worse" | "still" | "unknown">,
  stopped: boolean,
  deleted: number,
): ExitCode {
  if (stopped && deleted === 0) return ExitCode.preflightRefused;
  return stopped || [worse, still, unknown].some((lines) => lines.length > 0)
    ? ExitCode.differs
    : ExitCode.asExpected;
}

export function verdict(
  { better, worse, still, unknown, wasBad }: Comparison,
  stopped: string | undefined,
): string {
  if (stopped !== undefined) return stopped;
  if (worse.length > 0) return "worse than before";
  if (still.length > 0) return better.length > 0 ? "better, but not healed" : "not healed";
  if (unknown.length > 0) return "not everything could be measured again";
  return wasBad ? "healed" : "nothing failed before, and nothing fails now";
}
