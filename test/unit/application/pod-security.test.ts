/**
 * Every own pod passes PodSecurity's level `restricted`, as the API server would judge it (pod-security-admission, policy/),
 * except the pods that reach the nodes.
 */
import test from "ava";
import { guestbookManifests } from "../../../src/application/guestbook.js";
import { type OwnPods, ownPods, podSource } from "../../../src/application/own-pods.js";
import { addonManifests } from "../../../src/addons/addon-manifests.js";
import { nodeAccessManifests } from "../../../src/nodes/pod-deploy.js";
import type { Manifest } from "../../../src/own/manifest.js";
import { PUBLIC_PODS } from "../../../src/own/pod-spec.js";
import { canaryPod } from "../../../src/probes/functions/canary.js";
import { proberManifests } from "../../../src/probes/prober-manifests.js";
import { deadManObjects } from "../../../src/safety/dead-man/dead-man-manifests.js";

interface PodSpec {
  readonly securityContext?: {
    readonly runAsNonRoot?: boolean;
    readonly runAsUser?: number;
    readonly seccompProfile?: { readonly type: string };
    readonly sysctls?: readonly { readonly name: string }[];
  };
  readonly imagePullSecrets?: readonly { readonly name: string }[];
  readonly containers: readonly {
    readonly image: string;
    readonly args?: readonly string[];
    readonly command?: readonly string[];
    readonly securityContext?: {
      readonly allowPrivilegeEscalation?: boolean;
      readonly privileged?: boolean;
      readonly capabilities?: { readonly drop?: readonly string[]; readonly add?: readonly string[] };
    };
    readonly ports?: readonly { readonly hostPort?: number }[];
  }[];
  readonly volumes?: readonly Record<string, unknown>[];
  readonly [field: string]: unknown;
}

/** The sysctls that `baseline` and `restricted` allow since Kubernetes 1.22 (check_sysctls.go). */
const SYSCTLS = [
  "kernel.shm_rmid_forced",
  "net.ipv4.ip_local_port_range",
  "net.ipv4.ip_unprivileged_port_start",
  "net.ipv4.tcp_syncookies",
  "net.ipv4.ping_group_range",
];
const VOLUMES = [
  "configMap",
  "csi",
  "downwardAPI",
  "emptyDir",
  "ephemeral",
  "persistentVolumeClaim",
  "projected",
  "secret",
];

function ofContainer({ securityContext: own, ports = [] }: PodSpec["containers"][number]): string[] {
  const good = {
    allowPrivilegeEscalation: own?.allowPrivilegeEscalation === false,
    privileged: own?.privileged !== true,
    capabilities: own?.capabilities?.drop?.includes("ALL") === true && own.capabilities.add === undefined,
    hostPort: ports.every(({ hostPort }) => hostPort === undefined),
  };
  return Object.entries(good).flatMap(([what, holds]) => (holds ? [] : [what]));
}

/** What `restricted` forbids in this pod. */
function violations({ securityContext, containers, volumes = [], ...spec }: PodSpec): string[] {
  const found: string[] = [];
  const check = (good: boolean, what: string): void => void (good || found.push(what));
  for (const host of ["hostNetwork", "hostPID", "hostIPC"]) check(spec[host] !== true, host);
  check(securityContext?.runAsNonRoot === true, "runAsNonRoot");
  // The kubelet refuses an image whose user is root or has a name, unless a number is set.
  check((securityContext?.runAsUser ?? 0) > 0, "runAsUser");
  check(securityContext?.seccompProfile?.type === "RuntimeDefault", "seccompProfile");
  for (const { name } of securityContext?.sysctls ?? []) check(SYSCTLS.includes(name), `sysctl ${name}`);
  found.push(...containers.flatMap(ofContainer));
  for (const volume of volumes)
    check(
      Object.keys(volume).every((key) => key === "name" || VOLUMES.includes(key)),
      `volume ${JSON.stringify(volume)}`,
    );
  return found;
}

function podSpecs(manifests: readonly Manifest[]): PodSpec[] {
  return manifests.flatMap(({ kind, spec }): PodSpec[] => {
    if (kind === "Pod") return [spec as PodSpec];
    const template = (spec as { template?: { spec: PodSpec } } | undefined)?.template;
    return template === undefined ? [] : [template.spec];
  });
}

