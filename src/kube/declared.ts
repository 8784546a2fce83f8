import { isRecord } from "../common/is-record.js";
import { isDeepStrictEqual } from "node:util";
import type { KubeObject } from "./objects.js";

/**
 * The declared part of an object: without server-set fields and status. Pure. The result can be created again.
 * ownerReferences stay: a workload whose owner is gone would be garbage-collected, which preflight refuses.
 */
export function sanitised(object: KubeObject): KubeObject {
  const metadata: Record<string, unknown> = { ...object.metadata };
  for (const field of SERVER_SET) delete metadata[field];
  const annotations = Object.fromEntries(
    Object.entries(object.metadata.annotations ?? {}).filter(
      ([key]) => !CONTROLLER_ANNOTATIONS.includes(key),
    ),
  );
  if (Object.keys(annotations).length > 0) metadata["annotations"] = annotations;
  else delete metadata["annotations"];
  const rest: Record<string, unknown> = { ...object, metadata };
  delete rest["status"];
  return rest as unknown as KubeObject;
}

/** Paths at which two sanitised objects differ; empty: they are equal. Pure. */
export function differences(a: unknown, b: unknown, path = ""): string[] {
  if (isDeepStrictEqual(a, b)) return [];
  const bothObjects = isRecord(a) && isRecord(b);
  if (!bothObjects) return [path === "" ? "." : path];
  const keys = [...new Set([...Object.keys(a), ...Object.keys(b)])].sort();
  return keys.flatMap((key) => differences(a[key], b[key], `${path}.${key}`));
}

/** Set by the server or by controllers: never part of what a user declared. */
const SERVER_SET = [
  "uid",
  "resourceVersion",
  "generation",
  "creationTimestamp",
  "managedFields",
  "selfLink",
  "generateName",
  "deletionTimestamp",
  "deletionGracePeriodSeconds",
] as const;

/** Counters that a controller or the server increments for each new template. */
const CONTROLLER_ANNOTATIONS = [
  "deployment.kubernetes.io/revision",
  "deprecated.daemonset.template.generation",
];
