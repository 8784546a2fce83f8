import { ChaosError, RefusedError } from "../common/errors.js";
import { create, getOrUndefined, remove, resourcePath, SECRETS } from "../kube/api.js";
import type { Secret } from "../kube/objects.js";
import { ApiError, type Transport } from "../kube/transport.js";
import { isOwn, MANAGED_BY, MANAGED_BY_LABEL } from "./manifest.js";
import { namespaceState } from "./namespaces.js";
import type { PullSecret } from "./pod-spec.js";

/** The types of Secrets that the kubelet pulls images with. */
const TYPES = ["kubernetes.io/dockerconfigjson", "kubernetes.io/dockercfg"];

/** Why a Secret cannot be used to pull images; undefined: it can. Rejects with ApiError (also 403). */
export async function pullSecretProblem(
  transport: Transport,
  secret: PullSecret,
): Promise<string | undefined> {
  const found = await read(transport, secret);
  return typeof found === "string" ? found : undefined;
}

async function read(transport: Transport, { namespace, name }: PullSecret): Promise<Secret | string> {
  const secret = await getOrUndefined<Secret>(transport, resourcePath(SECRETS, namespace, name));
  if (secret === undefined) return `Secret ${namespace}/${name} does not exist`;
  return TYPES.includes(secret.type ?? "")
    ? secret
    : `Secret ${namespace}/${name} has type ${secret.type ?? "(none)"}, not ${TYPES[0]}`;
}

/**
 * Copies the pull secrets into an own namespace, before any pod is created in it. The copies go with the namespace. A
 * prepared namespace gets none: its administrator decides which Secrets are in it.
 *
 * @throws ChaosError when a Secret does not exist, RefusedError when someone else's has the name.
 */
export async function copyPullSecrets(
  transport: Transport,
  namespace: string,
  secrets: readonly PullSecret[],
): Promise<void> {
  if (secrets.length === 0 || (await namespaceState(transport, namespace)) === "prepared") return;
  for (const each of secrets) {
    const source = await read(transport, each);
    if (typeof source === "string") throw new ChaosError(`cannot copy a pull secret: ${source}`);
    await copy(transport, namespace, each.name, source);
  }
}

async function copy(
  transport: Transport,
  namespace: string,
  name: string,
  { type, data }: Secret,
): Promise<void> {
  const metadata = { name, namespace, labels: { [MANAGED_BY_LABEL]: MANAGED_BY } };
  const wanted = { apiVersion: "v1", kind: "Secret", metadata, type, data };
  try {
    await create(transport, resourcePath(SECRETS, namespace), wanted);
    return;
  } catch (error) {
    if (!(error instanceof ApiError && error.status === 409)) throw error;
  }
  const path = resourcePath(SECRETS, namespace, name);
  const live = await getOrUndefined<Secret>(transport, path);
  if (live !== undefined && !isOwn(live))
    throw new RefusedError(
      `Secret ${namespace}/${name} already exists and was not created by this tool. It is left unchanged. Delete it if it is not in use`,
    );
  if (live !== undefined && live.type === type && sameData(live.data, data)) return;
  // Its type cannot be changed, so it is created again.
  await remove(transport, path);
  await create(transport, resourcePath(SECRETS, namespace), wanted);
}

function sameData(a: Secret["data"], b: Secret["data"]): boolean {
  return JSON.stringify(Object.entries(a ?? {}).sort()) === JSON.stringify(Object.entries(b ?? {}).sort());
}
