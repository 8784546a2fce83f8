/** What must be as before: the snapshot of the cluster tests, and what only a killed run can leave. */
import { isDeepStrictEqual } from "node:util";
import { list, NODES, resourcePath } from "../../src/kube/api.js";
import { differences } from "../../src/kube/declared.js";
import type { Node } from "../../src/kube/objects.js";
import { heldRoot } from "../../src/nodes/faults.js";
import { lockHolder } from "../../src/safety/lock/lease.js";
import type { TestCluster } from "../cluster/support/cluster.js";
import { snapshot } from "../cluster/support/snapshot.js";

/** Longest text of a value in a difference. */
const LONGEST = 160;
const EXEC_TIMEOUT_MS = 20_000;

/** Timers and services of a run by their names; the folder to which it moves manifests. */
const LEFT_ON_NODE = `
systemctl list-units --all --plain --no-legend --full 'kube-system-chaos-*'
ls -d /run/systemd/transient/kube-system-chaos-* 2>/dev/null | sed 's/^/file /' || true
if [ -e "$1" ]; then find "$1" | sed 's/^/file /'; fi
`;

export type State = Readonly<Record<string, unknown>>;

/** The cluster's state now, for a comparison. The nodes are listed again: their taints change. */
export async function stateOf(cluster: TestCluster): Promise<State> {
  const nodes = (await list<Node>(cluster.connection.transport, resourcePath(NODES))).items;
  const [shot, holder, ...left] = await Promise.all([
    snapshot({ ...cluster, nodes }),
    lockHolder(cluster.connection.transport),
    ...nodes.map(async ({ metadata: { name } }) => {
      const argv = ["sh", "-c", LEFT_ON_NODE, "left", heldRoot("/etc/kubernetes/manifests/etcd.yaml")];
      return (await cluster.access.exec(name, argv, EXEC_TIMEOUT_MS)).trim();
    }),
  ]);
  const perNode = nodes.map(({ metadata, spec }, index) => [
    `left on ${metadata.name}`,
    { files: left[index] ?? "", cordoned: spec?.unschedulable ?? false },
  ]);
  return { ...shot, lock: holder ?? "nobody", ...(Object.fromEntries(perNode) as State) };
}

/** What differs, as lines "KEY PATH: BEFORE → AFTER". Pure. */
export function changes(before: State, after: State): string[] {
  const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort();
  return keys.flatMap((key) => {
    const [was, is] = [before[key], after[key]];
    if (isDeepStrictEqual(was, is)) return [];
    if (was === undefined) return [`${key}: was not there`];
    if (is === undefined) return [`${key}: is gone`];
    return differences(was, is).map(
      (path) => `${key} ${path}: ${brief(valueAt(was, path))} → ${brief(valueAt(is, path))}`,
    );
  });
}

/** The value at a path such as ".spec.replicas"; a key that contains a dot is not found. */
function valueAt(value: unknown, path: string): unknown {
  const keys = path.split(".").filter((each) => each !== "");
  return keys.reduce<unknown>(
    (at, key) => (typeof at === "object" && at !== null ? (at as Record<string, unknown>)[key] : undefined),
    value,
  );
}

function brief(value: unknown): string {
  const text = value === undefined ? "nothing" : JSON.stringify(value);
  return text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text;
}
