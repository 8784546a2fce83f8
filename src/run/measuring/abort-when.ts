/**
 * The abort conditions of an experiment (`abortWhen`): asked from the baseline on, and decisive in the window. What
 * is asked is a probe of the guestbook, whose samples come in anyway, or a Service of the cluster.
 */
import type { Clock } from "../../common/clock.js";
import { messageOf } from "../../common/errors.js";
import { duration } from "../../common/figures.js";
import type { RunEventBody } from "../../evidence/events.js";
import type { AbortCondition, AskedService } from "../../experiment/schema.js";
import type { Transport } from "../../kube/transport.js";
import {
  askService,
  describeService,
  SERVICE_TIMEOUT_MS,
  type ServiceAnswer,
} from "../../probes/service-proxy.js";
import { FailingTime, type Observation } from "./failing-time.js";
import type { HealthTracker } from "./health.js";

/** How often a Service is asked, ms. */
const ASK_EVERY_MS = 1_000;

/** A sample's answer holds at least so long, ms, where the next ones are missing. */
const LEAST_HOLD_MS = 2_000;

/** One condition, followed over its series: a probe has one for each source, a Service one. */
class Followed {
  readonly condition: AbortCondition;
  readonly #holdMs: number;
  readonly #series = new Map<string, FailingTime>();

  constructor(condition: AbortCondition, holdMs: number) {
    this.condition = condition;
    this.#holdMs = holdMs;
  }

  add(series: string, observation: Observation): void {
    const known = this.#series.get(series) ?? new FailingTime(this.#holdMs);
    this.#series.set(series, known);
    known.add(observation);
  }

  /** The sentence about the first series that has failed for long enough; undefined: none has. */
  met(): string | undefined {
    const { failsFor } = this.condition;
    for (const [series, time] of this.#series) {
      const { failing } = time;
      if (failing === undefined || failing.forMs < failsFor) continue;
      return (
        `${this.#named(series)} has failed for ${duration(failing.forMs)} without a good answer (abortWhen: ` +
        `${duration(failsFor)}), since ${duration(failing.sinceMs)} after the start; last: ${failing.detail}.`
      );
    }
    return undefined;
  }

  /** What is not good, or not known, at this moment; undefined: every series is good. */
  notGood(): string | undefined {
    const bad = [...this.#series].flatMap(([series, time]) => {
      const { notGood } = time;
      return notGood === undefined ? [] : [`${this.#named(series)} is ${notGood}`];
    });
    return this.#series.size === 0 ? `${this.#named("")} has no sample` : bad[0];
  }

  #named(series: string): string {
    const { http, probe } = this.condition;
    if (http !== undefined) return describeService(http);
    return series === "" ? String(probe) : `${String(probe)} from ${series}`;
  }
}

export interface AbortWatchOptions {
  readonly conditions: readonly AbortCondition[];
  /** Where the samples of the probes come in. */
  readonly health: Pick<HealthTracker, "follow">;
  /** A sample of each probe so often, ms. */
  readonly intervalMs: number;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly emit: (event: RunEventBody) => void;
  /** How often a Service is asked. Default 1 000 ms. */
  readonly askEveryMs?: number;
  /** How long it may take to answer. Default 2 000 ms. */
  readonly timeoutMs?: number;
}

/**
 * Follows all conditions of a run: `start` at the baseline, `notGood` at its end, `arm` in the window, `stop` in the
 * end. An API server that does not answer is neither failing nor good: the time of a condition stands still then.
 */
export class AbortWatch {
  readonly #options: AbortWatchOptions;
  readonly #followed: readonly Followed[];
  readonly #askEveryMs: number;
  readonly #timeoutMs: number;
  readonly #stop = new AbortController();
  readonly #met = new AbortController();
  /** What each Service's state was when it was last told of. */
  readonly #told = new Map<Followed, ServiceAnswer["state"]>();
  #armed = false;
  #asking: Promise<unknown> = Promise.resolve();

