/** What a restore would change, from reading the cluster and its nodes only: `chaos restore --dry-run`. */
import { isDeepStrictEqual } from "node:util";
import { messageOf } from "../../common/errors.js";
import { getOrUndefined } from "../../kube/api.js";
import { differences, sanitised } from "../../kube/declared.js";
import type { KubeObject } from "../../kube/objects.js";
import type { Transport } from "../../kube/transport.js";
import { openNodeAccess } from "../../nodes/access.js";
import { inspect, isSameMachine } from "../../nodes/faults.js";
import { carries } from "../../own/manifest.js";
import { givenBack } from "../../own/own-fields.js";
import { fieldAt } from "../../kube/field-path.js";
import { planOf } from "../journal/describe.js";
import { isNodeUndo, type NodeUndo, type PendingUndo, type Undo } from "../journal/journal.js";

/** Longer values are cut to this many characters. */
const LONGEST = 60;

/** Values under these keys can be secret: the diff shows that they differ, but not the values. */
const SECRET = /[./](env|data|stringData|last-applied-configuration)(\.|$)/;

/** The prefix of the annotations that older versions set. */
const ANNOTATIONS = "kube-system-chaos/";

interface DiffOptions {
  readonly transport: Transport;
  readonly allowCommands: boolean;
  /** The journal came from the cluster or is still there. */
  readonly foreign: boolean;
  /** Nodes on which a restore may act although they are other machines. */
  readonly acceptNodes?: readonly string[];
}

/** Lines for one run, the last entry first, in the order of a restore. */
export async function restoreDiff(pending: readonly PendingUndo[], options: DiffOptions): Promise<string[]> {
  const lines: string[] = [];
  for (const { undo } of [...pending].reverse()) {
    lines.push(planOf(undo));
    for (const line of await entryDiff(undo, options)) lines.push(`  ${line}`);
  }
  return lines;
}

async function entryDiff(entry: Undo, options: DiffOptions): Promise<string[]> {
  const { transport } = options;
  try {
    if (isNodeUndo(entry)) return [await nodeState(entry, options)];
    const live = await getOrUndefined<KubeObject>(transport, entry.path);
    if (entry.action === "restore-workload") return workloadDiff(entry, live);
    if (live === undefined) return ["it no longer exists: nothing to do"];
    return [
      carries(live, entry.labels)
        ? `- ${entry.object.kind} ${entry.object.name}`
        : "it was not created by this run and stays unchanged",
    ];
  } catch (error) {
    return [`cannot be read: ${messageOf(error)}`];
  }
}

/** "- spec.replicas: 0", "+ spec.replicas: 2". Pure. */
export function workloadDiff(
  entry: Extract<Undo, { action: "restore-workload" }>,
  live: KubeObject | undefined,
): string[] {
  const { kind = "workload", metadata } = entry.object;
  const { onlyField, object } = entry;
  const isOurs = live !== undefined && givenBack(metadata.managedFields, live.metadata.managedFields);
  if (onlyField !== undefined) {
    const { at, wrong, right } = onlyField;
    if (!isOurs || !isDeepStrictEqual(fieldAt(live, at), wrong))
      return ["it does not have the function check's value and stays unchanged"];
    const path = at.map((step) => `.${typeof step === "string" ? step : step.name}`).join("");
    return [...changed("-", path, wrong), ...changed("+", path, right)];
  }
  if (live === undefined) return [`+ ${kind} ${metadata.name}, as it was before the run`];
  if (entry.onlyIfGone === true) return ["it exists and stays unchanged"];
  const declared = entry.onlyReplicas === true ? scaling : sanitised;
  const [now, before] = [declared(live), declared(object)];
  const paths = differences(now, before);
  if (paths.length === 0)
    return [
      isOurs
        ? "only its managed fields differ: they go back to their owners"
        : "it is the same as before the run",
    ];
  return paths.flatMap((path) => [
    ...changed("-", path, valueAt(now, path)),
    ...changed("+", path, valueAt(before, path)),
  ]);
}

/** The fields that a run changes when it scales a workload. */
function scaling({ metadata, spec }: KubeObject): unknown {
  const own = Object.entries(metadata.annotations ?? {}).filter(([key]) => key.startsWith(ANNOTATIONS));
  const { replicas } = (spec ?? {}) as { readonly replicas?: number };
  return { metadata: { annotations: Object.fromEntries(own) }, spec: { replicas } };
}

function changed(sign: "-" | "+", path: string, value: unknown): string[] {
  return value === undefined ? [] : [`${sign} ${path.slice(1)}: ${shown(path, value)}`];
}

function shown(path: string, value: unknown): string {
  if (SECRET.test(path)) return "(not shown)";
  const text = JSON.stringify(value, (key, each: unknown) => (SECRET.test(`.${key}`) ? "(not shown)" : each));
  return text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text;
}

/** Keys can contain dots (annotations do), so at each level the longest matching key is used. */
function valueAt(object: unknown, path: string): unknown {
  if (path === "" || path === ".") return object;
  if (typeof object !== "object" || object === null) return undefined;
  const rest = path.slice(1);
  const key = Object.keys(object)
    .filter((each) => rest === each || rest.startsWith(`${each}.`))
    .sort((a, b) => b.length - a.length)[0];
  if (key === undefined) return undefined;
  const value = (object as Record<string, unknown>)[key];
  return rest === key ? value : valueAt(value, rest.slice(key.length));
}

async function nodeState(entry: NodeUndo, options: DiffOptions): Promise<string> {
  const access = openNodeAccess(entry.access, options);
  const what = entry.action === "start-unit" ? { unit: entry.unit } : { manifest: entry.manifest };
  const { state, machine } = await inspect({ access, node: entry.node }, what);
  if (!isSameMachine(entry, machine) && options.acceptNodes?.includes(entry.node) !== true)
    return `${entry.node} is another machine now: nothing would be changed without --accept-node ${entry.node}`;
  if (entry.action === "start-unit")
    return state === "active" ? "it is active" : `${state || "unknown"} → active`;
  return state === "there" ? `${entry.manifest} exists` : `+ ${entry.manifest}`;
}
