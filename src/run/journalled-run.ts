import { rm } from "node:fs/promises";
import type { RunResult } from "../analysis/result.js";
import { type ExitCode, messageOf, RefusedError } from "../common/errors.js";
import type { RunFacts } from "../evidence/facts.js";
import { exitCodeOfReport, finishReport } from "../report/files.js";
import type { PendingUndo } from "../safety/journal/journal.js";
import { type AnyTarget, isNodeTarget } from "../targets/target.js";
import type { RunContext } from "./context.js";
import { Collector } from "./measuring/collector.js";
import { askRuntimesOnce, type Measuring } from "./measuring/measuring.js";
import { baseline } from "./phases/baseline.js";
import { holdCluster, keepCopy } from "./phases/lock.js";
import { prepare } from "./phases/prepare.js";
import { noteActed, recordUndo } from "./phases/record-undo.js";
import { recover } from "./phases/recovery.js";
import { release } from "./phases/release.js";
import { cleanUp } from "./phases/tear-down.js";
import { suppress } from "./phases/window.js";
import { type JournalledRunOptions, RunState } from "./run-state.js";

export type { JournalledRunOptions } from "./run-state.js";

/** The lock outlives window and recovery by this, ms. */
const LOCK_SLACK_MS = 5 * 60_000;

export interface RunOutcome {
  readonly exitCode: ExitCode;
  readonly folder?: string;
  readonly result?: RunResult;
}

/** The part of a run that has a journal: whatever happens in it, everything is undone and reported. */
export class JournalledRun {
  readonly #state: RunState;

  constructor(context: RunContext, facts: RunFacts, target: AnyTarget, options: JournalledRunOptions) {
    this.#state = new RunState(context, facts, target, options);
  }

  async execute(): Promise<RunOutcome> {
    const { recorder, view } = this.#state.context;
    try {
      await this.#state.writeFacts();
      const { failure } = recorder;
      if (failure !== undefined)
        throw new RefusedError(
          `cannot write the report's folder ${recorder.folder}: ${messageOf(failure)}; nothing was touched`,
          { cause: failure },
        );
      await this.#holdCluster();
    } catch (error) {
      await recorder.close();
      await rm(recorder.folder, { recursive: true, force: true });
      throw error;
    }
    try {
      await this.#experiment(new Collector(this.#state.context));
    } catch (error) {
      // What was begun is undone by now (see #harm); the run says why it could not go on.
      this.#state.stopped("attack-failed", error);
    }
    try {
      const cleaned = await cleanUp(this.#state);
      return await view.step(
        "write the report",
        async () => await this.#report(this.#state.whole && cleaned),
      );
    } finally {
      // Whatever went wrong: a lock that is renewed for ever would keep the process alive, and others out.
      if (this.#state.options.shared === undefined) await this.#state.lock?.stopRenewing();
    }
  }

  /** Deploy, baseline, window, release, recovery. */
  async #experiment(collector: Collector): Promise<void> {
    const { recorder, interrupted } = this.#state.context;
    const watches: Promise<void>[] = [];
    const broken = this.#state.broken;
    this.#onLockLost(() => broken.abort());
    const follow = (done: Promise<void>): void => {
      watches.push(
        done.catch((error: unknown) => {
          this.#state.stopped("attack-failed", error);
          broken.abort();
        }),
      );
    };
    let measuring: Measuring | undefined;
    try {
      measuring = await prepare(this.#state, collector, follow, broken.signal);
      const ready = measuring !== undefined && (await baseline(this.#state, measuring));
      const stop = interrupted.aborted || broken.signal.aborted;
      if (ready && measuring !== undefined && !stop) await this.#harm(measuring);
    } finally {
      await measuring?.looks?.end();
      await measuring?.abortWhen?.stop();
      await collector
        .stop()
        .catch((error: unknown) =>
          recorder.emit({ type: "warning", text: `measuring ended with: ${messageOf(error)}` }),
        );
      this.#state.abort.abort();
      await Promise.all(watches);
    }
  }

  /** Somebody else may be at work on the cluster by then: nothing is harmed any more. */
  #onLockLost(end: () => void): void {
    const lost = this.#state.lock?.lost;
    const stop = (): void => {
      this.#state.stopped("lock-lost", `the lock is held by ${String(lost?.reason)} now`);
      end();
    };
    if (lost?.aborted === true) stop();
    else lost?.addEventListener("abort", stop, { once: true, signal: this.#state.abort.signal });
  }

  /** Record, window, release, recovery. */
  async #harm(measuring: Measuring): Promise<void> {
    const { recorder, resolved } = this.#state.context;
    recorder.emit({ type: "phase", phase: "record", state: "start" });
    const unchanged = await recordUndo(this.#state, measuring.nodes);
    recorder.emit({ type: "phase", phase: "record", state: "end" });
    if (!unchanged || this.#state.context.interrupted.aborted) return;
    const unguarded = await this.#state.deadMan?.problem();
    if (unguarded !== undefined) {
      this.#state.stopped(
        "deploy-failed",
        `the dead-man's switch is not there right before the first harm: ${unguarded}`,
      );
      return;
    }
    noteActed(this.#state);
    const series = measuring.collector.health.everGood();
    const functionWorked = measuring.looks?.lastPresent ?? false;
    this.#state.whole = false;
    let kills = 0;
    try {
      kills = (await suppress(this.#state.context, measuring, this.#state.pending)).kills;
    } catch (error) {
      this.#state.stopped("attack-failed", error);
    }
    const putBack = await release(
      this.#state.context,
      { ...measuring, attack: resolved.attack },
      this.#state.pending,
    );
    const none: ReadonlySet<string> = new Set();
    const healthy = await recover(this.#state.context, measuring, {
      kills,
      series: () => (this.#state.applicationChanged ? none : series),
      functionWorked,
    });
    if (!isNodeTarget(this.#state.target)) await askRuntimesOnce(this.#state.context, this.#state.target);
    this.#state.whole = putBack && healthy;
  }

  async #holdCluster(): Promise<void> {
    const { recorder, resolved, journal } = this.#state.context;
    const { shared } = this.#state.options;
    const { phases } = resolved.experiment;
    recorder.emit({ type: "phase", phase: "lock", state: "start" });
    if (shared === undefined) {
      const { lock, last } = await holdCluster(this.#state.context, {
        durationMs: phases.baseline + phases.window + phases.recovery + LOCK_SLACK_MS,
        warn: (text) => recorder.emit({ type: "warning", text }),
      });
      this.#state.lock = lock;
      this.#state.last = last;
    } else {
      this.#state.lock = shared.lock;
      const last: PendingUndo[] = [];
      this.#state.last = last;
      try {
        await keepCopy(this.#state.context, last);
      } catch (error) {
        // Nothing else was done yet; what may have been made is the session's to take away.
        await journal.finish();
        throw error;
      }
    }
    recorder.emit({ type: "phase", phase: "lock", state: "end" });
  }

  /** Closes the journal when everything is undone, and writes the report. */
  async #report(whole: boolean): Promise<RunOutcome> {
    const { journal, recorder, view, runId } = this.#state.context;
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
    const report = await finishReport(recorder, this.#state.facts);
    for (const problem of report.problems) view.warn(problem);
    return {
      exitCode: exitCodeOfReport(report, whole),
      folder: recorder.folder,
      result: report.result,
    };
  }
}
