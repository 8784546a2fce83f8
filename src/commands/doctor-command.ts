import { ExitCode, NothingConfiguredError, RefusedError } from "../common/errors.js";
import { type Clock, systemClock } from "../common/clock.js";
import { orInterrupted } from "../common/interrupted.js";
import type { ClusterHandle } from "../clusters/provider.js";
import { CONDITIONS } from "../doctor/all-conditions.js";
import { judgeAll } from "../doctor/condition.js";
import { readMatrixIn, withCosts } from "../doctor/cost.js";
import type { ClusterFacts } from "../doctor/facts.js";
import { bySeverity, type Finding } from "../doctor/finding.js";
import { folded } from "../doctor/fold.js";
import { inventoryOf } from "../doctor/inventory.js";
import { type ReadOptions, readFacts } from "../doctor/read-facts.js";
import { reportLines, type Report } from "../doctor/text.js";
import { connect, type Connection } from "../kube/connect.js";
import { explainConnection } from "../kube/explain-connection.js";
import { ApiError, ApiUnreachableError } from "../kube/transport.js";
import type { RunView } from "../ui/base.js";
import { selectCluster, type SelectOptions } from "./select-cluster.js";

export interface DoctorOptions {
  readonly select: Pick<SelectOptions, "context" | "kubeconfigPath">;
  /** Folder of the reports whose matrix tells the cost. */
  readonly reportsFolder: string;
  readonly view: RunView;
  readonly interrupted: AbortSignal;
  readonly env: ReadOptions["env"];
  /** --probe: what probers find. */
  readonly probe?: (handle: ClusterHandle) => Promise<readonly Finding[]>;
  /** Default: the machine's. */
  readonly clock?: Clock;
  /** Default: as `readFacts`. */
  readonly certificates?: ReadOptions["certificates"];
}

/** A command that takes longer shows what it does, ms. */
const SILENT_MS = 1000;

/**
 * `chaos doctor`: shows kube-system and what is wrong there. Changes nothing.
 *
 * @returns 1 when there are errors or warnings; 0 otherwise, also with advice.
 * @throws RefusedError when there is no cluster, or it does not let itself be looked at.
 */
export async function doctor(options: DoctorOptions): Promise<ExitCode> {
  const { interrupted, probe } = options;
  const handle = probe === undefined ? undefined : await handleOf(options);
  const connection = await connected(options, handle);
  try {
    const facts = await orInterrupted(interrupted, async () => await look(connection, options));
    const probed = handle === undefined ? [] : ((await probe?.(handle)) ?? []);
    return await tell(facts, probed, options);
  } finally {
    connection.transport.close();
  }
}

async function handleOf({ select, view, interrupted }: DoctorOptions): Promise<ClusterHandle> {
  return await selectCluster({ ...select, dryRun: true, progress: view, signal: interrupted });
}

/** The kubeconfig's context; without one, the running cluster of a provider, which takes seconds to look for. */
async function connected(options: DoctorOptions, handle: ClusterHandle | undefined): Promise<Connection> {
  const { select, view, interrupted: signal } = options;
  const common = {
    userAgent: "kube-system-chaos (doctor)",
    signal,
    warn: (text: string) => view.warn(text),
  };
  const { kubeconfigPath, context } = handle ?? select;
  try {
    return await connect({ ...common, kubeconfigPath, context });
  } catch (error) {
    if (!(error instanceof NothingConfiguredError) || context !== undefined || kubeconfigPath !== undefined)
      throw error;
    return await connected(options, await handleOf(options));
  }
}

async function look(connection: Connection, options: DoctorOptions): Promise<ClusterFacts> {
  const { view, interrupted: signal, env, certificates, clock = systemClock() } = options;
  const reading = readFacts({
    connection,
    env,
    signal,
    ...(certificates === undefined ? {} : { certificates }),
  });
  try {
    const soon = await Promise.race([reading, clock.sleep(SILENT_MS, signal)]);
    return soon ?? (await view.step("read kube-system and what it depends on", async () => await reading));
  } catch (error) {
    if (!(error instanceof ApiError || error instanceof ApiUnreachableError)) throw error;
    throw new RefusedError(`cannot look at kube-system: ${explainConnection(error, connection)}`);
  }
}

async function tell(
  facts: ClusterFacts,
  probed: readonly Finding[],
  { reportsFolder, view }: DoctorOptions,
): Promise<ExitCode> {
  const matrix = await readMatrixIn(reportsFolder);
  if (matrix.problem !== undefined)
    view.warn(
      `the last matrix in ${reportsFolder} cannot be used, so no cost is known: ${matrix.problem}. \`chaos matrix ${reportsFolder}\` writes it again`,
    );
  const { found, notLookedAt } = judgeAll(CONDITIONS, facts);
  const findings = withCosts([...folded(found), ...probed].sort(bySeverity), matrix, facts);
  const report: Report = { facts, inventory: inventoryOf(facts), findings, notLookedAt };
  const { version, place, platform, environment } = facts;
  view.result(reportLines(report), {
    context: place.context,
    version,
    platform: platform?.name ?? null,
    network: environment.cni,
    serviceProxy: environment.serviceProxy,
    pods: report.inventory,
    findings,
    notLookedAt,
  });
  return findings.some(({ severity }) => severity !== "info") ? ExitCode.differs : ExitCode.asExpected;
}
