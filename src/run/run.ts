import { randomBytes } from "node:crypto";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { discover, get, list, NAMESPACES, NODES, resourcePath } from "../cluster/api.js";
import { connect } from "../cluster/connect.js";
import { podAccess } from "../cluster/node-access-agent.js";
import { findNodeAccess, type NodeAccess, type NodeAccessOptions } from "../cluster/node-access.js";
import type { Namespace, Node } from "../cluster/objects.js";
import type { ClusterHandle } from "../cluster/provider.js";
import type { Transport } from "../cluster/transport.js";
import { ExitCode, messageOf, RefusedError } from "../errors.js";
import type { ResolvedExperiment } from "../experiment/resolve.js";
import type { RunView } from "../ui/view.js";
import { systemClock } from "./clock.js";
import type { RunContext } from "./context.js";
import { relyOnAddonManager } from "./addon-manager.js";
import { findCompanions } from "./companions.js";
import { initialFacts, targetFacts, touchedStandIns } from "./facts.js";
import { canaryNamespaceOf } from "./function-looks.js";
import { journalRoot, unfinishedRuns, type UnfinishedRuns } from "./journal.js";
import { JournalledRun, type RunOutcome } from "./journalled-run.js";
import { openJournal } from "./open-journal.js";
import { planLines, refusal } from "./plan-lines.js";
import { preflight } from "./preflight.js";
import { Recorder } from "./recorder.js";

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
  /** Guestbook and probers are shared by several runs: the id of the journal that removes them. */
  readonly sharedBy?: string;
  readonly nodeAccess?: NodeAccessOptions;
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
    const access = await accessOf(transport, nodes, options);
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
      unfinished: withoutRun(await unfinishedRuns(root, clusterUid), options.sharedBy),
      canaries: canaryNamespaceOf(runId),
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
      const companions = await findCompanions(transport, resolved);
      view.result(planLines(options, { target, companions }, checked.checks), {
        dryRun: true,
        target: targetFacts(target, resolved.component?.name ?? null),
      });
      return { exitCode: ExitCode.asExpected };
    }
    await relyOnAddonManager({
      transport,
      clock,
      view,
      emit: recorder.emit,
      target,
      attack: resolved.attack,
    });
    const companions = await findCompanions(transport, resolved);
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
    const journal = await openJournal(connection, env, {
      runId,
      experiment: resolved.experiment.metadata.name,
      clusterUid,
      toolVersion: options.toolVersion,
      startedAt,
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
      changed: [],
      interrupted: options.interrupted,
    };
    const onSignal = (): void =>
      recorder.emit({ type: "signal", signal: String(options.interrupted.reason) });
    if (options.interrupted.aborted) onSignal();
    else options.interrupted.addEventListener("abort", onSignal, { once: true });
    const { keepApp } = options;
    const shared = options.sharedBy !== undefined;
    return await new JournalledRun(context, facts, target, { keepApp, shared, companions }).execute();
  } finally {
    transport.close();
  }
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

/** The journal of what several runs share is open as long as they run: it is no damage. */
function withoutRun({ runs, unreadable }: UnfinishedRuns, runId: string | undefined): UnfinishedRuns {
  return { runs: runs.filter(({ open }) => open.runId !== runId), unreadable };
}

/** "20261121T203015Z-kube-dns-3f9a": sorts by time, is a folder's name and a label's value. */
export function newRunId(startedAt: Date, name: string): string {
  const stamp = startedAt
    .toISOString()
    .replace(/[-:]|\.\d+/g, "")
    .toLowerCase();
  return `${stamp}-${name.slice(0, 40)}-${randomBytes(2).toString("hex")}`;
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
