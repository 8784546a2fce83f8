/**
 * Managed fields as the real API server keeps them (apimachinery/pkg/util/managedfields; seen on 1.36.3): a write takes
 * each changed field away from all others, also on creation; managed fields in the request are taken as they are.
 */
import { isDeepStrictEqual } from "node:util";
import type { ManagedFields } from "../../src/kube/objects.js";
import type { Draft } from "./fake-store.js";

type Fields = { readonly [key: string]: Fields };
type Json = Readonly<Record<string, unknown>>;

const UNMANAGED = ["apiVersion", "kind", "metadata", "status"];
const OWN_METADATA = ["labels", "annotations", "finalizers", "ownerReferences"];

export interface Writer {
  readonly manager: string;
  readonly apiVersion: string;
  readonly subresource: string | undefined;
  readonly time: string;
}

/** The list after a write. @param sent the list in the request; undefined: it names none. */
export function managedAfter(
  old: Draft | undefined,
  changed: Draft,
  sent: readonly ManagedFields[] | undefined,
  writer: Writer,
): readonly ManagedFields[] {
  const before = (sent ?? old?.metadata?.["managedFields"] ?? []) as readonly ManagedFields[];
  const [was, is] = [fieldsOf(managedPart(old)), fieldsOf(managedPart(changed))];
  const written = difference(managedPart(old), managedPart(changed));
  const lost = without(was, is);
  // Kept as they are: entries of tests that say nothing of fields.
  const isWriter = (each: ManagedFields): boolean =>
    each.manager === writer.manager &&
    each.operation !== "Apply" &&
    (each.subresource ?? undefined) === writer.subresource;
  const others = before
    .filter((each) => !isWriter(each))
    .flatMap((each) => {
      if (each.fieldsV1 === undefined) return [each];
      const fieldsV1 = without(without(each.fieldsV1 as Fields, written), lost);
      return Object.keys(fieldsV1).length === 0 ? [] : [{ ...each, fieldsV1 }];
    });
  const own = before.find(isWriter);
  const fieldsV1 = together(without((own?.fieldsV1 ?? {}) as Fields, lost), written);
  if (Object.keys(fieldsV1).length === 0) return others;
  if (own !== undefined && isDeepStrictEqual(own.fieldsV1, fieldsV1)) return [...others, own];
  const { manager, apiVersion, subresource, time } = writer;
  const entry = { manager, operation: "Update", apiVersion, time, fieldsType: "FieldsV1", fieldsV1 };
  return [...others, subresource === undefined ? entry : { ...entry, subresource }];
}

function managedPart(object: Draft | undefined): Json {
  if (object === undefined) return {};
  const metadata = Object.entries(object.metadata ?? {}).filter(([key]) => OWN_METADATA.includes(key));
  const rest = Object.fromEntries(Object.entries(object).filter(([key]) => !UNMANAGED.includes(key)));
  return metadata.length === 0 ? rest : { ...rest, metadata: Object.fromEntries(metadata) };
}

function entriesOf(value: unknown): [string, unknown][] | undefined {
  if (Array.isArray(value)) {
    const named = value.every((item) => typeof (item as { name?: unknown } | null)?.name === "string");
    if (!named || value.length === 0) return undefined;
    return value.map((item: { name: string }) => [`k:${JSON.stringify({ name: item.name })}`, item]);
  }
  if (typeof value !== "object" || value === null) return undefined;
  return Object.entries(value)
    .filter(([, each]) => each !== undefined)
    .map(([key, each]) => [`f:${key}`, each]);
}

/** All fields of a value. */
function fieldsOf(value: unknown): Fields {
  return Object.fromEntries((entriesOf(value) ?? []).map(([key, each]) => [key, fieldsOf(each)]));
}

/** The fields that are new or have another value. */
function difference(a: unknown, b: unknown): Fields {
  const before = new Map(entriesOf(a) ?? []);
  return Object.fromEntries(
    (entriesOf(b) ?? []).flatMap(([key, value]): [string, Fields][] => {
      const was = before.get(key);
      if (isDeepStrictEqual(was, value)) return [];
      return [[key, entriesOf(value) === undefined ? {} : difference(was, value)]];
    }),
  );
}

function without(fields: Fields, gone: Fields): Fields {
  return Object.fromEntries(
    Object.entries(fields).flatMap(([key, below]): [string, Fields][] => {
      const lost = gone[key];
      if (lost === undefined) return [[key, below]];
      if (Object.keys(lost).length === 0 || Object.keys(below).length === 0) return [];
      const rest = without(below, lost);
      return Object.keys(rest).length === 0 ? [] : [[key, rest]];
    }),
  );
}

function together(a: Fields, b: Fields): Fields {
  const keys = [...new Set([...Object.keys(a), ...Object.keys(b)])];
  return Object.fromEntries(keys.map((key) => [key, together(a[key] ?? {}, b[key] ?? {})]));
}
