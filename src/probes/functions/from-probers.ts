/** Asking from every schedulable node: the probers there do it, and are reached through the API server. */
import { ChaosError } from "../../common/errors.js";
import type { FailureKind } from "../../evidence/sample.js";
import { list, PODS, resourcePath, selectorString } from "../../kube/api.js";
import type { Pod } from "../../kube/objects.js";
import { podProxyPath } from "../../kube/pod-proxy.js";
import { isTerminating } from "../../kube/pod-state.js";
import type { Transport } from "../../kube/transport.js";
import { PROBER_NAMESPACE } from "../../own/own-names.js";
import { PROBER_LABELS, PROBER_PORT } from "../prober-manifests.js";
import type { Endpoint } from "../prober-plan.js";
import { attempt, type Look, preparation, seconds, type Seen } from "./attempt.js";
import type { FunctionContext } from "./function-check.js";

/** A connection that a prober makes may take so long, ms: under a second, or the kernel's second SYN hides a loss. */
const CHECK_MS = 900;

/** The way to a prober and back, beside what it is asked to do, ms. */
const WAY_MS = 600;

/** How long the list of the probers may take, ms. */
const LIST_MS = 1_000;
const FIND_LIMIT_MS = 10_000;

export interface Prober {
  readonly node: string;
  readonly pod: string;
}

/** What a prober is to try: the body of POST /check of the agent, without its time-out. */
export type Check = Endpoint & ({ readonly kind: "tcp" } | { readonly kind: "http"; readonly path: string });

/** What came of it. `status` and `body` (its first 200 characters): of HTTP, whatever the status was. */
export type Checked = { readonly ms: number } & (
  | { readonly ok: true; readonly status?: number; readonly body?: string }
  | { readonly ok: false; readonly kind: FailureKind; readonly message?: string }
);

/** What was seen from one node. `not asked`: its prober did not answer, which says nothing of what was asked. */
export interface FromNode {
  readonly node: string;
  readonly outcome: "good" | "bad" | "not asked";
  readonly detail: string;
}

export class Probers {
  readonly #transport: Transport;
  #known: readonly Prober[] = [];

  private constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** @throws ChaosError when there are none. */
  static async find(context: FunctionContext): Promise<Probers> {
    const probers = new Probers(context.transport);
    const look = preparation(context, FIND_LIMIT_MS);
    const found = await look.until(300, async () => {
      await probers.#list(look);
      return probers.#known.length > 0 ? { done: true } : { not: "none runs" };
    });
    if ("not" in found)
      throw new ChaosError(`there is no prober in namespace ${PROBER_NAMESPACE}: ${found.not}`);
    return probers;
  }

  get known(): readonly Prober[] {
    return this.#known;
  }

  /** Looks where they are now; while the API does not say, they are where they were. */
  async refresh(look: Look): Promise<void> {
    await attempt(this.#list(look));
  }

  /** Lets a prober try something. Rejects with ApiError or ApiUnreachableError when it could not be asked. */
  async check(prober: Prober, check: Check, look: Look): Promise<Checked> {
    return await this.#post(prober, "/check", { ...check, timeoutMs: CHECK_MS }, look);
  }

  /** Lets a prober print a line. Rejects with ApiError or ApiUnreachableError when it could not be asked. */
  async print(prober: Prober, text: string, look: Look): Promise<void> {
    await this.#post(prober, "/log", { text }, look);
  }

  /** Asks from every node, again and again, until each has seen what is wanted or the look is over. */
  async fromEach(
    look: Look,
    everyMs: number,
    question: (prober: Prober) => Promise<Seen<string>>,
  ): Promise<FromNode[]> {
    return await Promise.all(
      this.#known.map(async (prober) => {
        let seen: string | undefined;
        const result = await look.until(everyMs, async () => {
          const answer = await question(prober);
          if ("not" in answer) seen = answer.not;
          return answer;
        });
        const { node } = prober;
        if (!("not" in result))
          return { node, outcome: "good", detail: `${result.done} after ${seconds(look.tookMs)}` };
        return seen === undefined
          ? { node, outcome: "not asked", detail: result.not }
          : { node, outcome: "bad", detail: seen };
      }),
    );
  }

  async #post<T>(prober: Prober, path: string, body: unknown, look: Look): Promise<T> {
    return await this.#transport.json<T>({
      ...look.call(CHECK_MS + WAY_MS),
      method: "POST",
      path: podProxyPath(PROBER_NAMESPACE, prober.pod, PROBER_PORT, path),
      body,
    });
  }

  async #list(look: Look): Promise<void> {
    const { items } = await list<Pod>(this.#transport, resourcePath(PODS, PROBER_NAMESPACE), {
      ...look.call(LIST_MS),
      labelSelector: selectorString(PROBER_LABELS),
    });
    const found = items
      .filter((pod) => !isTerminating(pod) && pod.status?.podIP !== undefined)
      .map((pod) => ({ node: pod.spec?.nodeName ?? "", pod: pod.metadata.name }))
      .sort((a, b) => a.node.localeCompare(b.node));
    // None at all: those that were there are asked all the same, and their silence is told node by node.
    if (found.length > 0) this.#known = found;
  }
}

/** Good from all nodes that could be asked, and from one at least. */
export function goodFromAll(results: readonly FromNode[]): boolean {
  const asked = results.filter(({ outcome }) => outcome !== "not asked");
  return asked.length > 0 && asked.every(({ outcome }) => outcome === "good");
}

/** "worker: 404 after 0.0 s; worker2: not asked (…)". */
export function describe(results: readonly FromNode[]): string {
  if (results.length === 0) return "no prober is known";
  return results
    .map(({ node, outcome, detail }) =>
      outcome === "not asked" ? `${node}: not asked (${detail})` : `${node}: ${detail}`,
    )
    .join("; ");
}

/** How a check failed, or what its answer was: "timeout: no answer within 900 ms". */
export function wordsOf(checked: Checked): string {
  if (!checked.ok) return `${checked.kind}${checked.message === undefined ? "" : `: ${checked.message}`}`;
  if (checked.status === undefined) return `connected in ${Math.round(checked.ms)} ms`;
  return `HTTP ${checked.status} ${JSON.stringify((checked.body ?? "").slice(0, 80))}`;
}
