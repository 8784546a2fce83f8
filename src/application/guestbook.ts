/**
 * The study's application: the guestbook of the Kubernetes samples (PHP front end, Redis leader, Redis followers),
 * plus the control arm: a second front end that finds Redis by environment variables and needs no DNS.
 */
import type { Experiment } from "../experiment/schema.js";
import { type Manifest, namespaceManifest, serviceManifest, workloadManifest } from "../own/manifest.js";
import {
  APACHE_USER,
  CONTAINER_SECURITY,
  LOW_PORTS,
  NODE_USER,
  podSecurity,
  pulledWith,
  REDIS_USER,
} from "../own/pod-spec.js";
import type { OwnPods } from "./own-pods.js";

export type GuestbookOptions = NonNullable<Experiment["application"]["guestbook"]>;

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
 *
 * @param program text of the equivalent's front end; not used for the sample.
 */
export function guestbookManifests(options: GuestbookOptions, pods: OwnPods, program: string): Manifest[] {
  const { namespace } = options;
  const service = { namespace, port: REDIS_PORT };
  const workloads: Workload[] = [
    { name: "redis-leader", labels: LEADER_LABELS, replicas: 1, pod: leader(pods) },
    {
      name: "redis-follower",
      labels: FOLLOWER_LABELS,
      replicas: options.followerReplicas,
      pod: follower(pods),
    },
    {
      name: "frontend",
      labels: FRONTEND_LABELS,
      replicas: options.frontendReplicas,
      pod: frontend(pods, "dns", program),
    },
    {
      name: "frontend-env",
      labels: CONTROL_LABELS,
      replicas: options.controlReplicas,
      pod: frontend(pods, "env", program),
    },
  ];
  return [
    namespaceManifest(namespace),
    serviceManifest({ ...service, name: LEADER_SERVICE, labels: LEADER_LABELS }),
    serviceManifest({ ...service, name: FOLLOWER_SERVICE, labels: FOLLOWER_LABELS }),
    serviceManifest({
      namespace,
      name: FRONTEND_SERVICE,
      labels: FRONTEND_LABELS,
      port: FRONTEND_PORT,
      nodePort: options.nodePort,
    }),
    ...workloads.map(({ name, labels, replicas, pod: { user, container, ...rest } }) =>
      workloadManifest({
        kind: "Deployment",
        namespace,
        name,
        labels,
        replicas,
        podSpec: {
          ...pulledWith(pods.pullSecrets),
          securityContext: { ...podSecurity(user), ...rest.podSecurity },
          containers: [container],
          volumes: [{ name: WRITABLE, emptyDir: {} }],
        },
      }),
    ),
  ];
}

interface Workload {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly replicas: number;
  readonly pod: GuestbookPod;
}

interface GuestbookPod {
  readonly user: number;
  readonly podSecurity?: object;
  readonly container: object;
}

/** The volume for the one folder that the program writes to. Where an image has that folder, another user may own it. */
const WRITABLE = "writable";

function leader({ images }: OwnPods): GuestbookPod {
  return { user: REDIS_USER, container: redisContainer("leader", images.leader) };
}

function follower({ guestbook, images }: OwnPods): GuestbookPod {
  return {
    user: REDIS_USER,
    container: {
      ...redisContainer("follower", images.follower),
      env: hostsFrom("dns"),
      startupProbe: FOLLOWER_SYNCED,
      // What the script of the sample's image does. Only the official image is built without the protected mode.
      ...(guestbook === "sample"
        ? {}
        : {
            args: ["redis-server", "--protected-mode", "no", "--replicaof", LEADER_SERVICE, `${REDIS_PORT}`],
          }),
    },
  };
}

function redisContainer(name: string, image: string): object {
  return { ...container(name, image, REDIS_PORT), volumeMounts: [{ name: WRITABLE, mountPath: "/data" }] };
}

function frontend({ guestbook, images }: OwnPods, from: "dns" | "env", program: string): GuestbookPod {
  const base = container("php-redis", images.frontend, FRONTEND_PORT);
  if (guestbook === "sample") {
    const volumeMounts = [{ name: WRITABLE, mountPath: "/var/run/apache2" }];
    return {
      user: APACHE_USER,
      podSecurity: LOW_PORTS,
      container: { ...base, env: hostsFrom(from), volumeMounts },
    };
  }
  return {
    user: NODE_USER,
    podSecurity: LOW_PORTS,
    container: {
      ...base,
      // The kubelet replaces $(NAME), and $$ by $ (Kubernetes API, Container.command).
      command: ["node", "--input-type=module", "--eval", program.replaceAll("$", () => "$$")],
      env: [
        ...hostsFrom(from),
        // getaddrinfo occupies a thread until it returns. Apache serves 150 requests at once (MaxRequestWorkers).
        { name: "UV_THREADPOOL_SIZE", value: "150" },
      ],
    },
  };
}

function hostsFrom(value: "dns" | "env"): object[] {
  return [{ name: "GET_HOSTS_FROM", value }];
}

/**
 * Without a readiness probe, as in the sample: a probe would remove the database from its Service while packets to
 * it are lost, and so turn a short loss into a longer outage. The probers check that everything listens before the
 * baseline begins.
 */
function container(name: string, image: string, port: number): object {
  return {
    name,
    image,
    imagePullPolicy: "IfNotPresent",
    ports: [{ containerPort: port }],
    resources,
    securityContext: CONTAINER_SECURITY,
  };
}
