/**
 * The abort conditions of an experiment (`abortWhen`): checked from the baseline on, and able to end the window. A
 * condition reads a probe of the guestbook, whose samples come in anyway, or asks a Service of the cluster.
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
import { type Answer, FailingTime } from "./failing-time.js";
import type { HealthTracker } from "./health.js";

/** How often a Service is asked, ms. */
const ASK_EVERY_MS = 1_000;

/** If the next samples are missing, a sample's answer stays valid at least this long, ms. */
const MIN_VALID_MS = 2_000;

/** One condition with its series: a probe has one series per source, a Service has one. */
class Followed {
  readonly condition: AbortCondition;
  readonly #validMs: number;
  readonly #series = new Map<string, FailingTime>();

  constructor(condition: AbortCondition, validMs: number) {
    this.condition = condition;
    this.#validMs = validMs;
  }

  add(series: string, answer: Answer): void {
    const known = this.#series.get(series) ?? new FailingTime(this.#validMs);
    this.#series.set(series, known);
    known.add(answer);
  }

  /** @returns a sentence about the first series that has failed for long enough; undefined: none has. */
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

  /** @returns what is not good, or not known, right now; undefined: every series is good. */
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
  /** Source of the probes' samples. */
  readonly health: Pick<HealthTracker, "follow">;
  /** Interval between two samples of a probe, ms. */
  readonly intervalMs: number;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly emit: (event: RunEventBody) => void;
  /** How often a Service is asked. Default 1 000 ms. */
  readonly askEveryMs?: number;
  /** How long a Service may take to answer. Default 2 000 ms. */
  readonly timeoutMs?: number;
}

/**
 * Follows all conditions of a run: `start` at the baseline, `notGood` at its end, `arm` in the window, `stop` at the
 * end. While the API server does not answer, a condition is neither failing nor good, and its time does not count.
 */
export class AbortWatch {
  readonly #options: AbortWatchOptions;
  readonly #followed: readonly Followed[];
  readonly #askEveryMs: number;
  readonly #timeoutMs: number;
  readonly #stop = new AbortController();
  readonly #met = new AbortController();
  /** The last reported state of each Service. */
  readonly #reported = new Map<Followed, ServiceAnswer["state"]>();
  #armed = false;
  #asking: Promise<unknown> = Promise.resolve();

  constructor(options: AbortWatchOptions) {
    const { conditions, intervalMs, askEveryMs = ASK_EVERY_MS, timeoutMs = SERVICE_TIMEOUT_MS } = options;
    this.#options = options;
    this.#askEveryMs = askEveryMs;
    this.#timeoutMs = timeoutMs;
    // A failure is known only after two requests: to the Service, then to the API server itself.
    const askedValidMs = askEveryMs + 2 * timeoutMs;
    const sampledValidMs = Math.max(MIN_VALID_MS, 2 * intervalMs);
    this.#followed = conditions.map(
      (condition) => new Followed(condition, condition.http === undefined ? sampledValidMs : askedValidMs),
    );
  }

  /** Starts asking the Services and following the samples. */
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
      this.#services().map(async (service) => await this.#askRepeatedly(...service)),
    );
  }

  /**
   * Asks each Service once more and returns what is not good. If anything is not good, no attack may start.
   *
   * @returns a sentence; undefined: every condition is good.
   */
  async notGood(): Promise<string | undefined> {
    await Promise.all(this.#services().map(async (service) => await this.#ask(...service)));
    const bad = this.#followed.flatMap((followed) => followed.notGood() ?? []);
    if (bad.length === 0) return undefined;
    return `An abort condition is not good before the attack: ${bad.join("; ")}.`;
  }

  /**
   * From now on a condition that is met ends the outage: the signal aborts, and a `stopped` event with the code
   * `aborted` is recorded. Failing time from before this call counts.
   */
  arm(): AbortSignal {
    this.#armed = true;
    this.#check();
    return this.#met.signal;
  }

  /** The outage is over, so a failing condition no longer ends it. */
  disarm(): void {
    this.#armed = false;
  }

  /** Stops asking. */
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

  async #askRepeatedly(followed: Followed, service: AskedService): Promise<void> {
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
      // This says nothing about the application, and must not end a run that has an outage to undo.
      (error: unknown): ServiceAnswer => ({ state: "not known", detail: messageOf(error) }),
    );
    if (signal.aborted) return;
    if ((this.#reported.get(followed) ?? "good") !== answer.state) {
      emit({ type: "condition", asked: describeService(service), ...answer });
    }
    this.#reported.set(followed, answer.state);
    this.#add(followed, "", { atMs, ...answer });
  }

  #add(followed: Followed, series: string, answer: Answer): void {
    followed.add(series, answer);
    if (answer.state === "failing") this.#check();
  }

  /** Ends the outage, once, at the first condition that is met. */
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
