/** Every right that a run needs: preflight checks them, and the shipped Roles grant them. Pure. */
import type { FunctionCheckName } from "../components/functions.js";
import { type AttackName, ATTACKS, COMPANION_ATTACK } from "../experiment/attacks.js";
import type { TargetKind } from "../experiment/names.js";
import { describePermission, type Need, rights } from "../kube/permission.js";
import { CANARY_NAMESPACE, kindsMadeIn } from "../own/namespaces.js";
import {
  ADDON_MANAGER_NAME,
  ADDON_NAMESPACE,
  DRIFT_NAME,
  LOCK_NAME,
  LOCK_NAMESPACE,
  NODE_ACCESS_NAMESPACE,
  PROBER_NAMESPACE,
  RECORD_NAME,
  SUBSTITUTE_IMAGES_CONFIGMAP,
} from "../own/own-names.js";
import type { PullSecret } from "../own/pod-spec.js";
import { functionProbes } from "../probes/functions/all-function-checks.js";

/** A namespace that the run works in. */
interface OwnNamespace {
  readonly name: string;
  /** An administrator has created it, and it stays: no right to create or delete it is needed. */
  readonly prepared: boolean;
}

/** One form in which the target is taken down. */
export interface TargetForm {
  readonly kind: TargetKind;
  readonly namespace: string;
  /** For a workload: the names that it has or may have. */
  readonly names: readonly string[];
}

/** A kind and a namespace in which a target is looked for. */
export type Place = Pick<TargetForm, "kind" | "namespace"> & {
  /** Set: it is looked up by name instead of labels. */
  readonly name?: string;
};

/** What a run reads and changes. */
export interface PermissionScope {
  readonly targets: readonly TargetForm[];
  /** Where the target and its companions are looked for. */
  readonly places: readonly Place[];
  /** Deployments that are scaled down before the target. */
  readonly companions: readonly TargetForm[];
  /** The guestbook's; undefined: an existing application is measured. */
  readonly application?: OwnNamespace;
  /** An existing application. The run only reads in its namespace. */
  readonly existing?: { readonly namespace: string; readonly services: readonly string[] };
  readonly probers: OwnNamespace;
  readonly functionProbe?: {
    readonly name: FunctionCheckName;
    readonly canaries: OwnNamespace;
    /** The names of the workload that the probe changes on purpose. */
    readonly corrected: readonly string[];
  };
  /** The namespace of the privileged pods that reach the nodes; undefined: there are none. */
  readonly nodePods?: OwnNamespace;
  /** Secrets that are copied into the namespaces that the run creates. */
  readonly pullSecrets?: readonly PullSecret[];
  /** The database's pod is replaced during the window. */
  readonly churn?: boolean;
  /** addon-manager should restore the target, and preflight verifies that it works. */
  readonly addonManager?: boolean;
  /** Services that abort conditions query. */
  readonly asked?: readonly { readonly namespace: string; readonly service: string; readonly port: string }[];
  /** One of several runs: the cluster settles between two of them. */
  readonly several?: boolean;
}

/** Every right without which a run of this attack is refused, without duplicates. Pure. */
export function neededPermissions(attack: AttackName, scope: PermissionScope): Need[] {
  const needs = needsOf(attack, scope).filter(({ optional }) => optional !== true);
  return [...new Map(needs.map((need) => [describePermission(need), need])).values()];
}

/** Every right that is used, with duplicates: one entry for each purpose of a right. Pure. */
export function needsOf(attack: AttackName, scope: PermissionScope): Need[] {
  return [
    ...everyRun(),
    ...scope.places.flatMap(placeNeeds),
    ...scope.targets.flatMap((target) => targetNeeds(attack, target)),
    ...scope.companions.flatMap((companion) => targetNeeds(COMPANION_ATTACK, companion)),
    ...applicationNeeds(scope),
    ...existingNeeds(scope),
    ...proberNeeds(scope),
    ...nodePodNeeds(scope),
    ...pullSecretNeeds(scope),
    ...functionProbeNeeds(scope),
    ...(scope.addonManager === true ? addonManagerNeeds() : []),
    ...(scope.asked ?? []).flatMap(askedNeeds),
    ...(scope.several === true ? severalNeeds() : []),
  ];
}

