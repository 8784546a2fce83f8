import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { analyse } from "../analysis/analyse.js";
import type { RunFacts, RunResult } from "../analysis/result.js";
import { exitCodeOf } from "../analysis/verdict.js";
import { MANAGED_BY, MANAGED_BY_LABEL, RUN_LABEL } from "../application/manifest.js";
import { getOrUndefined } from "../cluster/api.js";
import type { KubeObject } from "../cluster/objects.js";
import { ChaosError, ExitCode, messageOf, RefusedError } from "../errors.js";
import type { TargetMonitor } from "../target/monitor.js";
import { NodeTargetWatch } from "../target/node-target-watch.js";
import { TargetWatch } from "../target/target-watch.js";
import { type AnyTarget, isNodeTarget, type Target } from "../target/target.js";
import { attackedNodes } from "./attacked-nodes.js";
import { replaceDatabasePod } from "./churn.js";
import { pollUntil } from "./clock.js";
import { Collector } from "./collector.js";
import type { RunContext } from "./context.js";
import { deploy, removedNamespaces } from "./deploy.js";
import { FunctionLooks } from "./function-looks.js";
import type { PendingUndo } from "./journal.js";
import { acquireLock, LOCK_NAME, LOCK_NAMESPACE, LOCK_PATH, type HeldLock } from "./lock.js";
import { startOutside } from "./outside.js";
import { recover, release } from "./release.js";
import { buildReport, packSamples } from "./report-files.js";
import { namespacesOf, nodeUndos, undoAll, undoTogether } from "./restore.js";
import { watchStory } from "./story.js";
import { askRuntimesOnce, type Measuring, showLive, suppress } from "./suppress.js";

/**
 * How long the deployed application may take until every probe is good, ms. After etcd or the API server was away a
 * kube-proxy's watch can hang until client-go ends it, after 5 to 10 minutes (reflector.go, minWatchTimeout): until
 * then that node does not follow new Services (seen on Kubernetes 1.20 after etcd had been down for 30 s).
 */
const WARM_UP_LIMIT_MS = 11 * 60_000;
/** A probe that may be missing (a name outside, a port from outside) is given up after this, ms. */
const OPTIONAL_LIMIT_MS = 6_000;
/** Replacing the database's pod before the baseline must be forgotten after this, ms. */
const CHURN_LIMIT_MS = 15_000;
/** A look at the function that was begun shortly before the end of the baseline may end so much later, ms. */
const LOOK_SLACK_MS = 2_000;
/** The watches list everything anew so often, ms: what a silent watch can hide at most. */
const RESYNC_MS = 2_000;
/** An API server that is away for a moment must not leave what a run has made, ms. */
const REMOVE_LIMIT_MS = 60_000;
/** The lock outlives window and recovery by this, ms. */
const LOCK_SLACK_MS = 5 * 60_000;

export interface RunOutcome {
  readonly exitCode: ExitCode;
  readonly folder?: string;
  readonly result?: RunResult;
}

export interface JournalledRunOptions {
  /** The guestbook stays, the probers go. */
  readonly keepApp: boolean;
  /** Guestbook and probers belong to several runs: whoever made them removes them. */
  readonly shared: boolean;
  /** Workloads that would undo the attack, and are suppressed before the target. */
  readonly companions: readonly Target[];
}

/** Something that is watched, and its start. */
interface Watched<T> {
  readonly watch: T;
  readonly started: { readonly synced: Promise<void>; readonly done: Promise<void> };
}

/** The part of a run that has a journal: whatever happens in it, everything is undone and reported. */
export class JournalledRun {
  readonly #context: RunContext;
  readonly #options: JournalledRunOptions;
  readonly #target: AnyTarget;
  #facts: RunFacts;
  readonly #abort = new AbortController();
  /** How the target is put back, from the moment before the first kill. */
  readonly #pending: PendingUndo[] = [];
  readonly #lockUndo: PendingUndo[] = [];
  #lock: HeldLock | undefined;
  /** Whether the target is as before, as far as the runner has seen. */
  #whole = true;

  constructor(context: RunContext, facts: RunFacts, target: AnyTarget, options: JournalledRunOptions) {
    this.#context = context;
    this.#facts = facts;
    this.#target = target;
    this.#options = options;
  }

