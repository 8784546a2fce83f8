/**
 * What all own pods have in common. Each passes PodSecurity's level `restricted`, except those that reach the nodes.
 * https://kubernetes.io/docs/concepts/security/pod-security-standards/
 */
import { PROBER_IMAGE } from "./own-names.js";

/** A Secret that a run copies into its namespaces: the kubelet pulls images with it. */
export interface PullSecret {
  readonly namespace: string;
  readonly name: string;
}

/** Where the pods of this tool's own programs (all but the guestbook's) come from. */
export interface PodSource {
  /** A Node.js image. */
  readonly image: string;
  readonly pullSecrets: readonly PullSecret[];
}

export const PUBLIC_PODS: PodSource = { image: PROBER_IMAGE, pullSecrets: [] };

/** The user `node` of the public Node image. Any number works: nothing in the image belongs to it. */
export const NODE_USER = 1000;

/** The user of the Redis images (docker-library/redis, Dockerfile: `useradd -r -g redis -u 999`). */
export const REDIS_USER = 999;

/** `www-data` of Debian: Apache's user. The image allows any user (docker-library/php, apache-Dockerfile-block-1). */
export const APACHE_USER = 33;

/** The security context of a pod that runs as this user. */
export function podSecurity(user: number): Readonly<Record<string, unknown>> {
  return {
    runAsNonRoot: true,
    runAsUser: user,
    runAsGroup: user,
    seccompProfile: { type: "RuntimeDefault" },
  };
}

/** Lets a user without rights listen on port 80. `restricted` allows it (pod-security-admission, check_sysctls.go). */
export const LOW_PORTS = { sysctls: [{ name: "net.ipv4.ip_unprivileged_port_start", value: "0" }] } as const;

/** The security context of each container. */
export const CONTAINER_SECURITY = {
  allowPrivilegeEscalation: false,
  capabilities: { drop: ["ALL"] },
} as const;

/** The field of a pod spec that names the pull secrets; no field without any. */
export function pulledWith(secrets: readonly PullSecret[]): Readonly<Record<string, unknown>> {
  return secrets.length === 0 ? {} : { imagePullSecrets: secrets.map(({ name }) => ({ name })) };
}
