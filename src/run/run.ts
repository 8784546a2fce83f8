import { randomBytes } from "node:crypto";
import { rm, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { delimiter, join, resolve } from "node:path";
import { analyse } from "../analysis/analyse.js";
import type { RunFacts, RunResult } from "../analysis/result.js";
import { exitCodeOf } from "../analysis/verdict.js";
import { GUESTBOOK_IMAGES } from "../application/guestbook.js";
import { MANAGED_BY, MANAGED_BY_LABEL, RUN_LABEL } from "../application/manifest.js";
import { createAttack } from "../attacks/index.js";
import { discover, get, getOrUndefined, list, NAMESPACES, NODES, resourcePath } from "../cluster/api.js";
import { connect } from "../cluster/connect.js";
import { findNodeAccess } from "../cluster/node-access.js";
import type { KubeObject, Namespace, Node } from "../cluster/objects.js";
import type { ClusterHandle } from "../cluster/provider.js";
import { ChaosError, ExitCode, messageOf, RefusedError } from "../errors.js";
import type { ResolvedExperiment } from "../experiment/resolve.js";
import { PROBER_NAMESPACE } from "../probes/prober-manifests.js";
import { GUESTBOOK_SCRIPT } from "./probers.js";
import { TargetWatch } from "../target/target-watch.js";
import type { Target } from "../target/target.js";
import { pollUntil, systemClock } from "./clock.js";
import { Collector } from "./collector.js";
import type { RunContext } from "./context.js";
import { deploy, removedNamespaces } from "./deploy.js";
import { initialFacts, targetFacts, touchedStandIns } from "./facts.js";
import { Journal, journalRoot, type PendingUndo, unfinishedRuns } from "./journal.js";
import { acquireLock, LOCK_NAME, LOCK_NAMESPACE, LOCK_PATH, type HeldLock } from "./lock.js";
import { preflight, type Check } from "./preflight.js";
import { Recorder } from "./recorder.js";
import { recover, release } from "./release.js";
import { namespacesOf, undoAll, undoTogether } from "./restore.js";
import { buildReport, packSamples } from "./report-files.js";
import { askRuntimesOnce, type Measuring, showLive, suppress } from "./suppress.js";
import type { RunView } from "../ui/view.js";

/** How long the deployed application may take until every probe is good, ms. */
const WARM_UP_LIMIT_MS = 60_000;
/** A probe that may be missing (a name outside, a port from outside) is given up after this, ms. */
const OPTIONAL_LIMIT_MS = 6_000;
/** The watches list everything anew so often, ms: what a silent watch can hide at most. */
const RESYNC_MS = 2_000;
/** The lock outlives window and recovery by this, ms. */
const LOCK_SLACK_MS = 5 * 60_000;

export interface RunOptions {
  readonly resolved: ResolvedExperiment;
  /** The experiment file, for the report. */
  readonly file: string;
  readonly handle: ClusterHandle;
  readonly view: RunView;
  /** Folder that gets one folder a run. */
  readonly reportsFolder: string;
  readonly keepApp: boolean;
  readonly dryRun: boolean;
  /** Asked before a cluster is harmed that is not local: whether it was named and confirmed. */
  readonly confirm: () => Promise<boolean>;
  /** Aborted by the first signal; its reason is the signal's name. */
  readonly interrupted: AbortSignal;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly toolVersion: string;
  /** Told the run's id as soon as there is damage that a restore would have to undo. */
  readonly onJournal?: (runId: string) => void;
}

export interface RunOutcome {
  readonly exitCode: ExitCode;
  readonly folder?: string;
  readonly result?: RunResult;
}

/**
 * One experiment, from preflight to report (DESIGN section 3).
 *
 * @throws RefusedError when preflight, the lock or the journal refuse: nothing was harmed.
 * @throws ApiUnreachableError, ApiError before anything was touched; afterwards every error ends in a report.
 */
export async function runExperiment(options: RunOptions): Promise<RunOutcome> {
  const { resolved, handle, view, env } = options;
  const clock = systemClock();
  const startedAt = clock.wall();
  const runId = newRunId(startedAt, resolved.experiment.metadata.name);
  const userAgent = `kube-system-chaos/${options.toolVersion} (${runId})`;
  const connection = await connect({
    ...(handle.kubeconfigPath === undefined ? {} : { kubeconfigPath: handle.kubeconfigPath }),
    context: handle.context,
    userAgent,
  });
  const { transport } = connection;
  try {
    view.phase("preflight", undefined);
    const [discovery, nodeList, system] = await Promise.all([
      discover(transport),
      list<Node>(transport, resourcePath(NODES)),
      get<Namespace>(transport, resourcePath(NAMESPACES, undefined, "kube-system")),
    ]);
    const nodes = nodeList.items;
    const clusterUid = system.metadata.uid;
    const folder = join(options.reportsFolder, runId);
    const recorder = await createRecorder(folder, clock.now);
    recorder.onEvent((event) => view.event(event));
    const access = await findNodeAccess(nodes, handle);
    const root = journalRoot(env);
    recorder.emit({ type: "phase", phase: "preflight", state: "start" });
    const checked = await preflight({
      transport,
      server: connection.server,
      context: connection.context,
      discovery,
      nodes,
      resolved,
      nodeAccess: access,
      unfinished: await unfinishedRuns(root, clusterUid),
      confirm: options.confirm,
      emit: recorder.emit,
    });
    recorder.emit({ type: "phase", phase: "preflight", state: "end" });
    view.phaseEnd("preflight");
    const { target } = checked;
    const refused = checked.checks.filter((check) => !check.ok);
    if (refused.length > 0 || target === undefined || options.dryRun) {
      await recorder.close();
      await rm(folder, { recursive: true, force: true });
      if (refused.length > 0 || target === undefined) throw new RefusedError(refusal(refused));
      view.result(planLines(options, target, checked.checks), {
        dryRun: true,
        target: targetFacts(target, resolved.component?.name ?? null),
      });
      return { exitCode: ExitCode.asExpected };
    }
    const facts = {
      ...initialFacts({
        runId,
        startedAt,
        toolVersion: options.toolVersion,
        file: options.file,
        resolved,
        provider: handle.provider,
        context: connection.context,
        clusterUid,
        version: discovery.serverVersion,
        nodes,
      }),
      target: targetFacts(target, resolved.component?.name ?? null),
      standIns: await touchedStandIns(transport, target),
    };
    const journal = await Journal.create(root, {
      type: "open",
      runId,
      experiment: resolved.experiment.metadata.name,
      clusterUid,
      server: connection.server,
      context: connection.context,
      ...kubeconfigOf(connection.kubeconfigPath, env),
      toolVersion: options.toolVersion,
      startedAt: startedAt.toISOString(),
      host: hostname(),
      pid: process.pid,
    });
    options.onJournal?.(runId);
    const context: RunContext = {
      runId,
      resolved,
      handle,
      transport,
      discovery,
      nodes,
      clusterUid,
      nodeAccess: "none" in access ? undefined : access,
      recorder,
      view,
      clock,
      journal,
      made: [],
      interrupted: options.interrupted,
    };
    const onSignal = (): void =>
      recorder.emit({ type: "signal", signal: String(options.interrupted.reason) });
    if (options.interrupted.aborted) onSignal();
    else options.interrupted.addEventListener("abort", onSignal, { once: true });
    return await new Run(context, facts, target, options).execute();
  } finally {
    transport.close();
  }
}

/** The part of a run that has a journal: whatever happens in it, everything is undone and reported. */
class Run {
  readonly #context: RunContext;
  readonly #options: RunOptions;
  readonly #target: Target;
  #facts: RunFacts;
  readonly #abort = new AbortController();
  /** How the target is put back, from the moment before the first kill. */
  readonly #pending: PendingUndo[] = [];
  readonly #lockUndo: PendingUndo[] = [];
  #lock: HeldLock | undefined;
  /** Whether the target is as before, as far as the runner has seen. */
  #whole = true;

  constructor(context: RunContext, facts: RunFacts, target: Target, options: RunOptions) {
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
    await this.#startOutside(measuring.collector);
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

  /** The probe from outside, where the NodePort can be reached from here. */
  async #startOutside(collector: Collector): Promise<void> {
    const { resolved, nodes, clock } = this.#context;
    const { probes, application } = resolved.experiment;
    if (!probes.outside) {
      this.#notMeasured("outside", "switched off in the experiment");
      return;
    }
    const { checkOutside } = await import("../probes/outside.js");
    // kind maps the NodePort to the host's loopback; elsewhere a node's own address may be in reach.
    const onKind = nodes.some((node) => node.spec?.providerID?.startsWith("kind://") === true);
    const nodeAddress = nodes[0]?.status?.addresses?.find(
      (address) => address.type === "InternalIP",
    )?.address;
    const hosts = [onKind ? "127.0.0.1" : undefined, nodeAddress].filter((host) => host !== undefined);
    const target = {
      port: application.guestbook.nodePort,
      path: GUESTBOOK_SCRIPT,
      key: "chaos:outside",
      timeoutMs: probes.timeout,
    };
    for (const host of hosts) {
      const line = await checkOutside({ ...target, host, now: clock.now });
      if (!line.ok) continue;
      await collector.startOutside({ ...target, host, intervalMs: probes.interval });
      return;
    }
    this.#notMeasured(
      "outside",
      `NodePort ${target.port} does not answer on ${hosts.join(" or ")} from where the runner is`,
    );
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
    if (whole) await journal.finish();
    else {
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

/** "20261121T203015Z-kube-dns-3f9a": sorts by time, is a folder's name and a label's value. */
function newRunId(startedAt: Date, name: string): string {
  const stamp = startedAt
    .toISOString()
    .replace(/[-:]|\.\d+/g, "")
    .toLowerCase();
  return `${stamp}-${name.slice(0, 40)}-${randomBytes(2).toString("hex")}`;
}

/** The file that a restore has to read, also where it was found by KUBECONFIG: a later shell may not have that set. */
function kubeconfigOf(
  named: string | undefined,
  env: Readonly<Record<string, string | undefined>>,
): { kubeconfigPath?: string } {
  const path = named ?? env["KUBECONFIG"];
  return path === undefined || path === "" || path.includes(delimiter)
    ? {}
    : { kubeconfigPath: resolve(path) };
}

async function createRecorder(folder: string, now: () => number): Promise<Recorder> {
  try {
    return await Recorder.create(folder, now);
  } catch (error) {
    throw new RefusedError(
      `cannot write the report's folder ${folder}: ${messageOf(error)}; nothing was touched`,
      { cause: error },
    );
  }
}

function refusal(refused: readonly Check[]): string {
  return [
    "preflight refused; nothing was touched:",
    ...refused.map((check) => `  ${check.name}: ${check.detail}`),
  ].join("\n");
}

/** What a run would do, for --dry-run. Pure. */
function planLines(options: RunOptions, target: Target, checks: readonly Check[]): string[] {
  const { resolved, keepApp } = options;
  const { experiment, attack } = resolved;
  const { baseline, window, recovery } = experiment.phases;
  const namespace = experiment.application.guestbook.namespace;
  return [
    `dry run of ${options.file}: nothing was touched`,
    ...checks.map((check) => `  ✓ ${check.name}: ${check.detail}`),
    `target: ${target.kind} ${target.namespace}/${target.name} (${target.count} wanted)`,
    `who restores it: ${target.ownerChain.join(" → ")}`,
    `would deploy: the guestbook into ${namespace} (${Object.values(GUESTBOOK_IMAGES).join(", ")}), a prober a node into ${PROBER_NAMESPACE}`,
    `would measure: ${baseline / 1000} s of baseline, ${window / 1000} s of window, up to ${recovery / 1000} s of recovery, every ${experiment.probes.interval} ms`,
    `attack ${attack.type}:`,
    ...createAttack(attack)
      .plan(target)
      .map((line) => `  - ${line}`),
    attack.type === "none"
      ? "would restore: nothing"
      : `would restore: ${target.kind} ${target.name} from the journal, where the cluster's own restorer does not`,
    `would remove: ${PROBER_NAMESPACE}${keepApp ? "" : `, ${namespace}`}`,
    `expected impact: ${resolved.expectedImpact ?? "none stated"}`,
  ];
}
