import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { ClusterHandle } from "../clusters/provider.js";
import type { Clock } from "../common/clock.js";
import { systemClock } from "../common/clock.js";
import { ExitCode, messageOf, RefusedError } from "../common/errors.js";
import { newRunId } from "../common/run-id.js";
import type { ResolvedExperiment } from "../components/resolve.js";
import type { RunFacts } from "../evidence/facts.js";
import { Recorder } from "../evidence/recorder.js";
import { isControl } from "../experiment/attacks.js";
import { discover, type Discovery, list, NODES, resourcePath } from "../kube/api.js";
import { connect, type Connection } from "../kube/connect.js";
import type { Node } from "../kube/objects.js";
import type { Transport } from "../kube/transport.js";
import { findNodeAccess, type NodeAccessOptions } from "../nodes/access.js";
import { podAccess } from "../nodes/pod-access.js";
import { type NodeAccess } from "../nodes/spec.js";
import { type Journal, journalRoot } from "../safety/journal/journal.js";
import { openJournal } from "../safety/journal/open.js";
import { clusterUidOf, otherUnfinishedRuns } from "../safety/journal/unfinished.js";
import type { HeldLock } from "../safety/lock/lease.js";
import type { Watchdog } from "../safety/watchdog.js";
import { findCompanions } from "../targets/find-companions.js";
import type { AnyTarget } from "../targets/target.js";
import type { RunView } from "../ui/base.js";
import type { RunContext } from "./context.js";
import { initialFacts, targetFacts, touchedStandIns } from "./initial-facts.js";
import { JournalledRun, type RunOutcome } from "./journalled-run.js";
import { canaryNamespaceOf } from "./measuring/function-checks.js";
import { relyOnAddonManager } from "./phases/addon-manager.js";
import { planLines, refusal } from "./phases/plan-lines.js";
import { preflight, refusalOfForbidden } from "./phases/preflight.js";

export type { RunOutcome } from "./journalled-run.js";

export interface RunOptions {
  readonly resolved: ResolvedExperiment;
  /** The experiment file, for the report. */
  readonly file: string;
  readonly handle: ClusterHandle;
  readonly view: RunView;
  /** Folder that gets one folder a run. */
  readonly reportsFolder: string;
  readonly keepApp: boolean;
  /** Whether a dead-man's switch is set up before the first harm. Default: not. */
  readonly deadMan?: boolean;
  /** Guestbook, probers and lock are shared by several runs: the id of the journal that takes them away. */
  readonly sharedBy?: { readonly id: string; readonly lock: HeldLock };
  readonly nodeAccess?: NodeAccessOptions;
  readonly dryRun: boolean;
  /** Asked before a cluster is harmed that is not local: whether it was named and confirmed. */
  readonly confirm: () => Promise<boolean>;
  /** Aborted by the first signal; its reason is the signal's name. */
  readonly interrupted: AbortSignal;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly toolVersion: string;
  /** Restores when this process dies; undefined: only the journal is there. */
  readonly watchdog?: Watchdog;
  /** Told the run's id as soon as there is damage that a restore would have to undo. */
  readonly onJournal?: (runId: string) => void;
}

/**
 * One experiment, from preflight to report.
 *
 * @throws RefusedError when preflight, the lock or the journal refuse: nothing was harmed.
 * @throws ApiUnreachableError, ApiError before anything was touched; afterwards every error ends in a report.
 */
export async function runExperiment(options: RunOptions): Promise<RunOutcome> {
  const clock = systemClock();
  const startedAt = clock.wall();
  const { handle, resolved, toolVersion } = options;
  const runId = newRunId(startedAt, resolved.experiment.metadata.name);
  const connection = await connect({
    ...(handle.kubeconfigPath === undefined ? {} : { kubeconfigPath: handle.kubeconfigPath }),
    context: handle.context,
    userAgent: `kube-system-chaos/${toolVersion} (${runId})`,
  });
  try {
    const begun = { options, clock, startedAt, runId, connection };
    const checked = await check(begun);
    return "exitCode" in checked ? checked : await execute(begun, checked);
  } finally {
    connection.transport.close();
  }
}

interface Begun {
  readonly options: RunOptions;
  readonly clock: Clock;
  readonly startedAt: Date;
  readonly runId: string;
  readonly connection: Connection;
}

/** What preflight has found, and may be harmed. */
interface Checked {
  readonly discovery: Discovery;
  readonly nodes: readonly Node[];
  readonly clusterUid: string;
  readonly recorder: Recorder;
  readonly access: NodeAccess | { readonly none: string };
  readonly target: AnyTarget;
}