/** Rights to measure with probers alone, without a run; those that a run can do without are left out. Pure. */
export function proberPermissions(scope: Pick<PermissionScope, "probers" | "functionProbe">): Need[] {
  const needs = [...everyRun(), ...proberNeeds(scope), ...functionProbeNeeds(scope)];
  return needs.filter(({ optional }) => optional !== true);
}

function everyRun(): Need[] {
  const lock = { resource: "coordination.k8s.io/leases", namespace: LOCK_NAMESPACE };
  const { namespace, name } = SUBSTITUTE_IMAGES_CONFIGMAP;
  return [
    ...rights("watching the nodes: whether each is Ready", ["list", "watch"], { resource: "nodes" }),
    ...rights("identifying the cluster by the uid of kube-system", ["get"], {
      resource: "namespaces",
      names: ["kube-system"],
    }),
    ...rights("the lock: one run at a time per cluster", ["create"], lock),
    ...rights("the lock: one run at a time per cluster", ["get", "update", "delete"], {
      ...lock,
      names: [LOCK_NAME],
    }),
    ...rights("which images of the cluster are substitute images", ["get"], {
      resource: "configmaps",
      namespace,
      names: [name],
    }),
    ...environmentNeeds(),
  ];
}

/** The environment in the report; without these rights parts of it are unknown. */
function environmentNeeds(): Need[] {
  const why = "the environment in the report: network, mode of kube-proxy, version of the DNS server";
  const namespace = "kube-system";
  return [
    ...rights(why, ["list"], { resource: "pods", namespace }),
    ...rights(why, ["get"], {
      resource: "configmaps",
      namespace,
      names: ["kube-proxy", "kube-proxy-config"],
    }),
    ...rights("the environment in the report: number of API servers", ["get"], {
      resource: "discovery.k8s.io/endpointslices",
      namespace: "default",
      names: ["kubernetes"],
    }),
  ].map((need) => ({ ...need, optional: true as const }));
}

/** Finding the target: it is looked for in one form after another. */
function placeNeeds({ kind, namespace, name }: Place): Need[] {
  const why = "finding the target and the Services that select it";
  if (kind === "StaticPod") return rights(why, ["list"], { resource: "pods", namespace });
  if (kind === "SystemdUnit") return [];
  const resource = workloads(kind);
  return [
    ...(name === undefined
      ? rights(why, ["list"], { resource, namespace })
      : rights(why, ["get"], { resource, namespace, names: [name] })),
    ...rights(why, ["list"], { resource: "services", namespace }),
  ];
}

function workloads(kind: "Deployment" | "DaemonSet"): "apps/deployments" | "apps/daemonsets" {
  return kind === "Deployment" ? "apps/deployments" : "apps/daemonsets";
}

function targetNeeds(attack: AttackName, form: TargetForm): Need[] {
  const { kind, namespace } = form;
  const pods = { resource: "pods", namespace };
  if (kind === "StaticPod" || kind === "SystemdUnit") {
    // An attack on a node does not use the API.
    return [
      ...rights("whether the target's pods exist, and which substitute images they run", ["list"], pods),
      ...attackNeeds(attack, form),
    ];
  }
  const watching = "watching the target: whether it is down or ready";
  const restoring = "restoring the target when nothing else does";
  const watch = ["list", "watch"];
  const resource = workloads(kind);
  const slices = { resource: "discovery.k8s.io/endpointslices", namespace };
  const replicaSets = { resource: "apps/replicasets", namespace };
  return [
    ...rights(watching, watch, { resource, namespace }),
    ...rights(watching, watch, pods),
    ...(kind === "Deployment" ? rights(watching, watch, replicaSets) : []),
    ...rights(watching, watch, slices),
    ...(ATTACKS[attack].changes === "nothing"
      ? []
      : [
          ...rights(restoring, ["get", "update"], { resource, namespace, names: form.names }),
          ...rights(restoring, ["create"], { resource, namespace }),
          ...rights("whether the target's pods can come back (only with dryRun=All)", ["create"], pods).map(
            (need) => ({ ...need, optional: true as const }),
          ),
        ]),
    ...attackNeeds(attack, form),
  ];
}

