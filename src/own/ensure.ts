import { createHash } from "node:crypto";
import type { Clock } from "../common/clock.js";
import { RefusedError } from "../common/errors.js";
import {
  CONFIGMAPS,
  create,
  DAEMONSETS,
  DEPLOYMENTS,
  getOrUndefined,
  NAMESPACES,
  remove,
  resourcePath,
  SERVICES,
  type Gvr,
} from "../kube/api.js";
import type { KubeObject } from "../kube/objects.js";
import { ApiError, type Transport } from "../kube/transport.js";
import { isOurs, type Manifest } from "./manifest.js";
import { gone, namespaceState } from "./namespaces.js";

const GVRS: Readonly<Record<string, Gvr>> = {
  Namespace: NAMESPACES,
  Service: SERVICES,
  ConfigMap: CONFIGMAPS,
  Deployment: DEPLOYMENTS,
  DaemonSet: DAEMONSETS,
};

/** What an object was made from: one that is there with the same hash is used as it is. */
const HASH_ANNOTATION = "kube-system-chaos/manifest-hash";

/** URL paths of a manifest's object and of its collection. */
export function manifestPaths(manifest: Manifest): { readonly path: string; readonly collection: string } {
  const gvr = GVRS[manifest.kind];
  if (gvr === undefined) throw new Error(`no API path known for kind ${manifest.kind}`);
  const { namespace, name } = manifest.metadata;
  return { path: resourcePath(gvr, namespace, name), collection: resourcePath(gvr, namespace) };
}

/**
 * Makes an object, or leaves one of ours alone that was made from the same manifest; one of ours that differs
 * is made anew. A prepared namespace is used as it is: who prepared it may have put more into it than we would.
 *
 * @throws RefusedError when an object of that name is there and not ours.
 */
export async function ensure(transport: Transport, manifest: Manifest): Promise<void> {
  const { path, collection } = manifestPaths(manifest);
  // Not by trying to make it: where it is prepared, that may be forbidden.
  const isNamespace = manifest.kind === "Namespace";
  if (isNamespace && (await namespaceState(transport, manifest.metadata.name)) === "prepared") return;
  const hash = createHash("sha256").update(JSON.stringify(manifest)).digest("hex").slice(0, 16);
  const object = {
    ...manifest,
    metadata: {
      ...manifest.metadata,
      annotations: { ...manifest.metadata.annotations, [HASH_ANNOTATION]: hash },
    },
  };
  try {
    await create(transport, collection, object);
    return;
  } catch (error) {
    // A Service with a fixed nodePort that is there is refused for its port (422) before its name is looked at.
    const taken = error instanceof ApiError && (error.status === 409 || error.status === 422);
    if (!taken || (error.status === 422 && (await getOrUndefined(transport, path)) === undefined))
      throw error;
  }
  const live = await getOrUndefined<KubeObject>(transport, path);
  if (live !== undefined && !isOurs(live)) {
    throw new RefusedError(
      `${manifest.kind} ${manifest.metadata.name} is there and was not made by this tool; it is left alone`,
    );
  }
  if (live?.metadata.annotations?.[HASH_ANNOTATION] === hash) return;
  if (live !== undefined)
    await remove(transport, path, { uid: live.metadata.uid, propagationPolicy: "Background" });
  await create(transport, collection, object);
}

/** Makes a namespace; one of that name that is on its way out is waited for. */
export async function makeNamespace(transport: Transport, clock: Clock, namespace: Manifest): Promise<void> {
  await gone(transport, clock, namespace.metadata.name);
  await ensure(transport, namespace);
}
