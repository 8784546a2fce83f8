/** Asks from every sampled node: the runner reaches the prober on each node through the API server. */
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
import { attempt, type CheckTime, preparation, seconds, type Seen } from "./attempt.js";
import type { FunctionContext } from "./function-check.js";

/** Limit for one connection of a prober, ms. Under a second: after one, the kernel sends the SYN again, which hides a loss. */
const CHECK_MS = 900;

/** Time for the request to a prober and its response, on top of what the prober does, ms. */
const WAY_MS = 600;

/** Limit for listing the probers, ms. */
const LIST_MS = 1_000;
const FIND_LIMIT_MS = 10_000;

export interface Prober {
  readonly node: string;
  readonly pod: string;
}

/** A connection that a prober tries: the body of POST /check of the agent, without the time-out. */
export type Check = Endpoint & ({ readonly kind: "tcp" } | { readonly kind: "http"; readonly path: string });

/** Its result. Only HTTP has `status` and `body` (the first 200 characters), whatever the status is. */
export type Checked = { readonly ms: number } & (
  | { readonly ok: true; readonly status?: number; readonly body?: string }
  | { readonly ok: false; readonly kind: FailureKind; readonly message?: string }
);

/** The result from one node. `not asked`: its prober did not answer, so nothing is known about the function there. */
export interface FromNode {
  readonly node: string;
  readonly outcome: "good" | "bad" | "not asked";
  readonly detail: string;
}

export class Probers {
  readonly #transport: Transport;
  readonly #sources: readonly string[] | undefined;
  #known: readonly Prober[] = [];

  private constructor({ transport, sources }: Pick<FunctionContext, "transport" | "sources">) {
    this.#transport = transport;
    this.#sources = sources;
  }

  /** @throws ChaosError when there are none. */
  static async find(context: FunctionContext): Promise<Probers> {
    const probers = new Probers(context);
    const check = preparation(context, FIND_LIMIT_MS);
    const found = await check.until(300, async () => {
      await probers.#list(check);
      return probers.#known.length > 0 ? { done: true } : { not: "none is running" };
    });
    if ("not" in found)
      throw new ChaosError(`cannot find a prober in namespace ${PROBER_NAMESPACE}: ${found.not}`);
    return probers;
  }

  get known(): readonly Prober[] {
    return this.#known;
  }

  /** Lists the probers again. If the list fails, the known ones stay. */
  async refresh(check: CheckTime): Promise<void> {
    await attempt(this.#list(check));
  }

  /** Makes a prober try one connection. Rejects with ApiError or ApiUnreachableError if the prober cannot be asked. */
  async check(prober: Prober, connection: Check, check: CheckTime): Promise<Checked> {
    return await this.#post(prober, "/check", { ...connection, timeoutMs: CHECK_MS }, check);
  }

  /** Makes a prober print one line. Rejects with ApiError or ApiUnreachableError if the prober cannot be asked. */
  async print(prober: Prober, text: string, check: CheckTime): Promise<void> {
    await this.#post(prober, "/log", { text }, check);
  }

  /** Asks from every node repeatedly until each one has a good result or the check is over. */
  async fromEach(
    check: CheckTime,
    everyMs: number,
    question: (prober: Prober) => Promise<Seen<string>>,
  ): Promise<FromNode[]> {
    return await Promise.all(
      this.#known.map(async (prober) => {
        let seen: string | undefined;
        const result = await check.until(everyMs, async () => {
          const answer = await question(prober);
          if ("not" in answer) seen = answer.not;
          return answer;
        });
        const { node } = prober;
        if (!("not" in result))
          return { node, outcome: "good", detail: `${result.done} after ${seconds(check.tookMs)}` };
        return seen === undefined
          ? { node, outcome: "not asked", detail: result.not }
          : { node, outcome: "bad", detail: seen };
      }),
    );
  }

  async #post<T>(prober: Prober, path: string, body: unknown, check: CheckTime): Promise<T> {
    return await this.#transport.json<T>({
      ...check.call(CHECK_MS + WAY_MS),
      method: "POST",
      path: podProxyPath(PROBER_NAMESPACE, prober.pod, PROBER_PORT, path),
      body,
    });
  }

  async #list(check: CheckTime): Promise<void> {
    const { items } = await list<Pod>(this.#transport, resourcePath(PODS, PROBER_NAMESPACE), {
      ...check.call(LIST_MS),
      labelSelector: selectorString(PROBER_LABELS),
    });
    const found = items
      .filter((pod) => !isTerminating(pod) && pod.status?.podIP !== undefined)
      .map((pod) => ({ node: pod.spec?.nodeName ?? "", pod: pod.metadata.name }))
      .filter(({ node }) => this.#sources?.includes(node) ?? true)
      .sort((a, b) => a.node.localeCompare(b.node));
    // If the list is empty, the known probers are still asked, so that each node's missing answer is reported.
    if (found.length > 0) this.#known = found;
  }
}

/** Whether every node that could be asked has a good result, and at least one could be asked. */
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

/** How the connection failed, or what the answer was: "timeout: no answer within 900 ms". */
export function wordsOf(checked: Checked): string {
  if (!checked.ok) return `${checked.kind}${checked.message === undefined ? "" : `: ${checked.message}`}`;
  if (checked.status === undefined) return `connected in ${Math.round(checked.ms)} ms`;
  return `HTTP ${checked.status} ${JSON.stringify((checked.body ?? "").slice(0, 80))}`;
}