  constructor(options: AbortWatchOptions) {
    const { conditions, intervalMs, askEveryMs = ASK_EVERY_MS, timeoutMs = SERVICE_TIMEOUT_MS } = options;
    this.#options = options;
    this.#askEveryMs = askEveryMs;
    this.#timeoutMs = timeoutMs;
    // A failure is known after the question and the question whether the API server answers; then comes the next.
    const askedHoldMs = askEveryMs + 2 * timeoutMs;
    const sampledHoldMs = Math.max(LEAST_HOLD_MS, 2 * intervalMs);
    this.#followed = conditions.map(
      (condition) => new Followed(condition, condition.http === undefined ? sampledHoldMs : askedHoldMs),
    );
  }

  /** Begins to ask and to follow the samples. */
  start(): void {
    const unfollow = this.#options.health.follow((source, line, tMs) => {
      for (const followed of this.#followed) {
        if (followed.condition.probe !== line.probe) continue;
        const detail = line.ok
          ? ""
          : [line.kind, ...(line.message === undefined ? [] : [line.message])].join(": ");
        this.#add(followed, source, { atMs: tMs, state: line.ok ? "good" : "failing", detail });
      }
    });
    this.#stop.signal.addEventListener("abort", unfollow, { once: true });
    this.#asking = Promise.all(
      this.#services().map(async (service) => await this.#askAgainAndAgain(...service)),
    );
  }

  /**
   * Asks each Service once more, and says what is not good: at the end of the baseline nothing may be harmed then.
   *
   * @returns a sentence; undefined: every condition is good.
   */
  async notGood(): Promise<string | undefined> {
    await Promise.all(this.#services().map(async (service) => await this.#ask(...service)));
    const bad = this.#followed.flatMap((followed) => followed.notGood() ?? []);
    if (bad.length === 0) return undefined;
    return `An abort condition is not good before any harm: ${bad.join("; ")}.`;
  }

  /**
   * From now on a condition that is met ends the outage: the signal comes, and `stopped` with the code `aborted` is
   * an event. Failing that began before counts.
   */
  arm(): AbortSignal {
    this.#armed = true;
    this.#check();
    return this.#met.signal;
  }

  /** The outage is over: what fails now is no reason to end it. */
  disarm(): void {
    this.#armed = false;
  }

  /** Ends all questions. */
  async stop(): Promise<void> {
    this.#armed = false;
    this.#stop.abort();
    await this.#asking;
  }

  #services(): [Followed, AskedService][] {
    return this.#followed.flatMap((followed): [Followed, AskedService][] => {
      const { http } = followed.condition;
      return http === undefined ? [] : [[followed, http]];
    });
  }

  async #askAgainAndAgain(followed: Followed, service: AskedService): Promise<void> {
    const { clock } = this.#options;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      const startedAt = clock.now();
      await this.#ask(followed, service);
      await clock.sleep(Math.max(0, this.#askEveryMs - (clock.now() - startedAt)), signal);
    }
  }

  async #ask(followed: Followed, service: AskedService): Promise<void> {
    const { transport, clock, emit } = this.#options;
    const { signal } = this.#stop;
    const atMs = clock.now();
    const answer = await askService(transport, service, { signal, timeoutMs: this.#timeoutMs }).catch(
      // It says nothing of the application; and it must not end a run that has an outage to undo.
      (error: unknown): ServiceAnswer => ({ state: "not known", detail: messageOf(error) }),
    );
    if (signal.aborted) return;
    if ((this.#told.get(followed) ?? "good") !== answer.state) {
      emit({ type: "condition", asked: describeService(service), ...answer });
    }
    this.#told.set(followed, answer.state);
    this.#add(followed, "", { atMs, ...answer });
  }

  #add(followed: Followed, series: string, observation: Observation): void {
    followed.add(series, observation);
    if (observation.state === "failing") this.#check();
  }

  /** Ends the outage with the first condition that is met, once. */
  #check(): void {
    if (!this.#armed || this.#met.signal.aborted) return;
    for (const followed of this.#followed) {
      const message = followed.met();
      if (message === undefined) continue;
      this.#options.emit({ type: "stopped", code: "aborted", message });
      this.#met.abort();
      return;
    }
  }
}
