/** One field of an object. */
import { isRecord } from "../common/is-record.js";

/** Where a field is: keys, and items of lists by their `name`. */
export type FieldPath = readonly (string | { readonly name: string })[];

/** A field that a run sets wrong for a while. */
export interface OneField {
  readonly at: FieldPath;
  readonly right: unknown;
  readonly wrong: unknown;
}

/** The value; undefined: it is not there. Pure. */
export function fieldAt(object: unknown, at: FieldPath): unknown {
  return at.reduce<unknown>((value, step) => {
    if (typeof step === "string") return isRecord(value) ? value[step] : undefined;
    return Array.isArray(value) ? value.find((item) => isNamed(item, step.name)) : undefined;
  }, object);
}

/** A copy in which only this field differs; undefined: without the field. What leads to it must exist. Pure. */
export function withField<T>(object: T, at: FieldPath, value: unknown): T {
  const [step, ...rest] = at;
  if (step === undefined) return value as T;
  if (typeof step !== "string") {
    const items = Array.isArray(object) ? (object as unknown[]) : [];
    return items.map((item) => (isNamed(item, step.name) ? withField(item, rest, value) : item)) as T;
  }
  const below: Readonly<Record<string, unknown>> = isRecord(object) ? object : {};
  return { ...below, [step]: withField(below[step], rest, value) } as T;
}

function isNamed(item: unknown, name: string): boolean {
  return isRecord(item) && item["name"] === name;
}
