/** The ConfigMap that records the cluster's state before the add-ons and the proof that addon-manager works. */
import { ChaosError } from "../common/errors.js";
import { CONFIGMAPS, create, getOrUndefined, patch, resourcePath } from "../kube/api.js";
import type { ConfigMap, KubeObject } from "../kube/objects.js";
import type { Transport } from "../kube/transport.js";
import { MANAGED_BY, MANAGED_BY_LABEL } from "../own/manifest.js";
import { ADDON_NAMESPACE, RECORD_NAME } from "../own/own-names.js";

export const RECORD_PATH = resourcePath(CONFIGMAPS, ADDON_NAMESPACE, RECORD_NAME);

/** The addon-manager instance that reverted a change. */
export interface Proof {
  readonly podUid: string;
  /** The restart count of its container at that time. After a restart it must be proven again. */
  readonly restartCount: number;
  /** Wall clock, RFC 3339. */
  readonly provenAt: string;
  /** From the change until addon-manager reverted it, ms. */
  readonly repairedAfterMs: number;
}

export interface AddonRecord {
  /** The cluster's DNS Deployment before any change; removal restores it to this. */
  readonly dns: KubeObject;
  readonly proof: Proof | undefined;
}

const DNS_KEY = "kube-dns.json";
const PROOF_KEY = "proof.json";

/** The record; undefined: the add-ons are not installed. @throws ChaosError when it cannot be parsed. */
export async function readRecord(transport: Transport): Promise<AddonRecord | undefined> {
  const object = await getOrUndefined<ConfigMap>(transport, RECORD_PATH);
  if (object === undefined) return undefined;
  try {
    const { [DNS_KEY]: dns = "", [PROOF_KEY]: proof } = object.data ?? {};
    return {
      dns: JSON.parse(dns) as KubeObject,
      proof: proof === undefined ? undefined : (JSON.parse(proof) as Proof),
    };
  } catch (error) {
    throw new ChaosError(
      `ConfigMap ${ADDON_NAMESPACE}/${RECORD_NAME}, which records the cluster's DNS before the add-ons, cannot be parsed: ` +
        "someone else has changed it. Repair it, or recreate the cluster",
      { cause: error },
    );
  }
}

/** Records the DNS Deployment before anything is changed. */
export async function writeRecord(transport: Transport, dns: KubeObject): Promise<void> {
  await create(transport, resourcePath(CONFIGMAPS, ADDON_NAMESPACE), {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: {
      name: RECORD_NAME,
      namespace: ADDON_NAMESPACE,
      labels: { [MANAGED_BY_LABEL]: MANAGED_BY },
    },
    data: { [DNS_KEY]: JSON.stringify(dns) },
  });
}

export async function recordProof(transport: Transport, proof: Proof): Promise<void> {
  await patch(transport, RECORD_PATH, { data: { [PROOF_KEY]: JSON.stringify(proof) } });
}
