/** Writes and reads of an own application: HTTP or TCP, through DNS, the Service's address, or each pod in turn. */
import { asksWithToken, hasToken } from "../../experiment/token.js";
import type { Endpoint, OwnTarget } from "../prober-plan.js";
import { badBody, failed, failureOf, type Outcome, type Tokens } from "./judge.js";
import { fill, judgeOwn, recentTokensIn } from "./judge-own.js";
import { askHttp, RoundRobin } from "./measure-http.js";
import { exchangeTcp, probeTcp, type Family } from "./measure-net.js";

/** Time-outs of a sample and of its TCP connect, ms. */
export interface Times {
  readonly timeout: number;
  readonly tcpTimeout: number;
}

/** Looks a name up, without a cache. Rejects when it fails. */
export type Resolve = (name: string, timeoutMs: number, family?: Family) => Promise<readonly string[]>;

interface Sample {
  readonly target: OwnTarget;
  readonly times: Times;
  /** Goes where the request has its place for a token. */
  readonly token: string;
  /** The tokens that a good answer may have. */
  readonly among: (answer: string) => readonly string[];
}

export class OwnArm {
  readonly #writes = new RoundRobin();
  readonly #reads = new RoundRobin();
  readonly #resolve: Resolve;

  constructor(resolve: Resolve) {
    this.#resolve = resolve;
  }

  async write(target: OwnTarget, tokens: Tokens, times: Times): Promise<Outcome> {
    const token = tokens.next();
    const outcome = await this.#ask(this.#writes, { target, times, token, among: () => [token] });
    if ("ok" in outcome && outcome.ok) tokens.written(token);
    return outcome;
  }

  /** undefined: the read is about a token, and no write of the run is known. */
  async read(target: OwnTarget, tokens: Tokens, times: Times): Promise<Outcome | undefined> {
    const { newestMs, last } = tokens;
    if (last === undefined) {
      if (hasToken(target)) return undefined;
      return await this.#ask(this.#reads, { target, times, token: "", among: () => [] });
    }
    const asks = asksWithToken(target);
    return await this.#ask(this.#reads, {
      target,
      times,
      token: last,
      among: (answer) => (asks ? [last] : recentTokensIn(answer, tokens, newestMs)),
    });
  }

  async #ask(turn: RoundRobin, sample: Sample): Promise<Outcome> {
    const { target, times } = sample;
    const started = performance.now();
    let name: string | undefined;
    try {
      const to = await this.#placeOf(turn, target, times.timeout);
      if (to === undefined) return failed("no-target", "no ready pod is known");
      name = to.name;
      // The look-up is a part of the sample.
      const timeout = Math.max(1, times.timeout - (performance.now() - started));
      const outcome = await exchange(to, sample, { ...times, timeout });
      return name === undefined ? outcome : { ...outcome, target: name };
    } catch (error) {
      return { ...failureOf(error), ...(name === undefined ? {} : { target: name }) };
    }
  }

  /** `name`: of the pod that is asked. */
  async #placeOf(
    turn: RoundRobin,
    { host, endpoints }: OwnTarget,
    timeoutMs: number,
  ): Promise<(Endpoint & { readonly name?: string }) | undefined> {
    if (host === undefined) return turn.of(endpoints);
    // A headless Service has one address for each pod.
    const ip = turn.of(await this.#resolve(host.name, timeoutMs, host.family));
    if (ip === undefined) throw Object.assign(new Error("no address in the answer"), { code: "ENODATA" });
    return { ip, port: host.port };
  }
}

async function exchange(to: Endpoint, { target, token, among }: Sample, times: Times): Promise<Outcome> {
  const { http, tcp } = target;
  if (http !== undefined) {
    const { status, body } = await askHttp(to, http, token, times.timeout);
    return judgeOwn(http, status, body, among(body));
  }
  const { send, expect } = tcp ?? {};
  if (send === undefined && expect === undefined) return await probeTcp(to, times.tcpTimeout);
  const wanted = (answer: string): boolean =>
    expect === undefined ||
    (hasToken(expect) ? among(answer) : [""]).some((each) => answer.includes(fill(expect, each)));
  const answer = await exchangeTcp(to, {
    ...(send === undefined ? {} : { send: fill(send, token) }),
    enough: wanted,
    timeoutMs: times.timeout,
    connectMs: times.tcpTimeout,
  });
  return wanted(answer) ? { ok: true } : badBody(answer);
}