/** The rights in the attack's own row. */
function attackNeeds(attack: AttackName, { kind, namespace, names }: TargetForm): Need[] {
  return ATTACKS[attack].rights.flatMap(({ verbs, to, only = kind, why = `the attack ${attack}` }) => {
    if (only !== kind) return [];
    if (to === "nodes") return rights(why, verbs, { resource: to });
    if (to !== "workload") return rights(why, verbs, { resource: to, namespace });
    return kind === "StaticPod" || kind === "SystemdUnit"
      ? []
      : rights(why, verbs, { resource: workloads(kind), namespace, names });
  });
}

const NAMESPACES_READ = "the run's namespaces: whether they exist and are prepared";

/** The rights to read a namespace and to clean it up and, when it is not prepared, to create it. */
function namespaceNeeds({ name, prepared }: OwnNamespace): Need[] {
  const resource = "namespaces";
  const names = [name];
  const reading = rights(NAMESPACES_READ, ["get"], { resource, names });
  if (prepared) {
    const why = "emptying the namespace after a run";
    const kinds = kindsMadeIn(name).map((gvr) =>
      gvr.group === "" ? gvr.resource : `${gvr.group}/${gvr.resource}`,
    );
    return [
      ...reading,
      ...kinds.flatMap((kind) => rights(why, ["list", "delete"], { resource: kind, namespace: name })),
    ];
  }
  const owning = "the run's namespaces: created for the run and deleted after it";
  // Owners before the pods that they would recreate, so that the namespace is gone sooner.
  const swept = ["apps/deployments", "apps/daemonsets", "apps/replicasets", "pods"];
  return [
    ...reading,
    ...rights(owning, ["create"], { resource }),
    ...rights(owning, ["delete"], { resource, names }),
    ...swept.flatMap((kind) => rights(owning, ["list", "delete"], { resource: kind, namespace: name })),
  ];
}

/** Events tell why pods do not start; a port-forward reaches pods where the API server cannot. */
function optionalNeeds(namespace: string): Need[] {
  const forward = { resource: "pods", subresource: "portforward", namespace };
  return [
    ...rights("why pods do not start, in the message of a run that ends for it", ["list"], {
      resource: "events",
      namespace,
    }),
    // From Kubernetes 1.35 a WebSocket needs both verbs (kubernetes/kubernetes#134577).
    ...(namespace === PROBER_NAMESPACE || namespace === NODE_ACCESS_NAMESPACE
      ? rights(
          "reaching the run's pods where the API server cannot connect to them",
          ["get", "create"],
          forward,
        )
      : []),
  ].map((need) => ({ ...need, optional: true as const }));
}

/** An own object that differs is deleted and created again. */
const ENSURE = ["get", "create", "delete"];

/** Only reading: nothing in the namespace of an existing application is ever changed. */
function existingNeeds({ existing }: PermissionScope): Need[] {
  if (existing === undefined) return [];
  const { namespace, services } = existing;
  const finding = "finding the application's Services and the pods behind them";
  const watching = "detecting foreign changes to the application";
  return [
    ...rights(watching, ["get"], { resource: "namespaces", names: [namespace] }),
    ...rights(watching, ["list", "watch"], { resource: "services", namespace }),
    ...rights(finding, ["get"], { resource: "services", namespace, names: services }),
    ...rights(finding, ["list", "watch"], { resource: "discovery.k8s.io/endpointslices", namespace }),
  ];
}

function applicationNeeds({ application, churn }: PermissionScope): Need[] {
  if (application === undefined) return [];
  const namespace = application.name;
  const deploying = "deploying the guestbook";
  const finding = "finding the guestbook's pods and Services";
  const watching = "detecting foreign changes to the guestbook";
  return [
    ...namespaceNeeds(application),
    ...optionalNeeds(namespace),
    ...rights(deploying, ENSURE, { resource: "apps/deployments", namespace }),
    ...rights(deploying, ENSURE, { resource: "services", namespace }),
    ...rights(finding, ["list"], { resource: "services", namespace }),
    ...rights(finding, ["list"], { resource: "pods", namespace }),
    ...rights(finding, ["list", "watch"], { resource: "discovery.k8s.io/endpointslices", namespace }),
    ...rights(watching, ["list", "watch"], { resource: "apps/deployments", namespace }),
    ...rights(watching, ["list", "watch"], { resource: "services", namespace }),
    ...(churn === true
      ? rights("replacing the database's pod during the window", ["patch"], {
          resource: "apps/deployments",
          namespace,
          names: ["redis-leader"],
        })
      : []),
  ];
}

