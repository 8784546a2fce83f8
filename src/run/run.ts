import { rm } from "node:fs/promises";
import { join } from "node:path";
import { architecturesOf, imagesOf, type OwnPods, ownPods } from "../application/own-pods.js";
import type { RunResult } from "../analysis/result.js";
import type { ClusterHandle } from "../clusters/provider.js";
import { type Clock, systemClock } from "../common/clock.js";
import { ChaosError, ExitCode, messageOf, RefusedError } from "../common/errors.js";
import { orInterrupted } from "../common/interrupted.js";
import { systemReason } from "../common/system-reason.js";
import { newRunId } from "../common/run-id.js";
import type { ResolvedExperiment } from "../components/resolve.js";
import type { PodSettings } from "../config/pod-settings.js";
import type { RunEvent, RunEventBody } from "../evidence/events.js";
import { Recorder } from "../evidence/recorder.js";
import { isControl } from "../experiment/attacks.js";
import { list, NODES, resourcePath, serverVersion } from "../kube/api.js";
import { type Connection, withConnection } from "../kube/connect.js";
import { followedTransport } from "../kube/followed-transport.js";
import type { Node } from "../kube/objects.js";
import { routedTransport, type RoutedTransport } from "../kube/pod-route.js";
import { schedulableNodes } from "../kube/pod-state.js";
import type { Transport } from "../kube/transport.js";
import { findNodeAccess, type NodeAccessOptions } from "../nodes/access.js";
import { usableNodes } from "../nodes/left-out.js";
import { podAccess } from "../nodes/pod-access.js";
import { type NodeAccess } from "../nodes/spec.js";
import { samplingOf } from "../probes/sampling.js";
import type { Sampling } from "../evidence/facts.js";
import { exitCodeOfReport, finishReport } from "../report/files.js";
import { describeUndo } from "../safety/journal/describe.js";
import { type Journal, journalRoot, readJournal } from "../safety/journal/journal.js";
import { openJournal } from "../safety/journal/open.js";
import { clusterUidOf, otherUnfinishedRuns, restoreCommand } from "../safety/journal/unfinished.js";
import type { HeldLock } from "../safety/lock/lease.js";
import { entriesOf, stagesOf } from "../safety/restore/order.js";
import type { Watchdog } from "../safety/watchdog.js";
import type { RunView } from "../ui/base.js";
import type { Prepared } from "./context.js";
import { initialFacts, targetFacts, touchedSubstituteImages } from "./initial-facts.js";
import { canaryNamespaceOf } from "./measuring/function-checks.js";
import { GivingUp } from "./giving-up.js";
import { PHASES } from "./phases/all-phases.js";
import { type PlanRow, planRow } from "./phases/dry-run-table.js";
import { runPhases } from "./phases/phase.js";
import { planLines, refusal } from "./phases/plan-lines.js";
import {
  type Check,
  type NoNodeAccess,
  preflight,
  type PreflightOutcome,
  refusalOfForbidden,
} from "./phases/preflight.js";
import { readEnvironment } from "./read-environment.js";
import { unlessRestored } from "./not-restored.js";
import { RunState } from "./run-state.js";

export interface RunOutcome {
  readonly exitCode: ExitCode;
  /** Why there is no result; undefined: there is one, or the run was refused with an error. */
  readonly problem?: string;
  readonly folder?: string;
  readonly result?: RunResult;
}

