import type { Clock } from "../common/clock.js";
import { RefusedError } from "../common/errors.js";
import { shortHash } from "../common/hash.js";
import { create, getOrUndefined, patch, pathsOf, remove, replace } from "../kube/api.js";
import type { KubeObject } from "../kube/objects.js";
import { ApiError, type Transport } from "../kube/transport.js";
import { isOwn, type Manifest } from "./manifest.js";
import { gone, namespaceState } from "./namespaces.js";

/** Hash of the manifest that an object was created from: an object with the same hash is reused. */
const HASH_ANNOTATION = "kube-system-chaos/manifest-hash";

type Paths = ReturnType<typeof pathsOf>;

interface EnsureOptions {
  /** Whether an existing object may be changed. Default: this tool created it. */
  readonly owns?: (live: KubeObject) => boolean;
  /** How to update an own object that differs: delete and create it again (default), or in place. */
  readonly difference?: "recreate" | "update";
}

/**
 * Creates an object, or updates an own one that was created from another manifest. Leaves an up-to-date object
 * unchanged. Uses an own or prepared namespace as it is: there may be other objects in it.
 *
 * @returns whether anything was written.
 * @throws RefusedError when a foreign object of that name exists.
 */
export async function ensure(
  transport: Transport,
  manifest: Manifest,
  { owns = isOwn, difference = "recreate" }: EnsureOptions = {},
): Promise<boolean> {
  const paths = pathsOf(manifest);
  // Read first: where the namespace is prepared, creating one may be forbidden.
  if (await isUsableNamespace(transport, manifest)) return false;
  const wanted = withHash(manifest);
  const read = async (): Promise<KubeObject | undefined> => await getOrUndefined(transport, paths.path);
  const known = difference === "update" ? await read() : undefined;
  if (known === undefined && (await created(transport, paths, wanted))) return true;
  const live = known ?? (await read());
  if (live !== undefined && !owns(live)) {
    throw new RefusedError(
      `${manifest.kind} ${manifest.metadata.name} already exists and was not created by this tool. It is left unchanged. Delete it if it is not in use`,
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

/** An own namespace is used as it is, too: labels are no reason to delete an application that an earlier run kept. */
async function isUsableNamespace(transport: Transport, { kind, metadata }: Manifest): Promise<boolean> {
  return kind === "Namespace" && ["prepared", "own"].includes(await namespaceState(transport, metadata.name));
}

/** Replaces kinds in which keys may have been removed; merges the others, whose server-set fields must stay. */
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

/** Creates the object; false: an object of that name exists. */
async function created(
  transport: Transport,
  { path, collection }: Paths,
  wanted: Manifest,
): Promise<boolean> {
  try {
    await create(transport, collection, wanted);
    return true;
  } catch (error) {
    // An existing Service with a fixed nodePort is refused for its port (422) before its name is checked.
    const taken = error instanceof ApiError && (error.status === 409 || error.status === 422);
    if (!taken || (error.status === 422 && (await getOrUndefined(transport, path)) === undefined))
      throw error;
    return false;
  }
}

/** Creates a namespace; first waits until a terminating one of that name is gone. */
export async function makeNamespace(transport: Transport, clock: Clock, namespace: Manifest): Promise<void> {
  await gone(transport, clock, namespace.metadata.name);
  await ensure(transport, namespace);
}
