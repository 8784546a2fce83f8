/** kube-system as the operations note looks at it: kubectl get pods, with the node. Pure. */
import type { Pod } from "../kube/objects.js";
import { type ContainerStatus, isReady, isTerminating, restartsOf } from "../kube/pod-state.js";
import type { ClusterFacts } from "./facts.js";
import { age, since } from "./words.js";

export interface InventoryRow {
  readonly namespace: string;
  readonly name: string;
  /** "1/2": ready and all containers. */
  readonly ready: string;
  readonly status: string;
  readonly restarts: number;
  /** ms since the last restart; null: none. */
  readonly restartedAgoMs: number | null;
  readonly ageMs: number | null;
  /** null: on no node. */
  readonly node: string | null;
}

/** Why a container does not run; undefined: it does, or nothing is said. */
function stopReason({ state }: ContainerStatus): string | undefined {
  if (state?.waiting?.reason !== undefined) return state.waiting.reason;
  if (state?.terminated === undefined) return undefined;
  return state.terminated.reason ?? `ExitCode:${state.terminated.exitCode}`;
}

/** What kubectl shows as STATUS (printPod of kubernetes/kubernetes, pkg/printers/internalversion/printers.go). */
function statusOf(pod: Pod): string {
  if (isTerminating(pod)) return "Terminating";
  const { initContainerStatuses = [], containerStatuses = [], reason, phase } = pod.status ?? {};
  const init = initContainerStatuses.find(
    ({ state, started }) => state?.terminated?.exitCode !== 0 && started !== true,
  );
  if (init !== undefined) {
    const why = stopReason(init);
    return `Init:${why === undefined || why === "PodInitializing" ? init.name : why}`;
  }
  const [stopped] = containerStatuses.flatMap((each) => stopReason(each) ?? []);
  return stopped ?? reason ?? phase ?? "Unknown";
}

function rowOf(pod: Pod, facts: ClusterFacts): InventoryRow {
  const containers = pod.status?.containerStatuses ?? [];
  const ages = containers.flatMap(({ state, lastState }) => {
    const ended = lastState?.terminated ?? state?.terminated;
    return ended === undefined ? [] : (since(ended.finishedAt, facts) ?? []);
  });
  const restarts = restartsOf(pod);
  return {
    namespace: pod.metadata.namespace ?? "",
    name: pod.metadata.name,
    ready: `${containers.filter(({ ready }) => ready).length}/${pod.spec?.containers.length ?? 0}`,
    status: statusOf(pod),
    restarts,
    restartedAgoMs: restarts === 0 || ages.length === 0 ? null : Math.min(...ages),
    ageMs: since(pod.metadata.creationTimestamp, facts) ?? null,
    node: pod.spec?.nodeName ?? null,
  };
}

/** By namespace and name; kube-system first. */
export function inventoryOf(facts: ClusterFacts): InventoryRow[] {
  const key = ({ namespace, name }: InventoryRow): string =>
    `${namespace === "kube-system" ? "" : namespace}/${name}`;
  return (facts.pods ?? []).map((pod) => rowOf(pod, facts)).sort((a, b) => (key(a) < key(b) ? -1 : 1));
}

/** Columns as kubectl's, with NAMESPACE if there are several. */
export function inventoryLines(rows: readonly InventoryRow[]): string[] {
  const several = new Set(rows.map(({ namespace }) => namespace)).size > 1;
  const cells = rows.map((row) => [
    ...(several ? [row.namespace] : []),
    row.name,
    row.ready,
    row.status,
    `${row.restarts}${row.restartedAgoMs === null ? "" : ` (${age(row.restartedAgoMs)} ago)`}`,
    row.ageMs === null ? "<unknown>" : age(row.ageMs),
    row.node ?? "<none>",
  ]);
  const head = [...(several ? ["NAMESPACE"] : []), "NAME", "READY", "STATUS", "RESTARTS", "AGE", "NODE"];
  const table = [head, ...cells];
  const widths = head.map((_each, column) => Math.max(...table.map((line) => line[column]?.length ?? 0)));
  return table.map((line) =>
    line
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("   ")
      .trimEnd(),
  );
}

/** Whether every pod is ready or done, for the summary. */
export function readyWords({ pods = [] }: ClusterFacts): string {
  const counted = pods.filter(({ status }) => status?.phase !== "Succeeded");
  return `${counted.filter((pod) => isReady(pod)).length} of ${counted.length} pods ready`;
}