  async execute(): Promise<RunOutcome> {
    const { recorder, view } = this.#context;
    try {
      await this.#writeFacts();
      await this.#takeLock();
    } catch (error) {
      await this.#letGoOfLock(error);
      await recorder.close();
      await rm(recorder.folder, { recursive: true, force: true });
      throw error;
    }
    try {
      await this.#experiment(new Collector(this.#context));
    } catch (error) {
      // What was begun is undone by now (see #harm); the run says why it could not go on.
      this.#stopped("attack-failed", error);
    }
    try {
      const cleaned = await this.#cleanUp();
      return await view.step("write the report", async () => await this.#report(this.#whole && cleaned));
    } finally {
      // Whatever went wrong: a lock that is renewed for ever would keep the process alive, and others out.
      await this.#lock?.stopRenewing();
    }
  }

  /**
   * The lock was not had. A refusal: it is somebody else's, and so may be what is deployed: nothing is removed.
   * Any other error may have come after the lock was made.
   */
  async #letGoOfLock(error: unknown): Promise<void> {
    const { transport, journal } = this.#context;
    const left = await undoAll(
      transport,
      error instanceof RefusedError ? [] : this.#lockUndo,
      async (seq, undone) => await journal.restored(seq, undone.how, undone.by),
    );
    if (left.length === 0) await journal.finish();
    else await journal.close();
  }

  /** Deploy, baseline, window, release, recovery. */
  async #experiment(collector: Collector): Promise<void> {
    const { recorder, interrupted } = this.#context;
    const watches: Promise<void>[] = [];
    const broken = new AbortController();
    this.#onLockLost = () => broken.abort();
    const follow = (done: Promise<void>): void => {
      watches.push(
        done.catch((error: unknown) => {
          this.#stopped("attack-failed", error);
          broken.abort();
        }),
      );
    };
    let measuring: Measuring | undefined;
    try {
      measuring = await this.#prepare(collector, follow, broken.signal);
      const ready = measuring !== undefined && (await this.#baseline(measuring));
      if (ready && measuring !== undefined && !interrupted.aborted) await this.#harm(measuring);
    } finally {
      await measuring?.looks?.end();
      await collector
        .stop()
        .catch((error: unknown) =>
          recorder.emit({ type: "warning", text: `measuring ended with: ${messageOf(error)}` }),
        );
      this.#abort.abort();
      await Promise.all(watches);
    }
  }

  #onLockLost: () => void = () => undefined;

