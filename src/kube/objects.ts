/**
 * The API's objects as in the JSON. The field names come from the client's generated types (types only: the client is
 * not loaded). Times are strings, not Dates.
 */
import type {
  CoreV1Event,
  V1ConfigMap,
  V1DaemonSet,
  V1Deployment,
  V1EndpointSlice,
  V1Lease,
  V1Namespace,
  V1Node,
  V1Pod,
  V1ReplicaSet,
  V1Secret,
  V1Service,
} from "@kubernetes/client-node";

/** JSON as the API server sends it: every Date of a generated type is a string. `any` stays `any`. */
type Raw<T> = 0 extends 1 & T
  ? T
  : T extends Date
    ? string
    : T extends (infer Item)[]
      ? Raw<Item>[]
      : T extends object
        ? { [Key in keyof T]: Raw<T[Key]> }
        : T;

interface OwnerReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
  readonly controller?: boolean;
  readonly blockOwnerDeletion?: boolean;
}

/** Who wrote which fields of an object, and when (RFC 3339). */
export interface ManagedFields {
  readonly manager?: string;
  readonly operation?: string;
  readonly apiVersion?: string;
  readonly time?: string;
  readonly subresource?: string;
  readonly fieldsType?: string;
  readonly fieldsV1?: object;
}

/** Metadata of an object from the API server: name, uid and resourceVersion are always present. */
interface ObjectMeta {
  readonly name: string;
  /** Absent on cluster-scoped objects. */
  readonly namespace?: string;
  readonly uid: string;
  /** Opaque: compare for equality only. */
  readonly resourceVersion: string;
  readonly generation?: number;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly ownerReferences?: readonly OwnerReference[];
  readonly finalizers?: readonly string[];
  /** RFC 3339, whole seconds. */
  readonly creationTimestamp?: string;
  /** RFC 3339. Present: the object is being deleted. */
  readonly deletionTimestamp?: string;
  readonly deletionGracePeriodSeconds?: number;
  readonly managedFields?: readonly ManagedFields[];
}

/** The fields of every object. List items have kind and apiVersion only because `list` adds them. */
export interface KubeObject {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata: ObjectMeta;
  readonly spec?: unknown;
  readonly status?: unknown;
}

/** A generated type as the server sends it, with the metadata of a stored object. */
type Stored<T> = Omit<Raw<T>, "metadata"> & { readonly metadata: ObjectMeta };

export type Pod = Stored<V1Pod>;
export type Deployment = Stored<V1Deployment>;
export type ReplicaSet = Stored<V1ReplicaSet>;
export type DaemonSet = Stored<V1DaemonSet>;
export type Service = Stored<V1Service>;
export type EndpointSlice = Stored<V1EndpointSlice>;
export type Node = Stored<V1Node>;
export type Namespace = Stored<V1Namespace>;
export type Lease = Stored<V1Lease>;
export type ConfigMap = Stored<V1ConfigMap>;
export type Secret = Stored<V1Secret>;
export type Event = Stored<CoreV1Event>;
