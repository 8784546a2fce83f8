import type { KubeObject, ManagedFields } from "./objects.js";

/**
 * The field manager that wrote an object's spec last, such as "kubectl-edit"; undefined: unknown. The times of managed
 * fields are whole seconds: within the same second, a manager that is not known counts.
 *
 * @param isKnown managers whose writes are known (the runner's).
 */
export function lastWriterOf(
  object: KubeObject,
  isKnown: (manager?: string) => boolean = () => false,
): string | undefined {
  return [...(object.metadata.managedFields ?? [])]
    .filter(({ fieldsV1 }) => fieldsV1 !== undefined && "f:spec" in fieldsV1)
    .sort(
      (a, b) =>
        (b.time ?? "").localeCompare(a.time ?? "") || Number(isKnown(a.manager)) - Number(isKnown(b.manager)),
    )[0]?.manager;
}

/**
 * The field manager that created an object, such as "kubectl-client-side-apply": the earliest entry of its managed
 * fields. Times are whole seconds: within the same second, the manager that wrote the spec created the object, and a
 * fast controller wrote the status.
 */
export function creatorOf(object: KubeObject): string | undefined {
  const fields = object.metadata.managedFields ?? [];
  const wroteSpec = ({ fieldsV1 }: ManagedFields): number =>
    fieldsV1 !== undefined && "f:spec" in fieldsV1 ? 0 : 1;
  return [...fields].sort(
    (a, b) => (a.time ?? "").localeCompare(b.time ?? "") || wroteSpec(a) - wroteSpec(b),
  )[0]?.manager;
}