export interface RunOptions {
  readonly resolved: ResolvedExperiment;
  /** The experiment file, for the report. */
  readonly file: string;
  readonly handle: ClusterHandle;
  readonly view: RunView;
  /** Folder that gets one subfolder per run. */
  readonly reportsFolder: string;
  readonly keepApp: boolean;
  /** Attack also when it is known before that nothing can be concluded. Default: no. */
  readonly anyway?: boolean;
  /** Whether a dead-man's switch is deployed before the attack. Default: no. */
  readonly deadMan?: boolean;
  /** The session whose runs share guestbook, probers and lock: the id of its journal, and the lock. */
  readonly sharedBy?: { readonly id: string; readonly lock: HeldLock };
  readonly nodeAccess?: NodeAccessOptions;
  /** Images and pull secrets of the run's pods. Default: the public images. */
  readonly podSettings?: PodSettings;
  readonly dryRun: boolean;
  /** Takes the row of a dry run of several experiments, which then prints nothing and refuses nothing itself. */
  readonly onPlan?: (row: PlanRow) => void;
  /** Called before a cluster that is not local is attacked: whether it was named and confirmed. */
  readonly confirm: () => Promise<boolean>;
  /** The command line that names and confirms a context. */
  readonly allowing: (context: string) => string;
  /** Aborted by the first signal; its reason is the signal's name. */
  readonly interrupted: AbortSignal;
  /** Aborted when the user ends the restore, too; its reason is a sentence. */
  readonly abandoned?: AbortSignal;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly toolVersion: string;
  /** Restores when this process dies; undefined: only the journal remains for a restore. */
  readonly watchdog?: Watchdog;
  /** Called with the run's id before there is any damage that a restore would have to undo. */
  readonly onJournal?: (runId: string) => void;
}

/**
 * One experiment, from preflight to report.
 *
 * @throws RefusedError when preflight, the lock or the journal refuse: nothing was attacked.
 * @throws ApiUnreachableError, ApiError before anything was changed; later every error ends in a report.
 */
export async function runExperiment(options: RunOptions): Promise<RunOutcome> {
  const clock = systemClock();
  const startedAt = clock.wall();
  const { handle, resolved, toolVersion } = options;
  const runId = newRunId(startedAt, resolved.experiment.metadata.name);
  const userAgent = `kube-system-chaos/${toolVersion} (${runId})`;
  const { kubeconfigPath, context } = handle;
  const { interrupted: signal } = options;
  return await withConnection({ kubeconfigPath, context, userAgent, signal }, async (connection) => {
    const givingUp = new GivingUp(clock, options.abandoned);
    const transport = routedTransport(followedTransport(connection.transport, givingUp));
    const prepared = await orInterrupted(
      signal,
      async () => await prepareRun(options, { ...connection, transport }, { runId, clock, givingUp }),
    );
    return "exitCode" in prepared ? prepared : await execute(options, connection, prepared, startedAt);
  });
}

/** Changes nothing. @returns the outcome if the run ends here: a dry run. */
async function prepareRun(
  options: RunOptions,
  { transport, context }: Connection & { readonly transport: RoutedTransport },
  { runId, clock, givingUp }: { readonly runId: string; readonly clock: Clock; readonly givingUp: GivingUp },
): Promise<Prepared | RunOutcome> {
  const { resolved, view, env, sharedBy, interrupted, keepApp } = options;
  const canaries = canaryNamespaceOf(runId);
  view.phase("preflight", undefined);
  const [version, { items: nodes }, clusterUid] = await Promise.all([
    serverVersion(transport),
    list<Node>(transport, resourcePath(NODES)),
    clusterUidOf(transport),
  ]).catch(async (error: unknown) => {
    const where = { privilegedPods: options.nodeAccess?.only === "pod", canaries };
    throw (await refusalOfForbidden(transport, resolved, error, where)) ?? error;
  });
  const podSettings = options.podSettings ?? {};
  const pods = ownPods(podSettings, architecturesOf(nodes));
  const sampling = samplingOf(resolved.experiment, schedulableNodes(nodes).length);
  const access = await accessOf(transport, nodes, options);
  // The report folder is created only for a run that passes its checks: a dry run writes no file.
  const events: RunEvent[] = [];
  const emit = (body: RunEventBody): void => {
    const event = { ...body, tMs: Math.round(clock.now() * 1000) / 1000 };
    events.push(event);
    view.event(event);
  };
  emit({ type: "phase", phase: "preflight", state: "start" });
  const ownId = sharedBy === undefined ? {} : { ownId: sharedBy.id };
  const outcome = await preflight({
    transport,
    context,
    kubeconfigPath: options.handle.kubeconfigPath,
    version,
    nodes,
    resolved,
    keepApp,
    nodeAccess: access,
    unfinished: await otherUnfinishedRuns(transport, { root: journalRoot(env), clusterUid, ...ownId }),
    ...ownId,
    canaries,
    podSettings,
    deadMan: options.deadMan ?? false,
    confirm: options.confirm,
    allowing: options.allowing,
    emit,
  });
  emit({ type: "phase", phase: "preflight", state: "end" });
  view.phaseEnd("preflight");
  const refused = outcome.checks.filter(({ ok }) => !ok);
  if (options.dryRun) return endDryRun(options, { ...outcome, pods }, refused, sampling);
  const { target, companions } = outcome;
  if (refused.length > 0 || target === undefined) throw new RefusedError(refusal(refused));
  const recorder = await createRecorder(join(options.reportsFolder, runId), clock.now, interrupted);
  for (const { tMs, ...body } of events) recorder.emit(body, tMs);
  recorder.onEvent((event) => view.event(event));
  return {
    runId,
    resolved: withInterval(outcome.resolved, sampling),
    transport,
    version,
    nodes,
    ...(sampling === undefined ? {} : { sampling }),
    clusterUid,
    pods,
    nodeAccess: "none" in access ? undefined : access,
    target,
    companions,
    keepApp,
    anyway: options.anyway === true,
    shared: sharedBy,
    deadMan: options.deadMan === true && !isControl(outcome.resolved.attack),
    recorder,
    view,
    clock,
    interrupted,
    givingUp,
    restoreWith: restoreCommand(options.handle),
  };
}

