import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { analyse } from "../analysis/analyse.js";
import type { RunFacts, RunResult } from "../analysis/result.js";
import { exitCodeOf } from "../analysis/verdict.js";
import { MANAGED_BY, MANAGED_BY_LABEL, RUN_LABEL } from "../application/manifest.js";
import { getOrUndefined } from "../cluster/api.js";
import type { KubeObject } from "../cluster/objects.js";
import { ChaosError, ExitCode, messageOf, RefusedError } from "../errors.js";
import { TargetWatch } from "../target/target-watch.js";
import type { Target } from "../target/target.js";
import { pollUntil } from "./clock.js";
import { Collector } from "./collector.js";
import type { RunContext } from "./context.js";
import { deploy, removedNamespaces } from "./deploy.js";
import type { PendingUndo } from "./journal.js";
import { acquireLock, LOCK_NAME, LOCK_NAMESPACE, LOCK_PATH, type HeldLock } from "./lock.js";
import { startOutside } from "./outside.js";
import { recover, release } from "./release.js";
import { buildReport, packSamples } from "./report-files.js";
import { namespacesOf, undoAll, undoTogether } from "./restore.js";
import { askRuntimesOnce, type Measuring, showLive, suppress } from "./suppress.js";

/** How long the deployed application may take until every probe is good, ms. */
const WARM_UP_LIMIT_MS = 60_000;
/** A probe that may be missing (a name outside, a port from outside) is given up after this, ms. */
const OPTIONAL_LIMIT_MS = 6_000;
/** The watches list everything anew so often, ms: what a silent watch can hide at most. */
const RESYNC_MS = 2_000;
/** The lock outlives window and recovery by this, ms. */
const LOCK_SLACK_MS = 5 * 60_000;

export interface RunOutcome {
  readonly exitCode: ExitCode;
  readonly folder?: string;
  readonly result?: RunResult;
}

/** The part of a run that has a journal: whatever happens in it, everything is undone and reported. */
export class JournalledRun {
  readonly #context: RunContext;
  readonly #options: { readonly keepApp: boolean };
  readonly #target: Target;
  #facts: RunFacts;
  readonly #abort = new AbortController();
  /** How the target is put back, from the moment before the first kill. */
  readonly #pending: PendingUndo[] = [];
  readonly #lockUndo: PendingUndo[] = [];
  #lock: HeldLock | undefined;
  /** Whether the target is as before, as far as the runner has seen. */
  #whole = true;

  constructor(context: RunContext, facts: RunFacts, target: Target, options: { readonly keepApp: boolean }) {
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
      async (seq, undone) => await journal.undone(seq, undone.how, undone.by),
    );
    if (left.length === 0) await journal.finish();
    else await journal.close();
  }

  /** Deploy, baseline, window, release, recovery. */
  async #experiment(collector: Collector): Promise<void> {
    const { recorder, interrupted, discovery, transport } = this.#context;
    const watch = new TargetWatch({
      transport,
      discovery,
      target: this.#target,
      emit: recorder.emit,
      signal: this.#abort.signal,
      resyncMs: RESYNC_MS,
    });
    const watching = watch.start();
    const broken = new AbortController();
    watching.done.catch((error: unknown) => {
      this.#stopped("attack-failed", error);
      broken.abort();
    });
    const measuring: Measuring = { target: this.#target, watch, collector, abort: broken.signal };
    this.#onLockLost = () => broken.abort();
    try {
      const ready = await this.#prepare(measuring, watching.synced);
      if (ready && !interrupted.aborted) await this.#harm(measuring);
    } finally {
      await collector
        .stop()
        .catch((error: unknown) =>
          recorder.emit({ type: "warning", text: `measuring ended with: ${messageOf(error)}` }),
        );
      this.#abort.abort();
      await watching.done.catch(() => undefined); // already an event, above
    }
  }

  #onLockLost: () => void = () => undefined;

  /** Everything before the first harm. @returns false when the run must not go on; why is an event. */
  async #prepare(measuring: Measuring, synced: Promise<void>): Promise<boolean> {
    const { recorder, view, interrupted } = this.#context;
    recorder.emit({ type: "phase", phase: "deploy", state: "start" });
    try {
      await deploy(this.#context, { keepApp: this.#options.keepApp });
      if (interrupted.aborted) return false;
      await measuring.collector.start();
      this.#facts = { ...this.#facts, sources: measuring.collector.sources };
      await view.step("wait until every probe is good", async (note) => await this.#warmUp(measuring, note));
      await synced;
    } catch (error) {
      this.#stopped("deploy-failed", error);
      return false;
    } finally {
      recorder.emit({ type: "phase", phase: "deploy", state: "end" });
      await this.#writeFacts();
    }
    return !interrupted.aborted && (await this.#baseline(measuring));
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
        `not healthy ${WARM_UP_LIMIT_MS / 1000} s after it was deployed: ${bad.join(", ")}`,
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
    const end = clock.now() + durationMs;
    while (clock.now() < end && !interrupted.aborted) {
      showLive(this.#context, measuring, 0);
      await clock.sleep(Math.min(250, end - clock.now()), interrupted);
    }
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
    const { recorder } = this.#context;
    recorder.emit({ type: "phase", phase: "record", state: "start" });
    const unchanged = await this.#recordUndo();
    recorder.emit({ type: "phase", phase: "record", state: "end" });
    if (!unchanged || this.#context.interrupted.aborted) return;
    const series = measuring.collector.health.everGood();
    this.#whole = false;
    let kills = 0;
    try {
      kills = (await suppress(this.#context, measuring)).kills;
    } catch (error) {
      this.#stopped("attack-failed", error);
    }
    const putBack = await release(this.#context, this.#target, this.#pending);
    const healthy = await recover(this.#context, measuring, { kills, series });
    await askRuntimesOnce(this.#context, this.#target);
    this.#whole = putBack && healthy;
  }

  /** Writes into the journal how the target is put back, as it is at this moment. */
  async #recordUndo(): Promise<boolean> {
    const { transport, journal, resolved } = this.#context;
    if (resolved.attack.type === "none") return true;
    const live = await getOrUndefined<KubeObject>(transport, this.#target.path);
    if (live?.metadata.uid !== this.#target.uid) {
      this.#stopped(
        "target-not-ready",
        `${this.#target.kind} ${this.#target.name} was replaced while the baseline was measured`,
      );
      return false;
    }
    const object = { ...live, apiVersion: "apps/v1", kind: this.#target.kind };
    const undo = {
      action: "restore-workload",
      path: this.#target.path,
      collection: this.#target.collection,
      object,
    } as const;
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
        async (seq, undone) => await journal.undone(seq, undone.how, undone.by),
      );
      for (const { error } of failures) {
        clean = false;
        recorder.emit({ type: "warning", text: `not removed: ${error}` });
      }
    };
    await view.step("remove what the run had made", async () => {
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
