/** The configuration of a pod: InClusterConfig of client-go's rest/config.go, but only when it is complete. */
import { readFile } from "node:fs/promises";
import { isIPv6 } from "node:net";
import { UsageError } from "../../common/errors.js";
import { systemReason } from "../../common/system-reason.js";
import type { Env } from "./load.js";
import { ANONYMOUS, type ClusterAccess } from "./types.js";

export interface PodFiles {
  readonly token: string;
  readonly ca: string;
}

/** Where the kubelet mounts the service account. */
const ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount";
const POD_FILES: PodFiles = { token: `${ACCOUNT}/token`, ca: `${ACCOUNT}/ca.crt` };

/** The context of a pod. Journals of runs in pods have it. */
export const IN_CLUSTER_CONTEXT = "inClusterContext";

/**
 * @returns undefined when this is no pod.
 * @throws UsageError when it is one, and a part is missing.
 */
export async function inCluster(env: Env, files: PodFiles = POD_FILES): Promise<ClusterAccess | undefined> {
  const { KUBERNETES_SERVICE_HOST: host = "", KUBERNETES_SERVICE_PORT: port = "" } = env;
  const token = await readIfThere(files.token);
  const ca = await readIfThere(files.ca);
  if (host === "" && token === undefined) return undefined;
  const missing = [
    ...(host === "" ? ["the variable KUBERNETES_SERVICE_HOST"] : []),
    ...(port === "" ? ["the variable KUBERNETES_SERVICE_PORT"] : []),
    ...(token === undefined ? [`the token ${files.token}`] : []),
    ...(ca === undefined ? [`the certificate authority ${files.ca}`] : []),
  ];
  if (missing.length > 0) {
    throw new UsageError(
      `this is a pod, but its configuration is incomplete; missing: ${missing.join(", ")}. ` +
        "Give the pod a service account with automountServiceAccountToken: true, or set KUBECONFIG",
    );
  }
  return {
    context: IN_CLUSTER_CONTEXT,
    server: `https://${isIPv6(host) ? `[${host}]` : host}:${port}`,
    cluster: {
      server: "",
      tlsServerName: "",
      insecureSkipTlsVerify: false,
      certificateAuthority: files.ca,
      certificateAuthorityData: Buffer.alloc(0),
      proxyUrl: "",
      disableCompression: false,
      execConfig: undefined,
    },
    user: { ...ANONYMOUS, tokenFile: files.token },
    userWords: "the pod's service account",
    clusterWords: "the pod's cluster",
    list: undefined,
  };
}

/** The content; undefined when the file is missing, a folder or empty. */
async function readIfThere(path: string): Promise<string | undefined> {
  try {
    const text = await readFile(path, "utf8");
    return text.trim() === "" ? undefined : text;
  } catch (error) {
    const { code = "" } = error as NodeJS.ErrnoException;
    if (["ENOENT", "ENOTDIR", "EISDIR"].includes(code)) return undefined;
    throw new UsageError(`cannot read the pod's ${path}: ${systemReason(error)}`, { cause: error });
  }
}