/** @returns the outcome where the run ends here: a dry run, or a signal that came while only questions were asked. */
async function check(begun: Begun): Promise<Checked | RunOutcome> {
  const { options, clock, runId, connection } = begun;
  const { resolved, view, env, sharedBy } = options;
  const { transport } = connection;
  view.phase("preflight", undefined);
  const [discovery, nodeList, clusterUid] = await Promise.all([
    discover(transport),
    list<Node>(transport, resourcePath(NODES)),
    clusterUidOf(transport),
  ]).catch(async (error: unknown) => {
    const privilegedPods = options.nodeAccess?.only === "pod";
    const where = { privilegedPods, canaries: canaryNamespaceOf(runId) };
    throw (await refusalOfForbidden(transport, resolved, error, where)) ?? error;
  });
  const nodes = nodeList.items;
  const recorder = await createRecorder(join(options.reportsFolder, runId), clock.now);
  recorder.onEvent((event) => view.event(event));
  const access = await accessOf(transport, nodes, options);
  recorder.emit({ type: "phase", phase: "preflight", state: "start" });
  const ownId = sharedBy === undefined ? {} : { ownId: sharedBy.id };
  const { checks, target } = await preflight({
    transport,
    server: connection.server,
    context: connection.context,
    discovery,
    nodes,
    resolved,
    nodeAccess: access,
    unfinished: await otherUnfinishedRuns(transport, { root: journalRoot(env), clusterUid, ...ownId }),
    ...ownId,
    canaries: canaryNamespaceOf(runId),
    deadMan: options.deadMan === true,
    confirm: options.confirm,
    emit: recorder.emit,
  });
  recorder.emit({ type: "phase", phase: "preflight", state: "end" });
  view.phaseEnd("preflight");
  const refused = checks.filter(({ ok }) => !ok);
  if (refused.length === 0 && target !== undefined && !options.dryRun && !options.interrupted.aborted)
    return { discovery, nodes, clusterUid, recorder, access, target };
  await discard(recorder);
  if (refused.length > 0 || target === undefined) throw new RefusedError(refusal(refused));
  if (!options.dryRun) {
    view.warn("interrupted before anything was touched");
    return { exitCode: ExitCode.interrupted };
  }
  const companions = await findCompanions(transport, resolved);
  view.result(planLines(options, { target, companions }, checks), {
    dryRun: true,
    target: targetFacts(target, resolved.component?.name ?? null),
  });
  return { exitCode: ExitCode.asExpected };
}

async function execute(begun: Begun, checked: Checked): Promise<RunOutcome> {
  const { options, clock, runId, connection } = begun;
  const { resolved, handle, view, interrupted, keepApp, sharedBy: shared, watchdog } = options;
  const deadMan = options.deadMan === true && !isControl(resolved.attack);
  const { discovery, nodes, clusterUid, recorder, access, target } = checked;
  const { transport } = connection;
  const { emit } = recorder;
  await relyOnAddonManager({ transport, clock, view, emit, target, attack: resolved.attack });
  const companions = await findCompanions(transport, resolved);
  const facts = await factsOf(begun, checked);
  const journal = await guardedJournal(begun, checked);
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
    changed: [],
    interrupted,
  };
  const onSignal = (): void => emit({ type: "signal", signal: String(interrupted.reason) });
  if (interrupted.aborted) onSignal();
  else interrupted.addEventListener("abort", onSignal, { once: true });
  const outcome = await new JournalledRun(context, facts, target, {
    keepApp,
    shared,
    companions,
    deadMan,
  }).execute();
  // Not in a finally: a run that ends with an error of ours may have left damage, and the watchdog sees to it.
  watchdog?.release(journal.folder);
  return outcome;
}

/** What is known of the run before anything was measured. */
async function factsOf(
  { options, runId, startedAt, connection }: Begun,
  checked: Checked,
): Promise<RunFacts> {
  const { resolved, file, handle, toolVersion } = options;
  const { clusterUid, discovery, nodes, target } = checked;
  const { context, transport } = connection;
  return {
    ...initialFacts({
      runId,
      startedAt,
      toolVersion,
      file,
      resolved,
      provider: handle.provider,
      context,
      clusterUid,
      version: discovery.serverVersion,
      nodes,
    }),
    target: targetFacts(target, resolved.component?.name ?? null),
    standIns: await touchedStandIns(transport, target),
  };
}

/** The run's journal, with the watchdog watching it. Nothing is left where one of them cannot be had. */
async function guardedJournal(begun: Begun, { clusterUid, recorder }: Checked): Promise<Journal> {
  const { options, runId, startedAt, connection } = begun;
  const { env, toolVersion, resolved, watchdog } = options;
  const experiment = resolved.experiment.metadata.name;
  try {
    const about = { runId, experiment, clusterUid, toolVersion, startedAt };
    return await openJournal(connection, { env, ...(watchdog === undefined ? {} : { watchdog }) }, about);
  } catch (error) {
    await discard(recorder);
    throw error;
  }
}

/** A run that ended before it began has no report. */
async function discard(recorder: Recorder): Promise<void> {
  await recorder.close();
  await rm(recorder.folder, { recursive: true, force: true });
}

/** How nodes are reached. The privileged pods come with the probers: until then they are only announced. */
async function accessOf(
  transport: Transport,
  nodes: readonly Node[],
  { handle, nodeAccess }: RunOptions,
): Promise<NodeAccess | { readonly none: string }> {
  if (nodeAccess?.only === "pod") return podAccess(transport);
  return await findNodeAccess(nodes, handle, nodeAccess);
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
