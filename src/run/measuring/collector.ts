import {
  type AnyAddresses,
  type Prober,
  addressesOf,
  chooseProbers,
  fetchAll,
  frontEndsOf,
  findProbers,
  isBoot,
  proberPlan,
  readClock,
  sendPlan,
  untilAnswered,
} from "./probers.js";
import type { OutsideOptions } from "../../probes/outside-probe.js";
import type { RunFacts } from "../../evidence/facts.js";
import { type OwnLine, RUNNER_SOURCE, type SampleLine } from "../../evidence/sample.js";
import { ChaosError, messageOf } from "../../common/errors.js";
import type { RunContext } from "../context.js";
import { startCpuWatch, startOwnDelay } from "../../probes/agent/own-delay.js";
import { HealthTracker } from "./health.js";
import { LiveLanes } from "./live-lanes.js";
import { ownNotMeasured } from "./own-application.js";

/** How often samples are fetched, ms. */
const FETCH_EVERY_MS = 1_000;
/** How often the collector checks whether the application's pods have moved, ms. */
const REPLAN_EVERY_MS = 5_000;
/** Clock readings at the start and at the end. The one with the shortest round trip counts. */
const CLOCK_READINGS = 10;

/** Starts the probers, fetches their samples during the run, and tracks which probes are healthy. */
export class Collector {
  readonly health: HealthTracker;
  /** What the live view shows of the samples. */
  readonly lanes = new LiveLanes();
  readonly #context: RunContext;
  #probers: Prober[] = [];
  #addresses: AnyAddresses | undefined;
  readonly #offsets = new Map<string, number>();
  readonly #clocks = new Map<string, number>();
  readonly #boots = new Map<string, string>();
  readonly #complaints = new Map<string, string>();
  /** The last fetch from each prober: two concurrent fetches would both get the same lines. */
  readonly #turns = new Map<string, Promise<void>>();
  readonly #stop = new AbortController();
  #loop: Promise<void> | undefined;
  #outside: { stop(): Promise<void> } | undefined;
  /** Ends the measuring of the runner's own delay. */
  #endOwn: (() => void) | undefined;

  constructor(context: RunContext) {
    this.#context = context;
    this.health = new HealthTracker(context.resolved.experiment.probes.goodInARow);
    this.health.follow((source, line, tMs) => this.lanes.add(source, line, tMs));
  }