const OPTIONS = {
  namespace: "g",
  nodePort: 30080,
  frontendReplicas: 2,
  controlReplicas: 1,
  followerReplicas: 2,
};

async function everyPod(pods: OwnPods): Promise<Readonly<Record<string, readonly Manifest[]>>> {
  const source = podSource(pods);
  return {
    guestbook: guestbookManifests(OPTIONS, pods, "// program"),
    probers: await proberManifests(source),
    canaries: [canaryPod({ namespace: "c", name: "p", pods: source })],
    "dead-man's switch": deadManObjects({
      settings: { runId: "run-1", servers: [], userAgent: "x" },
      rights: [],
      program: "",
      namespaceUid: "uid",
      namespaces: [],
      node: "worker-1",
      pods: source,
    }).map(({ manifest }) => manifest as unknown as Manifest),
  };
}

for (const guestbook of ["sample", "equivalent"] as const) {
  test(`own pods pass the level restricted, with the ${guestbook}`, async (t) => {
    for (const [what, manifests] of Object.entries(await everyPod(ownPods({ guestbook }, ["amd64"])))) {
      const specs = podSpecs(manifests);
      t.true(specs.length > 0, what);
      for (const spec of specs) t.deepEqual(violations(spec), [], what);
      const namespaces = manifests.filter(({ kind }) => kind === "Namespace");
      for (const mode of ["enforce", "audit", "warn"])
        t.true(
          namespaces.every(
            ({ metadata }) => metadata.labels?.[`pod-security.kubernetes.io/${mode}`] === "restricted",
          ),
          `${what}: ${mode}`,
        );
    }
  });
}

test("the sink passes it, too", async (t) => {
  const dns = {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: "coredns", namespace: "kube-system" },
  };
  const { sink } = await addonManifests({ dns });
  const specs = podSpecs(sink);
  t.is(specs.length, 1);
  for (const spec of specs) t.deepEqual(violations(spec), []);
  t.is(sink[0]?.metadata.labels?.["pod-security.kubernetes.io/enforce"], "restricted");
});

test("only the pods that reach the nodes are privileged, in a namespace of their own that says so", async (t) => {
  const manifests = await nodeAccessManifests(PUBLIC_PODS);
  t.deepEqual(violations(podSpecs(manifests)[0] as PodSpec), [
    "hostPID",
    "runAsNonRoot",
    "runAsUser",
    "seccompProfile",
    "allowPrivilegeEscalation",
    "privileged",
    "capabilities",
  ]);
  t.like(manifests[0]?.metadata, {
    name: "kube-system-chaos-nodes",
    labels: { "pod-security.kubernetes.io/enforce": "privileged" },
  });
});

test("every own pod uses the images and pull secrets of the settings", async (t) => {
  const settings = {
    images: { frontend: "m/frontend:1", leader: "m/leader:1", follower: "m/follower:1", node: "m/node:1" },
    imagePullSecrets: ["team/pull"],
  };
  const pods = ownPods(settings, ["amd64"]);
  const all = { ...(await everyPod(pods)), nodes: await nodeAccessManifests(podSource(pods)) };
  for (const [what, manifests] of Object.entries(all))
    for (const { containers, imagePullSecrets } of podSpecs(manifests)) {
      for (const { image } of containers) t.regex(image, /^m\/(frontend|leader|follower|node):1$/, what);
      t.deepEqual(imagePullSecrets, [{ name: "pull" }], what);
    }
});

test("the equivalent: the program on the Node image, and followers of the leader", (t) => {
  const program = "`$${1}` $(HOME) $$";
  const specs = podSpecs(guestbookManifests(OPTIONS, ownPods({ guestbook: "equivalent" }, []), program));
  const [leader, follower, frontend, control] = specs.map(({ containers }) => containers[0]);
  t.is(leader?.args, undefined);
  t.deepEqual(follower?.args?.slice(-3), ["--replicaof", "redis-leader", "6379"]);
  // As the kubelet expands a command: $$ is an escaped $, which also keeps $(NAME).
  for (const each of [frontend, control]) {
    const command = each?.command?.at(-1) ?? "";
    t.notRegex(command.replaceAll("$$", ""), /\$/);
    t.is(
      command.replaceAll("$$", () => "$"),
      program,
    );
  }
});
