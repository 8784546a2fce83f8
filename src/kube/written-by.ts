import type { KubeObject, ManagedFields } from "./objects.js";

/**
 * Who wrote an object's spec last ("kubectl-edit", say), by its managed fields; undefined: they do not tell. Their
 * times are whole seconds: of those of the same second the one that is not in `unless` counts.
 *
 * @param unless a manager whose own writes are known (the runner's).
 */
export function lastWriterOf(object: KubeObject, unless?: string): string | undefined {
  return [...(object.metadata.managedFields ?? [])]
    .filter(({ fieldsV1 }) => fieldsV1 !== undefined && "f:spec" in fieldsV1)
    .sort(
      (a, b) =>
        (b.time ?? "").localeCompare(a.time ?? "") ||
        Number(a.manager === unless) - Number(b.manager === unless),
    )[0]?.manager;
}

/**
 * Who made an object, by the earliest entry of its managed fields ("kubectl-client-side-apply", say). Their times are
 * whole seconds: of those of the same second, whoever wrote the spec made it; a controller that was quick wrote the
 * status.
 */
export function creatorOf(object: KubeObject): string | undefined {
  const fields = object.metadata.managedFields ?? [];
  const wroteSpec = ({ fieldsV1 }: ManagedFields): number =>
    fieldsV1 !== undefined && "f:spec" in fieldsV1 ? 0 : 1;
  return [...fields].sort(
    (a, b) => (a.time ?? "").localeCompare(b.time ?? "") || wroteSpec(a) - wroteSpec(b),
  )[0]?.manager;
}