  /** What is not measured, because the application is not the guestbook. */
  get notMeasured(): RunFacts["notMeasured"] {
    const { resolved, runId } = this.#context;
    const { experiment } = resolved;
    if (this.#addresses === undefined || experiment.application.existing === undefined) return [];
    return ownNotMeasured(proberPlan(runId, experiment, this.#addresses).probes);
  }

  /** The nodes that are sampled. */
  get sources(): string[] {
    return this.#probers.map((prober) => prober.node);
  }

  /**
   * Finds the probers, chooses those that sample, reads their clocks, sends them their plans and starts fetching.
   *
   * @param attacked nodes that should be sampled if not all are.
   */
  async start(attacked: readonly string[]): Promise<void> {
    const { transport, resolved, runId, nodes, sampling, clock, interrupted } = this.#context;
    const { application } = resolved.experiment;
    const probers = await findProbers(transport);
    if (probers.length === 0)
      throw new ChaosError(
        "cannot measure: no prober pod is running. See kubectl -n kube-system-chaos get pods",
      );
    const workers = sampling?.workers ?? probers.length;
    this.#addresses = await addressesOf(transport, application);
    const { namespace = "" } = application.guestbook ?? {};
    const own = "write" in this.#addresses ? { own: this.#addresses } : {};
    const options = { workers, nodes, namespace, attacked, ...own };
    this.#probers = await chooseProbers(transport, probers, options);
    this.#tellFrontEnds(this.#addresses);
    const plan = proberPlan(runId, resolved.experiment, this.#addresses);
    // A session's probers still follow the plan of an earlier run: what they wrote would be a bad read here.
    const idle = probers.filter((each) => !this.#probers.includes(each));
    const nothing = { ...plan, probes: {} };
    const patience = { clock, signal: interrupted };
    await Promise.all(
      idle.map(
        async (prober) =>
          await untilAnswered(patience, async () => await sendPlan(transport, prober, nothing)),
      ),
    );
    for (const prober of this.#probers) {
      await untilAnswered(patience, async () => await this.#readClock(prober));
      await untilAnswered(patience, async () => await this.#skipEarlierRuns(prober));
      await untilAnswered(patience, async () => await sendPlan(transport, prober, plan));
    }
    this.#endOwn = this.#measureOwn();
    this.#loop = this.#run();
    // `stop` rethrows its error. Until then it must not end the process.
    this.#loop.catch(() => undefined);
  }

  /** The runner's delay makes its own samples late, its kills, and what it sees of the target. */
  #measureOwn(): () => void {
    const clock = {
      now: this.#context.clock.now,
      // A run that fails must not wait for these timers.
      setTimeout: (run: () => void, ms: number) => setTimeout(run, ms).unref(),
      clearTimeout: (timer: unknown) => clearTimeout(timer as NodeJS.Timeout),
    };
    const emit = (line: OwnLine): void => this.#context.recorder.addSamples(RUNNER_SOURCE, [line]);
    const ends = [startOwnDelay({ clock, emit }), startCpuWatch({ clock, emit })];
    return () => ends.forEach((end) => end());
  }

  /** Starts the probe from outside. */
  async startOutside(options: Omit<OutsideOptions, "now" | "onSample">): Promise<void> {
    const { startOutsideProbe } = await import("../../probes/outside-probe.js");
    this.#outside = startOutsideProbe({
      ...options,
      now: this.#context.clock.now,
      onSample: (line) => this.#add(RUNNER_SOURCE, [line], 0),
    });
  }

  /** Fetches all samples written so far. */
  async fetch(): Promise<void> {
    await Promise.all(
      this.#probers.map(async (prober) => {
        const before = this.#turns.get(prober.node) ?? Promise.resolve();
        const turn = before.then(async () => await this.#fetchFrom(prober));
        this.#turns.set(prober.node, turn);
        await turn;
      }),
    );
  }

  /** Stops measuring, fetches the rest, reads the clocks once more. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#outside?.stop();
    this.#endOwn?.();
    await this.#loop;
    await this.fetch();
    // In parallel: probers that do not answer cost one timeout in total, not one each.
    await Promise.all(
      this.#probers.map(
        async (prober) =>
          await this.#readClock(prober).catch((error: unknown) => this.#complain(prober.node, error)),
      ),
    );
  }

  async #run(): Promise<void> {
    const { clock } = this.#context;
    const { signal } = this.#stop;
    let replanAt = clock.now() + REPLAN_EVERY_MS;
    while (!signal.aborted) {
      await this.fetch();
      if (clock.now() >= replanAt) {
        await this.#replan();
        replanAt = clock.now() + REPLAN_EVERY_MS;
      }
      await clock.sleep(FETCH_EVERY_MS, signal);
    }
  }

  /** A shared prober still has samples of earlier runs. This run uses only the boot lines among them. */
  async #skipEarlierRuns(prober: Prober): Promise<void> {
    const from = this.#offsets.get(prober.node) ?? 0;
    await fetchAll(this.#context.transport, prober, from, ({ lines, nextOffset }) => {
      this.#offsets.set(prober.node, nextOffset);
      this.#context.recorder.addSamples(prober.node, lines.filter(isBoot));
    });
  }

  /** Sends new plans when the application's pods have new addresses: front ends are probed by pod IP. */
  async #replan(): Promise<void> {
    const { transport, resolved, runId } = this.#context;
    try {
      const addresses = await addressesOf(transport, resolved.experiment.application);
      if (JSON.stringify(addresses) === JSON.stringify(this.#addresses)) return;
      for (const prober of this.#probers) {
        await sendPlan(transport, prober, proberPlan(runId, resolved.experiment, addresses));
      }
      this.#addresses = addresses;
      this.#tellFrontEnds(addresses);
      this.#context.recorder.emit({
        type: "warning",
        text: "the application's pods have changed. The probers now use the new addresses",
      });
    } catch (error) {
      this.#complain("application", error);
    }
  }

  #tellFrontEnds(addresses: AnyAddresses): void {
    this.#context.recorder.emit({ type: "front-ends", pods: frontEndsOf(addresses) });
  }

  async #fetchFrom(prober: Prober): Promise<void> {
    try {
      const from = this.#offsets.get(prober.node) ?? 0;
      await fetchAll(this.#context.transport, prober, from, async ({ lines, nextOffset }) => {
        const restarted = lines.filter(isBoot).some((line) => line.boot !== this.#boots.get(prober.node));
        if (restarted) await this.#readClock(prober);
        // Only now: if reading the clock fails, these lines (with the boot line) are fetched again.
        this.#offsets.set(prober.node, nextOffset);
        this.#add(prober.node, lines, this.#clocks.get(prober.node) ?? 0);
        this.#complaints.delete(prober.node);
      });
    } catch (error) {
      // The samples stay in the prober: the next fetch continues here.
      this.#complain(prober.node, error);
    }
  }

  async #readClock(prober: Prober): Promise<void> {
    const { transport, clock, recorder } = this.#context;
    const reading = await readClock(transport, prober, clock.now, CLOCK_READINGS);
    if (reading === undefined) throw new ChaosError(`cannot read the clock of the prober on ${prober.node}`);
    this.#boots.set(prober.node, reading.boot);
    this.#clocks.set(prober.node, reading.offsetMs);
    recorder.emit({ type: "clock", source: prober.node, ...reading });
  }

  #add(source: string, lines: readonly SampleLine[], offsetMs: number): void {
    this.#context.recorder.addSamples(source, lines);
    for (const line of lines) this.health.add(source, line, line.t + offsetMs);
  }

  /** Reports a problem once, not once a second. */
  #complain(who: string, error: unknown): void {
    const text = messageOf(error);
    if (this.#complaints.get(who) === text) return;
    this.#complaints.set(who, text);
    this.#context.recorder.emit({ type: "warning", text: `cannot fetch samples of ${who}: ${text}` });
  }
}