function proberNeeds({ probers }: Pick<PermissionScope, "probers">): Need[] {
  const namespace = probers.name;
  const deploying = "deploying the probers";
  const fetching = "fetching the probers' samples";
  const secrets = { resource: "secrets", namespace };
  return [
    ...namespaceNeeds(probers),
    ...optionalNeeds(namespace),
    ...rights(deploying, ENSURE, { resource: "apps/daemonsets", namespace }),
    ...rights(deploying, ENSURE, { resource: "configmaps", namespace }),
    ...rights(fetching, ["list"], { resource: "pods", namespace }),
    ...rights(fetching, ["get", "create"], { resource: "pods", subresource: "proxy", namespace }),
    ...rights(
      "the journal's copy, from which another machine can restore the run",
      [...ENSURE, "list", "update"],
      secrets,
    ),
  ];
}

function nodePodNeeds({ nodePods }: PermissionScope): Need[] {
  if (nodePods === undefined) return [];
  const namespace = nodePods.name;
  const deploying = "deploying the privileged pods that reach the nodes";
  return [
    ...namespaceNeeds(nodePods),
    ...optionalNeeds(namespace),
    ...rights(deploying, ENSURE, { resource: "apps/daemonsets", namespace }),
    ...rights(deploying, ENSURE, { resource: "configmaps", namespace }),
    ...rights("the token of the pods that reach the nodes", ["get", "create"], {
      resource: "secrets",
      namespace,
    }),
    ...rights("finding the pods that reach the nodes", ["list"], { resource: "pods", namespace }),
    ...rights("running commands on the nodes", ["get", "create"], {
      resource: "pods",
      subresource: "proxy",
      namespace,
    }),
  ];
}

/** A prepared namespace gets no copies: its administrator puts the Secrets there. */
function pullSecretNeeds({
  pullSecrets = [],
  application,
  probers,
  nodePods,
  functionProbe,
}: PermissionScope): Need[] {
  if (pullSecrets.length === 0) return [];
  const own = [application, probers, nodePods, functionProbe?.canaries].flatMap((each) => each ?? []);
  const why = "copying the pull secrets into the run's namespaces";
  return [
    ...pullSecrets.flatMap(({ namespace, name }) =>
      rights(why, ["get"], { resource: "secrets", namespace, names: [name] }),
    ),
    ...own
      .filter(({ prepared }) => !prepared)
      .flatMap(({ name: namespace }) => rights(why, ENSURE, { resource: "secrets", namespace })),
  ];
}

function functionProbeNeeds({ functionProbe }: Pick<PermissionScope, "functionProbe">): Need[] {
  if (functionProbe === undefined) return [];
  const { name, canaries, corrected } = functionProbe;
  return [
    ...rights(NAMESPACES_READ, ["get"], {
      resource: "namespaces",
      names: [CANARY_NAMESPACE],
    }),
    ...namespaceNeeds(canaries),
    ...functionProbes[name].needs(canaries.name, corrected),
  ];
}

function addonManagerNeeds(): Need[] {
  const namespace = ADDON_NAMESPACE;
  const why = "whether addon-manager, which restores the target, works (where this tool installed it)";
  return [
    ...rights(why, ["get"], { resource: "apps/deployments", namespace, names: [ADDON_MANAGER_NAME] }),
    ...rights(why, ["list"], { resource: "pods", namespace }),
    ...rights(why, ["get", "patch"], { resource: "configmaps", namespace, names: [RECORD_NAME, DRIFT_NAME] }),
  ];
}

function askedNeeds(asked: NonNullable<PermissionScope["asked"]>[number]): Need[] {
  const { namespace, service, port } = asked;
  const why = "querying a Service that the abort conditions name";
  return [
    ...rights(why, ["get"], {
      resource: "services",
      subresource: "proxy",
      namespace,
      names: [`${service}:${port}`],
    }),
    ...rights(why, ["get"], { resource: "namespaces", names: [namespace] }),
  ];
}

function severalNeeds(): Need[] {
  const why = "several runs: whether the cluster has settled between two of them";
  const namespace = "kube-system";
  return [
    ...["apps/deployments", "apps/daemonsets", "pods"].flatMap((resource) =>
      rights(why, ["list"], { resource, namespace }),
    ),
    ...rights(why, ["list"], { resource: "apiregistration.k8s.io/apiservices" }),
  ];
}
