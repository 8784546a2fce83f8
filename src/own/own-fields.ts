/** Who owns the fields of an object: what a run changes is its own in the meantime, and goes back to its owners. */
import { isDeepStrictEqual } from "node:util";
import { isRecord } from "../common/is-record.js";
import type { ManagedFields } from "../kube/objects.js";
import { MANAGED_BY } from "./manifest.js";

/** A workload that a run scaled down. */
export interface Scaling {
  readonly runId: string;
  /** The number before it. */
  readonly replicas: number;
}

/**
 * The field manager of a scaling: anyone who finds the workload scaled down reads the run and the replicas from it, without
 * a journal. It owns `spec.replicas` for as long as nobody else sets them, and no controller copies it: the Deployment
 * controller copies annotations to its ReplicaSets (SetNewReplicaSetAnnotations,
 * pkg/controller/deployment/util/deployment_util.go of Kubernetes). At most 128 printable characters (ValidateFieldManager,
 * apimachinery/pkg/apis/meta/v1/validation); a run's id has at most 81.
 */
export function scalingManager({ runId, replicas }: Scaling): string {
  return `${MANAGED_BY}/${runId}/replicas-${replicas}`;
}

/** The scaling whose field manager still owns something of the object; undefined: none does. Pure. */
export function scalingOf(managedFields: readonly ManagedFields[] = []): Scaling | undefined {
  for (const { manager = "" } of managedFields) {
    const [, runId = "", replicas = ""] =
      /^kube-system-chaos\/([a-z0-9.-]+)\/replicas-(\d{1,9})$/i.exec(manager) ?? [];
    if (runId !== "") return { runId, replicas: Number(replicas) };
  }
  return undefined;
}

/** Whether a field manager is this tool. Without a name of its own, a write has the whole user agent, "TOOL (restore RUN)". */
export function isOwnManager(manager = ""): boolean {
  return (
    manager === MANAGED_BY || [`${MANAGED_BY}/`, `${MANAGED_BY} (`].some((each) => manager.startsWith(each))
  );
}

/**
 * The managed fields in which everything that this tool owns now belongs again to those who owned it in the recorded ones. What
 * others took over since then stays theirs.
 *
 * A create or update takes each changed field away from all other managers, also from those that its own
 * `metadata.managedFields` names; a second update that changes only these is taken as it is (decodeLiveOrNew and
 * structured-merge-diff's Updater, apimachinery/pkg/util/managedfields/internal/fieldmanager.go).
 *
 * @returns undefined: they are the same already. Pure.
 */
export function givenBack(
  recorded: readonly ManagedFields[] = [],
  live: readonly ManagedFields[] = [],
): readonly ManagedFields[] | undefined {
  const ours = live.filter(({ manager }) => isOwnManager(manager));
  const held = ours.reduce<Fields>((all, { fieldsV1 }) => union(all, fieldsOf(fieldsV1)), {});
  const result = live.filter((entry) => !ours.includes(entry));
  for (const owner of recorded) {
    const taken = common(fieldsOf(owner.fieldsV1), held);
    if (taken === undefined) continue;
    const index = result.findIndex((entry) => isSameOwner(entry, owner));
    const now = result[index];
    const fieldsV1 = union(fieldsOf(now?.fieldsV1), taken);
    // Unless others changed something meanwhile, the entry is as it was, with its time.
    const entry = isDeepStrictEqual(fieldsV1, owner.fieldsV1) ? owner : { ...(now ?? owner), fieldsV1 };
    if (index < 0) result.push(entry);
    else result[index] = entry;
  }
  const isSame =
    result.length === live.length &&
    live.every((entry) => result.some((each) => isDeepStrictEqual(each, entry)));
  return isSame ? undefined : result;
}

/** FieldsV1: the keys are fields ("f:spec"), items of lists ("k:{…}") or the field itself ("."). Empty: all of it. */
type Fields = Readonly<Record<string, unknown>>;

function fieldsOf(value: unknown): Fields {
  return isRecord(value) ? value : {};
}

/** The identity of an entry: without its fields and its time (BuildManagerIdentifier of Kubernetes). */
function isSameOwner(a: ManagedFields, b: ManagedFields): boolean {
  return (
    a.manager === b.manager &&
    a.operation === b.operation &&
    a.apiVersion === b.apiVersion &&
    (a.subresource ?? "") === (b.subresource ?? "")
  );
}

function union(a: Fields, b: Fields): Fields {
  const keys = [...new Set([...Object.keys(a), ...Object.keys(b)])];
  return Object.fromEntries(keys.map((key) => [key, union(fieldsOf(a[key]), fieldsOf(b[key]))]));
}

/** What of `fields` is in `held`; undefined: nothing. */
function common(fields: Fields, held: Fields): Fields | undefined {
  const shared = Object.entries(fields).flatMap(([key, value]): [string, Fields][] => {
    if (!(key in held)) return [];
    const below = fieldsOf(value);
    // One of both owns all of it.
    if (Object.keys(below).length === 0 || Object.keys(fieldsOf(held[key])).length === 0)
      return [[key, below]];
    const deeper = common(below, fieldsOf(held[key]));
    return deeper === undefined ? [] : [[key, deeper]];
  });
  return shared.length === 0 ? undefined : Object.fromEntries(shared);
}
