/**
 * The study's application: the guestbook of the Kubernetes samples (PHP front end, Redis leader, Redis followers),
 * plus the control arm: a second front end that finds Redis by environment variables and needs no DNS.
 */
import type { Experiment } from "../experiment/schema.js";
import { type Manifest, namespaceManifest, serviceManifest, workloadManifest } from "../own/manifest.js";

export type GuestbookOptions = Experiment["application"]["guestbook"];

/** The images of the public sample (kubernetes-engine-samples, quickstarts/guestbook). */
export const GUESTBOOK_IMAGES = {
  frontend: "us-docker.pkg.dev/google-samples/containers/gke/gb-frontend:v5",
  leader: "docker.io/library/redis:6.0.5",
  follower: "us-docker.pkg.dev/google-samples/containers/gke/gb-redis-follower:v2",
} as const;

export const FRONTEND_LABELS = { app: "guestbook", tier: "frontend" } as const;
export const CONTROL_LABELS = { app: "guestbook", tier: "frontend-env" } as const;
export const LEADER_LABELS = { app: "redis", role: "leader", tier: "backend" } as const;
const FOLLOWER_LABELS = { app: "redis", role: "follower", tier: "backend" } as const;
export const FRONTEND_SERVICE = "frontend";
export const LEADER_SERVICE = "redis-leader";
const FOLLOWER_SERVICE = "redis-follower";
export const FRONTEND_PORT = 80;
export const REDIS_PORT = 6379;

/** The requests of the sample: 100m CPU and 100Mi of memory for each container. */
const resources = { requests: { cpu: "100m", memory: "100Mi" } };

/**
 * A follower counts as started, and so as ready, when it has copied the leader's data. Redis answers before that with
 * an empty database, for as long as `repl-diskless-sync-delay` (5 s) and the copy take, and a baseline would begin with
 * bad reads. A startup probe ends with its first success: what happens to the link later changes no endpoints.
 */
const FOLLOWER_SYNCED = {
  exec: { command: ["sh", "-c", "redis-cli info replication | grep -q ^master_link_status:up"] },
  periodSeconds: 1,
  timeoutSeconds: 2,
  // A follower without a leader waits, as the sample's does. The kubelet restarts it only after ten minutes.
  failureThreshold: 600,
};

/**
 * Every object of the guestbook, in creation order: Services before pods, because the control arm reads their
 * addresses from its environment, which the kubelet sets when a pod starts.
 */
export function guestbookManifests(options: GuestbookOptions): Manifest[] {
  const { namespace } = options;
  return [
    namespaceManifest(namespace),
    serviceManifest({ namespace, name: LEADER_SERVICE, labels: LEADER_LABELS, port: REDIS_PORT }),
    serviceManifest({ namespace, name: FOLLOWER_SERVICE, labels: FOLLOWER_LABELS, port: REDIS_PORT }),
    serviceManifest({
      namespace,
      name: FRONTEND_SERVICE,
      labels: FRONTEND_LABELS,
      port: FRONTEND_PORT,
      nodePort: options.nodePort,
    }),
    deployment(
      namespace,
      "redis-leader",
      LEADER_LABELS,
      1,
      container("leader", GUESTBOOK_IMAGES.leader, REDIS_PORT),
    ),
    deployment(namespace, "redis-follower", FOLLOWER_LABELS, options.followerReplicas, {
      ...container("follower", GUESTBOOK_IMAGES.follower, REDIS_PORT, "dns"),
      startupProbe: FOLLOWER_SYNCED,
    }),
    deployment(
      namespace,
      "frontend",
      FRONTEND_LABELS,
      options.frontendReplicas,
      container("php-redis", GUESTBOOK_IMAGES.frontend, FRONTEND_PORT, "dns"),
    ),
    deployment(
      namespace,
      "frontend-env",
      CONTROL_LABELS,
      options.controlReplicas,
      container("php-redis", GUESTBOOK_IMAGES.frontend, FRONTEND_PORT, "env"),
    ),
  ];
}

function deployment(
  namespace: string,
  name: string,
  labels: Readonly<Record<string, string>>,
  replicas: number,
  container: object,
): Manifest {
  return workloadManifest({
    kind: "Deployment",
    namespace,
    name,
    labels,
    replicas,
    podSpec: { containers: [container] },
  });
}

/**
 * Without a readiness probe, as in the sample: a probe would remove the database from its Service while packets to
 * it are lost, and so turn a short loss into a longer outage. The probers check that everything listens before the
 * baseline begins.
 */
function container(name: string, image: string, port: number, hostsFrom?: "dns" | "env"): object {
  return {
    name,
    image,
    imagePullPolicy: "IfNotPresent",
    ports: [{ containerPort: port }],
    resources,
    ...(hostsFrom === undefined ? {} : { env: [{ name: "GET_HOSTS_FROM", value: hostsFrom }] }),
  };
}