  /** Everything before the baseline. @returns undefined when the run must not go on; why is an event. */
  async #prepare(
    collector: Collector,
    follow: (done: Promise<void>) => void,
    abort: AbortSignal,
  ): Promise<Measuring | undefined> {
    const { recorder, view, interrupted } = this.#context;
    recorder.emit({ type: "phase", phase: "deploy", state: "start" });
    try {
      await deploy(this.#context, this.#options);
      if (interrupted.aborted) return undefined;
      const nodes = await this.#chooseNodes();
      const watching = this.#watchTarget(nodes);
      follow(watching.started.done);
      follow(watchStory(this.#context, this.#abort.signal));
      const companions = this.#options.companions.map((target) => {
        const watch = this.#watchWorkload(target);
        follow(watch.started.done);
        return { target, ...watch };
      });
      await collector.start();
      this.#facts = { ...this.#facts, sources: collector.sources };
      const looks = await this.#prepareLooks(nodes);
      const measuring: Measuring = {
        target: this.#target,
        nodes,
        watch: watching.watch,
        companions,
        collector,
        abort,
        ...(looks === undefined ? {} : { looks }),
      };
      await view.step("wait until every probe is good", async (note) => await this.#warmUp(measuring, note));
      await Promise.all([watching, ...companions].map(async ({ started }) => await started.synced));
      return (await this.#rehearse(measuring)) && !interrupted.aborted ? measuring : undefined;
    } catch (error) {
      this.#stopped("deploy-failed", error);
      return undefined;
    } finally {
      recorder.emit({ type: "phase", phase: "deploy", state: "end" });
      await this.#writeFacts();
    }
  }

  /** The nodes that are attacked, where the target is one of nodes; they become facts of the run. */
  async #chooseNodes(): Promise<readonly string[]> {
    const target = this.#target;
    if (!isNodeTarget(target)) return [];
    const nodes = await attackedNodes(this.#context, target);
    if (this.#facts.target !== undefined)
      this.#facts = { ...this.#facts, target: { ...this.#facts.target, nodes } };
    return nodes;
  }

  #watchTarget(nodes: readonly string[]): Watched<TargetMonitor> {
    const target = this.#target;
    if (!isNodeTarget(target)) return this.#watchWorkload(target);
    const { transport, recorder, nodeAccess } = this.#context;
    if (nodeAccess === undefined && this.#context.resolved.attack.type !== "none")
      throw new ChaosError(`${target.name} runs on nodes, and there is no access to them`);
    const watch = new NodeTargetWatch({
      transport,
      target,
      attacked: nodes,
      access: nodeAccess,
      emit: recorder.emit,
      signal: this.#abort.signal,
    });
    return { watch, started: watch.start() };
  }

  #watchWorkload(target: Target): Watched<TargetWatch> {
    const { recorder, discovery, transport } = this.#context;
    const watch = new TargetWatch({
      transport,
      discovery,
      target,
      emit: recorder.emit,
      signal: this.#abort.signal,
      resyncMs: RESYNC_MS,
    });
    return { watch, started: watch.start() };
  }

  /** A function that cannot be looked at leaves its cell open; what the application sees is measured all the same. */
  async #prepareLooks(nodes: readonly string[]): Promise<FunctionLooks | undefined> {
    try {
      return await this.#context.view.step(
        "set up the probe of the component's own function",
        async () => await FunctionLooks.prepare(this.#context, this.#target, nodes),
      );
    } catch (error) {
      const text = `the component's own function is not measured: ${messageOf(error)}`;
      this.#context.recorder.emit({ type: "warning", text });
      this.#context.view.warn(text);
      return undefined;
    }
  }

  /**
   * What would disturb the baseline is done before it: a look that changes the cluster's DNS, and the replacing of
   * the database's pod, which must be harmless while all is well.
   */
  async #rehearse({ looks, collector }: Measuring): Promise<boolean> {
    const { view, interrupted, resolved } = this.#context;
    const healthyAgain = async (limitMs: number): Promise<string | undefined> =>
      await this.#healthyAgain(collector, limitMs);
    if (looks?.disturbs === true) {
      await view.step("look at the component's own function", async () => {
        await looks.another(looks.deadlineMs + LOOK_SLACK_MS, interrupted);
        await looks.end();
        await healthyAgain(WARM_UP_LIMIT_MS);
      });
    }
    if (resolved.experiment.churn === undefined || interrupted.aborted) return true;
    return await view.step("replace the database's pod, which must be harmless", async () => {
      return await replaceDatabasePod(this.#context, {
        rehearsal: true,
        harmless: async () => await healthyAgain(CHURN_LIMIT_MS),
      });
    });
  }

  /** @returns what is not healthy again when the time is up; undefined: everything is. */
  async #healthyAgain(collector: Collector, limitMs: number): Promise<string | undefined> {
    const { clock, interrupted } = this.#context;
    const { health } = collector;
    const series = health.everGood();
    health.reset(clock.now());
    const good = await pollUntil(
      clock,
      { everyMs: 200, limitMs, signal: interrupted },
      async () => await Promise.resolve(health.unhealthy(series).length === 0 ? true : undefined),
    );
    if (good === true) return undefined;
    return health
      .unhealthy(series)
      .map(({ probe, source }) => `${probe} from ${source}`)
      .join(", ");
  }

  /** Waits until every probe has been good K times in a row; drops those that a cluster may lack. */
  async #warmUp(measuring: Measuring, note: (text: string) => void): Promise<void> {
    const { clock, interrupted } = this.#context;
    const { health } = measuring.collector;
    const unreachable = await startOutside(this.#context, measuring.collector);
    if (unreachable !== undefined) this.#notMeasured("outside", unreachable);
    const startedAt = clock.now();
    const good = await pollUntil(
      clock,
      { everyMs: 200, limitMs: WARM_UP_LIMIT_MS, signal: interrupted },
      async () => {
        const unhealthy = health.unhealthy();
        const external = unhealthy.filter(({ probe }) => probe === "dns-external");
        const optional = clock.now() - startedAt > OPTIONAL_LIMIT_MS ? external.length : 0;
        note(
          unhealthy
            .slice(0, 3)
            .map(({ probe, source }) => `${probe} from ${source}`)
            .join(", "),
        );
        return await Promise.resolve(health.size > 0 && unhealthy.length === optional ? true : undefined);
      },
    );
    if (good === true && health.unhealthy().length > 0) {
      this.#notMeasured("dns-external", "no answer before the run: the cluster resolves no outside name");
    }
    if (good !== true && !interrupted.aborted) {
      const bad = health.unhealthy().map(({ probe, source }) => `${probe} from ${source}`);
      throw new ChaosError(
        `not healthy ${WARM_UP_LIMIT_MS / 60_000} minutes after it was deployed: ${bad.join(", ")}`,
      );
    }
  }

  #notMeasured(probe: RunFacts["notMeasured"][number]["probe"], reason: string): void {
    this.#facts = { ...this.#facts, notMeasured: [...this.#facts.notMeasured, { probe, reason }] };
  }

  /** Measures the healthy system. @returns false when it is not healthy: then nothing may be harmed. */
  async #baseline(measuring: Measuring): Promise<boolean> {
    const { recorder, view, clock, resolved, interrupted } = this.#context;
    const durationMs = resolved.experiment.phases.baseline;
    const { looks } = measuring;
    if (!measuring.watch.isTargetReady()) {
      this.#stopped(
        "target-not-ready",
        `${this.#target.kind} ${this.#target.name} is not wholly ready before the run`,
      );
      return false;
    }
    recorder.emit({ type: "phase", phase: "baseline", state: "start" });
    view.phase("baseline", durationMs);
    measuring.collector.health.startCounting();
    const looking = looks?.disturbs === false ? looks : undefined;
    looking?.begin();
    const end = clock.now() + durationMs;
    while (clock.now() < end && !interrupted.aborted) {
      showLive(this.#context, measuring, 0);
      await clock.sleep(Math.min(250, end - clock.now()), interrupted);
    }
    // A function that was not once seen to work says nothing by being gone.
    if (looking?.finished === 0) await looking.another(looking.deadlineMs + LOOK_SLACK_MS, interrupted);
    await looking?.end();
    recorder.emit({ type: "phase", phase: "baseline", state: "end" });
    view.phaseEnd("baseline");
    await measuring.collector.fetch();
    const unhealthy = analyse(this.#facts, recorder.events, recorder.samples).reasons.filter(
      ({ code }) => code === "baseline-unhealthy" || code === "control-arm-failed",
    );
    for (const { code, message } of unhealthy) this.#stopped(code, message);
    return unhealthy.length === 0 && !interrupted.aborted;
  }

  /** Record, window, release, recovery. */
  async #harm(measuring: Measuring): Promise<void> {
    const { recorder, resolved } = this.#context;
    recorder.emit({ type: "phase", phase: "record", state: "start" });
    const unchanged = await this.#recordUndo(measuring.nodes);
    recorder.emit({ type: "phase", phase: "record", state: "end" });
    if (!unchanged || this.#context.interrupted.aborted) return;
    const series = measuring.collector.health.everGood();
    const functionWorked = measuring.looks?.lastPresent ?? false;
    this.#whole = false;
    let kills = 0;
    try {
      kills = (await suppress(this.#context, measuring, this.#pending)).kills;
    } catch (error) {
      this.#stopped("attack-failed", error);
    }
    const putBack = await release(this.#context, { ...measuring, attack: resolved.attack }, this.#pending);
    const healthy = await recover(this.#context, measuring, { kills, series, functionWorked });
    if (!isNodeTarget(this.#target)) await askRuntimesOnce(this.#context, this.#target);
    this.#whole = putBack && healthy;
  }

  /** Writes into the journal how the target is put back, as it is at this moment. */
  async #recordUndo(nodes: readonly string[]): Promise<boolean> {
    const { journal, resolved, nodeAccess, runId } = this.#context;
    const target = this.#target;
    if (resolved.attack.type === "none") return true;
    if (isNodeTarget(target)) {
      if (nodeAccess === undefined) throw new ChaosError(`no access to ${nodes.join(", ")}`);
      try {
        for (const undo of await nodeUndos(target, nodes, nodeAccess, runId))
          this.#pending.push({ seq: await journal.intent(undo), undo });
        return true;
      } catch (error) {
        this.#stopped("attack-failed", error);
        return false;
      }
    }
    // What is suppressed first is put back last.
    for (const workload of [...this.#options.companions, target]) {
      if (!(await this.#recordWorkload(workload))) return false;
    }
    return true;
  }

  async #recordWorkload(target: Target): Promise<boolean> {
    const { transport, journal } = this.#context;
    const live = await getOrUndefined<KubeObject>(transport, target.path);
    if (live?.metadata.uid !== target.uid) {
      this.#stopped(
        "target-not-ready",
        `${target.kind} ${target.name} was replaced while the baseline was measured`,
      );
      return false;
    }
    const object = { ...live, apiVersion: "apps/v1", kind: target.kind };
    const { path, collection } = target;
    const undo = { action: "restore-workload", path, collection, object } as const;
    this.#pending.push({ seq: await journal.intent(undo), undo });
    return true;
  }

  async #takeLock(): Promise<void> {
    const { transport, clock, journal, runId, recorder, resolved } = this.#context;
    const { phases } = resolved.experiment;
    recorder.emit({ type: "phase", phase: "lock", state: "start" });
    const undo = {
      action: "remove",
      path: LOCK_PATH,
      object: { kind: "Lease", namespace: LOCK_NAMESPACE, name: LOCK_NAME },
      labels: { [MANAGED_BY_LABEL]: MANAGED_BY, [RUN_LABEL]: runId },
    } as const;
    this.#lockUndo.push({ seq: await journal.intent(undo), undo });
    this.#lock = await acquireLock(transport, {
      runId,
      clock,
      durationMs: phases.baseline + phases.window + phases.recovery + LOCK_SLACK_MS,
      warn: (text) => recorder.emit({ type: "warning", text }),
      onLost: (holder) => {
        this.#stopped("attack-failed", `the lock is held by ${holder} now`);
        this.#onLockLost();
      },
    });
    recorder.emit({ type: "phase", phase: "lock", state: "end" });
  }

  /** Removes the application and the probers, then the lock. @returns whether all of it is gone. */
  async #cleanUp(): Promise<boolean> {
    const { transport, clock, recorder, view, journal, made } = this.#context;
    recorder.emit({ type: "phase", phase: "teardown", state: "start" });
    let clean = true;
    const remove = async (entries: readonly PendingUndo[]): Promise<void> => {
      const failures = await undoTogether(
        transport,
        entries,
        async (seq, undone) => await journal.restored(seq, undone.how, undone.by),
        { clock, limitMs: REMOVE_LIMIT_MS },
      );
      for (const { error } of failures) {
        clean = false;
        recorder.emit({ type: "warning", text: `not removed: ${error}` });
      }
    };
    await view.step("remove what the run had made", async () => {
      // What a probe of a function had changed and nobody has put right.
      const changed = await undoAll(transport, this.#context.changed, async (seq, undone) => {
        await journal.restored(seq, undone.how, undone.by);
      });
      for (const { error } of changed) {
        clean = false;
        recorder.emit({ type: "warning", text: `not put back: ${error}` });
      }
      await remove(made);
      try {
        await removedNamespaces(transport, clock, namespacesOf(made));
      } catch (error) {
        clean = false;
        recorder.emit({ type: "warning", text: messageOf(error) });
      }
      await this.#lock?.stopRenewing();
      await remove(this.#lockUndo);
    });
    recorder.emit({ type: "phase", phase: "teardown", state: "end" });
    return clean;
  }

  /** Closes the journal when everything is undone, and writes the report. */
  async #report(whole: boolean): Promise<RunOutcome> {
    const { journal, recorder, runId } = this.#context;
    if (whole) {
      try {
        await journal.finish();
      } catch (error) {
        // All is put back; a journal that cannot be closed must not cost the report.
        recorder.emit({
          type: "warning",
          text: `the journal could not be closed (${messageOf(error)}): \`chaos restore ${runId}\` will find nothing to do and close it`,
        });
      }
    } else {
      recorder.emit({
        type: "warning",
        text: `something is not as before: \`chaos restore ${runId}\` finishes it from the journal`,
      });
      await journal.close();
    }
    await this.#writeFacts();
    await recorder.close();
    await packSamples(recorder.folder);
    const result = await buildReport(recorder.folder);
    if (recorder.failure !== undefined) {
      throw new ChaosError(
        `the run's files in ${recorder.folder} are not whole: ${messageOf(recorder.failure)}`,
        { cause: recorder.failure },
      );
    }
    const exitCode = whole ? exitCodeOf(result) : ExitCode.notRestored;
    return { exitCode, folder: recorder.folder, result };
  }

  #stopped(code: string, problem: unknown): void {
    const message = typeof problem === "string" ? problem : messageOf(problem);
    this.#context.recorder.emit({ type: "stopped", code, message });
    this.#context.view.warn(message);
  }

  async #writeFacts(): Promise<void> {
    await writeFile(
      join(this.#context.recorder.folder, "run.json"),
      `${JSON.stringify(this.#facts, null, 2)}\n`,
    );
  }
}
