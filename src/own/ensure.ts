import type { Clock } from "../common/clock.js";
import { RefusedError } from "../common/errors.js";
import { shortHash } from "../common/hash.js";
import { create, getOrUndefined, patch, pathsOf, remove, replace } from "../kube/api.js";
import type { KubeObject } from "../kube/objects.js";
import { ApiError, type Transport } from "../kube/transport.js";
import { isOwn, type Manifest } from "./manifest.js";
import { gone, namespaceState } from "./namespaces.js";

/** What an object was made from: one that is there with the same hash is used as it is. */
const HASH_ANNOTATION = "kube-system-chaos/manifest-hash";

type Paths = ReturnType<typeof pathsOf>;

interface EnsureOptions {
  /** Whether an object that exists may be changed. Default: it was made by this tool. */
  readonly owns?: (live: KubeObject) => boolean;
  /** How an own object that differs is brought up to date: deleted and created again (the default), or in place. */
  readonly difference?: "recreate" | "update";
}

/**
 * Creates an object, or brings an own one that was made from another manifest up to date. One that was made from this
 * very manifest is left alone, and a prepared namespace is used as it is: its administrator may have put more into it.
 *
 * @returns whether anything was written.
 * @throws RefusedError when an object of that name exists and is not own.
 */
export async function ensure(
  transport: Transport,
  manifest: Manifest,
  { owns = isOwn, difference = "recreate" }: EnsureOptions = {},
): Promise<boolean> {
  const paths = pathsOf(manifest);
  // Not by trying to create it: where it is prepared, that may be forbidden.
  if (await isPreparedNamespace(transport, manifest)) return false;
  const wanted = withHash(manifest);
  const look = async (): Promise<KubeObject | undefined> => await getOrUndefined(transport, paths.path);
  const known = difference === "update" ? await look() : undefined;
  if (known === undefined && (await created(transport, paths, wanted))) return true;
  const live = known ?? (await look());
  if (live !== undefined && !owns(live)) {
    throw new RefusedError(
      `${manifest.kind} ${manifest.metadata.name} is there and was not made by this tool; it is left alone`,
    );
  }
  if (live !== undefined && hashIn(live) === hashIn(wanted)) return false;
  if (live === undefined) await create(transport, paths.collection, wanted);
  else await (difference === "update" ? update : recreate)(transport, paths, wanted, live);
  return true;
}

function withHash(manifest: Manifest): Manifest {
  const annotations = {
    ...manifest.metadata.annotations,
    [HASH_ANNOTATION]: shortHash(JSON.stringify(manifest)),
  };
  return { ...manifest, metadata: { ...manifest.metadata, annotations } };
}

const hashIn = ({ metadata }: Pick<Manifest, "metadata">): string | undefined =>
  metadata.annotations?.[HASH_ANNOTATION];

async function isPreparedNamespace(transport: Transport, { kind, metadata }: Manifest): Promise<boolean> {
  return kind === "Namespace" && (await namespaceState(transport, metadata.name)) === "prepared";
}

/** Replaced where keys may have gone; merged where the server has filled in fields that must stay. */
async function update(transport: Transport, { path }: Paths, wanted: Manifest): Promise<void> {
  const replaced = wanted.kind === "ConfigMap" || wanted.kind === "Deployment";
  await (replaced ? replace : patch)(transport, path, wanted);
}

async function recreate(
  transport: Transport,
  { path, collection }: Paths,
  wanted: Manifest,
  { metadata: { uid } }: KubeObject,
): Promise<void> {
  await remove(transport, path, { uid, propagationPolicy: "Background" });
  await create(transport, collection, wanted);
}

/** Whether the object could be created; false: one of its name exists. */
async function created(
  transport: Transport,
  { path, collection }: Paths,
  wanted: Manifest,
): Promise<boolean> {
  try {
    await create(transport, collection, wanted);
    return true;
  } catch (error) {
    // A Service with a fixed nodePort that is there is refused for its port (422) before its name is looked at.
    const taken = error instanceof ApiError && (error.status === 409 || error.status === 422);
    if (!taken || (error.status === 422 && (await getOrUndefined(transport, path)) === undefined))
      throw error;
    return false;
  }
}

/** Makes a namespace; one of that name that is on its way out is waited for. */
export async function makeNamespace(transport: Transport, clock: Clock, namespace: Manifest): Promise<void> {
  await gone(transport, clock, namespace.metadata.name);
  await ensure(transport, namespace);
}