/** Shows the plan, also of a run that would be refused. @throws RefusedError that says why it would be. */
function endDryRun(
  options: RunOptions,
  outcome: PreflightOutcome & { readonly pods: OwnPods },
  refused: readonly Check[],
  sampling: Sampling | undefined,
): RunOutcome {
  const { target } = outcome;
  const plan = planRow(options.file, outcome);
  if (options.onPlan !== undefined) {
    options.onPlan(plan);
    return { exitCode: refused.length > 0 ? ExitCode.preflightRefused : ExitCode.asExpected };
  }
  if (target !== undefined)
    options.view.result(planLines(options, { ...outcome, target }, sampling), {
      dryRun: true,
      target: targetFacts(target, outcome.resolved.component?.name ?? null),
      plan,
    });
  if (refused.length > 0 || target === undefined) throw new RefusedError(refusal(refused));
  return { exitCode: ExitCode.asExpected };
}

/** The experiment with the interval at which this run samples. */
function withInterval(resolved: ResolvedExperiment, sampling: Sampling | undefined): ResolvedExperiment {
  if (sampling === undefined) return resolved;
  const { experiment } = resolved;
  const probes = { ...experiment.probes, interval: sampling.intervalMs };
  return { ...resolved, experiment: { ...experiment, probes } };
}

/** The part of a run that has a journal: whatever happens, everything is undone and reported. */
async function execute(
  options: RunOptions,
  connection: Connection,
  prepared: Prepared,
  startedAt: Date,
): Promise<RunOutcome> {
  const { runId, resolved, transport, clusterUid, pods, target, recorder, view, interrupted } = prepared;
  const { env, toolVersion, watchdog, file, handle } = options;
  let state: RunState | undefined;
  try {
    const about = { startedAt, toolVersion, file, provider: handle.provider, context: connection.context };
    const facts = {
      ...initialFacts(prepared, about),
      standIns: await touchedSubstituteImages(
        transport,
        target,
        imagesOf(pods, resolved.experiment.application),
      ),
      environment: await readEnvironment(transport, prepared),
    };
    const experiment = resolved.experiment.metadata.name;
    const journal = await openJournal(
      connection,
      { env, ...(watchdog === undefined ? {} : { watchdog }) },
      { runId, experiment, clusterUid, toolVersion, startedAt },
    );
    options.onJournal?.(runId);
    const onSignal = (): void => recorder.emit({ type: "signal", signal: String(interrupted.reason) });
    if (interrupted.aborted) onSignal();
    else interrupted.addEventListener("abort", onSignal, { once: true });
    state = new RunState({ ...prepared, journal, made: [], changed: [] }, facts);
    const running = state;
    await running.writeFacts();
    if (recorder.failure !== undefined) {
      // Nothing was changed: an open journal would make later runs refuse.
      await journal.finish();
      throw unwritable(recorder.folder, recorder.failure);
    }
    await runPhases(PHASES, running);
    const outcome = await view.step("write the report", async () => await finish(running));
    // Not in `finally`: a run that ends with an internal error may have left damage, which the watchdog then restores.
    watchdog?.release(journal.folder);
    return outcome;
  } catch (error) {
    // The lock was never acquired, so there is nothing to report.
    if (state?.lock === undefined) await discard(recorder);
    throw state === undefined ? error : await unlessRestored(error, state.context.journal, runId);
  } finally {
    // In every case: a lock that is renewed forever would keep the process alive and block other runs.
    if (prepared.shared === undefined) await state?.lock?.stopRenewing();
  }
}

