/** The cluster's DNS, which existed before the add-ons, as a manifest for addon-manager. */
import { RefusedError } from "../common/errors.js";
import { DEPLOYMENTS, list, resourcePath, selectorString } from "../kube/api.js";
import { sanitised } from "../kube/declared.js";
import type { KubeObject } from "../kube/objects.js";
import type { Transport } from "../kube/transport.js";
import { ADDON_MODE_LABEL, ADDON_NAMESPACE, LAST_APPLIED_ANNOTATION } from "../own/own-names.js";
import { type Manifest } from "../own/manifest.js";

const DNS_LABELS = { "k8s-app": "kube-dns" } as const;

/**
 * Finds the Deployment of the cluster's DNS.
 *
 * @throws RefusedError when there is none, more than one, or one that an addon-manager already manages.
 */
export async function findDns(transport: Transport): Promise<KubeObject> {
  const selector = selectorString(DNS_LABELS);
  const { items } = await list<KubeObject>(transport, resourcePath(DEPLOYMENTS, ADDON_NAMESPACE), {
    labelSelector: selector,
  });
  const [dns, ...rest] = items;
  if (dns === undefined || rest.length > 0) {
    const found = items.map(({ metadata }) => metadata.name).join(", ") || "none";
    throw new RefusedError(
      `the study add-ons need exactly one Deployment in ${ADDON_NAMESPACE} with the label ${selector} (the cluster's DNS); found: ${found}. Use a new cluster: chaos cluster up --cluster kind --addons`,
    );
  }
  const { name, labels } = dns.metadata;
  if (labels?.[ADDON_MODE_LABEL] !== undefined) {
    throw new RefusedError(
      `Deployment ${ADDON_NAMESPACE}/${name} already has the label ${ADDON_MODE_LABEL}: another addon-manager manages it, and two would conflict. ` +
        `If there is no other addon-manager, remove the label: kubectl -n ${ADDON_NAMESPACE} label deployment ${name} ${ADDON_MODE_LABEL}-`,
    );
  }
  return { apiVersion: "apps/v1", kind: "Deployment", ...dns };
}

/**
 * A DNS Deployment as a manifest for addon-manager: what its owner declared, without `replicas` (as upstream: the
 * autoscaler sets them) and with the label by which addon-manager manages it. Pure.
 */
export function dnsManifest(original: KubeObject): Manifest {
  const spec = { ...(original.spec as object), replicas: undefined };
  const { metadata, ...rest } = sanitised(original);
  const annotations = { ...metadata.annotations, [LAST_APPLIED_ANNOTATION]: undefined };
  const labels = { ...metadata.labels, [ADDON_MODE_LABEL]: "Reconcile" };
  return declared({ ...rest, metadata: { ...metadata, annotations, labels }, spec }) as Manifest;
}

/**
 * Removes keys without a value: undefined, null (`creationTimestamp: null` of pod templates, which kubectl would
 * read as "remove this field"), and empty annotations.
 */
function declared(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(declared);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .map(([key, each]) => [key, declared(each)] as const)
      .filter(([key, each]) => each !== null && each !== undefined && !isEmptyAnnotations(key, each)),
  );
}

function isEmptyAnnotations(key: string, value: unknown): boolean {
  return key === "annotations" && Object.keys(value as object).length === 0;
}