/** How many changes that are left to undo are named. */
const LEFT_NAMED = 5;

/** Closes the journal when everything is undone, and writes the report. */
async function finish({ context, facts, whole }: RunState): Promise<RunOutcome> {
  const { journal, recorder, view, runId } = context;
  if (whole) {
    try {
      await journal.finish();
    } catch (error) {
      // Everything is restored. A journal that cannot be closed must not prevent the report.
      recorder.emit({
        type: "warning",
        text: `the journal could not be closed: ${messageOf(error)}. Nothing is left to restore; \`chaos restore ${runId}\` closes the journal`,
      });
    }
  } else {
    recorder.emit({
      type: "warning",
      text: `the run is not fully restored${await leftWords(journal)}. Finish it with \`chaos restore ${runId}\``,
    });
    await journal.close();
  }
  const report = await finishReport(recorder, facts);
  for (const problem of report.problems) view.warn(problem);
  return { exitCode: exitCodeOfReport(report, whole), folder: recorder.folder, result: report.result };
}

/** ": Deployment kube-dns, Namespace guestbook and 3 more are left"; "" when the journal cannot be read. */
async function leftWords({ folder }: Pick<Journal, "folder">): Promise<string> {
  const { pending = [] } = (await readJournal(folder).catch(() => undefined)) ?? {};
  if (pending.length === 0) return "";
  // The target comes before what the run created for itself.
  const names = entriesOf(stagesOf(pending), "onNodes", "lock")
    .reverse()
    .map(({ undo }) => describeUndo(undo));
  const more = names.length - LEFT_NAMED;
  return `: ${names.slice(0, LEFT_NAMED).join(", ")}${more > 0 ? ` and ${more} more` : ""} left to undo`;
}

/** Deletes the report folder of a run that ended before it started. */
async function discard(recorder: Recorder): Promise<void> {
  await recorder.close();
  await rm(recorder.folder, { recursive: true, force: true });
}

/** How nodes are reached. The privileged pods are deployed under the lock and do not exist before. */
export async function accessOf(
  transport: Transport,
  nodes: readonly Node[],
  { handle, nodeAccess }: Pick<RunOptions, "handle" | "nodeAccess">,
): Promise<NodeAccess | NoNodeAccess> {
  const only = nodeAccess?.only;
  if (only === "pod") return podAccess(transport);
  const found = await findNodeAccess(usableNodes(nodes), handle, nodeAccess);
  return "none" in found && only !== undefined ? { ...found, asked: only } : found;
}

async function createRecorder(
  folder: string,
  now: () => number,
  interrupted: AbortSignal,
): Promise<Recorder> {
  interrupted.throwIfAborted();
  try {
    const recorder = await Recorder.create(folder, now);
    // The run has ended meanwhile, so nobody uses it.
    if (interrupted.aborted) await discard(recorder);
    return recorder;
  } catch (error) {
    throw unwritable(folder, error);
  }
}

function unwritable(folder: string, cause: unknown): ChaosError {
  return new ChaosError(
    `cannot write the report folder ${folder}: ${systemReason(cause)}. Nothing was changed. Name another one with --reports`,
  );
}
