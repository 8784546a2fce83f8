/** Every right that a run needs: what preflight asks for, and what the shipped Roles hold. Pure. */
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
  RECORD_NAME,
  SUBSTITUTE_IMAGES_CONFIGMAP,
} from "../own/own-names.js";
import { functionProbes } from "../probes/functions/all-function-checks.js";

/** A namespace that the run works in. */
interface OwnNamespace {
  readonly name: string;
  /** An administrator has made it, and it stays: no right to make or remove it is needed. */
  readonly prepared: boolean;
}

/** One form in which the target is taken down. */
export interface TargetForm {
  readonly kind: TargetKind;
  readonly namespace: string;
  /** Of a workload: the names that it has, or may have. */
  readonly names: readonly string[];
}

/** Where, and as what, a target is looked for. */
export type Place = Pick<TargetForm, "kind" | "namespace"> & {
  /** It is asked for by its name, and not by its labels. */
  readonly name?: string;
};

/** What a run works with. */
export interface PermissionScope {
  readonly targets: readonly TargetForm[];
  /** Where the target is looked for, and whatever has to be scaled down before it. */
  readonly places: readonly Place[];
  /** Deployments that are scaled down before the target. */
  readonly companions: readonly TargetForm[];
  readonly application: OwnNamespace;
  readonly probers: OwnNamespace;
  readonly functionProbe?: {
    readonly name: FunctionCheckName;
    readonly canaries: OwnNamespace;
    /** Names of the workload that it sets wrong. */
    readonly corrected: readonly string[];
  };
  /** Nodes are reached by privileged pods of ours. */
  readonly privilegedPods?: boolean;
  /** The database's pod is replaced in the window. */
  readonly churn?: boolean;
  /** The target is said to be restored by addon-manager, which is proven first. */
  readonly addonManager?: boolean;
  /** Services that abort conditions ask. */
  readonly asked?: readonly { readonly namespace: string; readonly service: string; readonly port: string }[];
  /** One of several runs: the cluster is let come to rest between them. */
  readonly several?: boolean;
}

/** Every right that a run of this attack needs, each once. Pure. */
export function neededPermissions(attack: AttackName, scope: PermissionScope): Need[] {
  const needs = needsOf(attack, scope);
  return [...new Map(needs.map((need) => [describePermission(need), need])).values()];
}

/** The same, with everything that each right is for. Pure. */
export function needsOf(attack: AttackName, scope: PermissionScope): Need[] {
  return [
    ...everyRun(),
    ...scope.places.flatMap(placeNeeds),
    ...scope.targets.flatMap((target) => targetNeeds(attack, target)),
    ...scope.companions.flatMap((companion) => targetNeeds(COMPANION_ATTACK, companion)),
    ...applicationNeeds(scope),
    ...proberNeeds(scope),
    ...functionProbeNeeds(scope),
    ...(scope.addonManager === true ? addonManagerNeeds() : []),
    ...(scope.asked ?? []).flatMap(askedNeeds),
    ...(scope.several === true ? severalNeeds() : []),
  ];
}

function everyRun(): Need[] {
  const lock = { resource: "coordination.k8s.io/leases", namespace: LOCK_NAMESPACE };
  const { namespace, name } = SUBSTITUTE_IMAGES_CONFIGMAP;
  return [
    ...rights("the nodes, and when one is not Ready", ["list", "watch"], { resource: "nodes" }),
    ...rights("which cluster it is, by the uid of kube-system", ["get"], {
      resource: "namespaces",
      names: ["kube-system"],
    }),
    ...rights("the lock: one run at a time on a cluster", ["create"], lock),
    ...rights("the lock: one run at a time on a cluster", ["get", "update", "delete"], {
      ...lock,
      names: [LOCK_NAME],
    }),
    ...rights("which images of the cluster are stand-ins", ["get"], {
      resource: "configmaps",
      namespace,
      names: [name],
    }),
  ];
}

/** Finding the target: where it is not found in one form, it is looked for in the next. */
function placeNeeds({ kind, namespace, name }: Place): Need[] {
  const why = "finding the target, and the Services that lead to it";
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
    // On a node nothing is asked of the API.
    return [
      ...rights("whether the target's pods are there, and what stand-ins run", ["list"], pods),
      ...attackNeeds(attack, form),
    ];
  }
  const watching = "watching the target: whether it is down, and back";
  const back = "putting the target back as it was, where nobody else does";
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
          ...rights(back, ["get", "update"], { resource, namespace, names: form.names }),
          ...rights(back, ["create"], { resource, namespace }),
        ]),
    ...attackNeeds(attack, form),
  ];
}

/** What the attack's own row asks for. */
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

/** The right to look what a namespace is, to clear it away again and, where it is not prepared, to make it. */
function namespaceNeeds({ name, prepared }: OwnNamespace): Need[] {
  const resource = "namespaces";
  const names = [name];
  const look = rights("our namespaces: whether they are there, and prepared", ["get"], { resource, names });
  if (prepared) {
    const why = "emptying the namespace after a run";
    const kinds = kindsMadeIn(name).map((gvr) =>
      gvr.group === "" ? gvr.resource : `${gvr.group}/${gvr.resource}`,
    );
    return [
      ...look,
      ...kinds.flatMap((kind) => rights(why, ["list", "delete"], { resource: kind, namespace: name })),
    ];
  }
  const made = "our namespaces: made for a run and removed after it";
  // What would be made again first, so that the namespace is gone sooner.
  const swept = ["apps/deployments", "apps/daemonsets", "apps/replicasets", "pods"];
  return [
    ...look,
    ...rights(made, ["create"], { resource }),
    ...rights(made, ["delete"], { resource, names }),
    ...swept.flatMap((kind) => rights(made, ["list", "delete"], { resource: kind, namespace: name })),
  ];
}

/** An object of ours that differs is removed and made anew. */
const ENSURE = ["get", "create", "delete"];

function applicationNeeds({ application, churn }: PermissionScope): Need[] {
  const namespace = application.name;
  const deploying = "deploying the guestbook";
  const where = "where the guestbook's pods and Services are";
  const watching = "whether somebody else changes the guestbook while it is measured";
  return [
    ...namespaceNeeds(application),
    ...rights(deploying, ENSURE, { resource: "apps/deployments", namespace }),
    ...rights(deploying, ENSURE, { resource: "services", namespace }),
    ...rights(where, ["list"], { resource: "services", namespace }),
    ...rights(where, ["list"], { resource: "pods", namespace }),
    ...rights(where, ["list", "watch"], { resource: "endpoints", namespace }),
    ...rights(watching, ["list", "watch"], { resource: "apps/deployments", namespace }),
    ...rights(watching, ["list", "watch"], { resource: "services", namespace }),
    ...(churn === true
      ? rights("replacing the database's pod in the window", ["patch"], {
          resource: "apps/deployments",
          namespace,
          names: ["redis-leader"],
        })
      : []),
  ];
}

function proberNeeds({ probers, privilegedPods }: PermissionScope): Need[] {
  const namespace = probers.name;
  const deploying =
    privilegedPods === true
      ? "deploying the probers, and the pods that reach the nodes"
      : "deploying the probers";
  const asking = "asking the probers for what they have measured";
  const secrets = { resource: "secrets", namespace };
  return [
    ...namespaceNeeds(probers),
    ...rights(deploying, ENSURE, { resource: "apps/daemonsets", namespace }),
    ...rights(deploying, ENSURE, { resource: "configmaps", namespace }),
    ...rights(asking, ["list"], { resource: "pods", namespace }),
    ...rights(asking, ["get", "create"], { resource: "pods", subresource: "proxy", namespace }),
    ...rights(
      "the journal's copy, from which another machine can restore",
      [...ENSURE, "list", "update"],
      secrets,
    ),
    ...(privilegedPods === true ? rights("the token of the pods that reach the nodes", ENSURE, secrets) : []),
  ];
}

function functionProbeNeeds({ functionProbe }: PermissionScope): Need[] {
  if (functionProbe === undefined) return [];
  const { name, canaries, corrected } = functionProbe;
  return [
    ...rights("our namespaces: whether they are there, and prepared", ["get"], {
      resource: "namespaces",
      names: [CANARY_NAMESPACE],
    }),
    ...namespaceNeeds(canaries),
    ...functionProbes[name].needs(canaries.name, corrected),
  ];
}

function addonManagerNeeds(): Need[] {
  const namespace = ADDON_NAMESPACE;
  const why = "whether addon-manager, which restores the target, is at work (where it is ours)";
  return [
    ...rights(why, ["get"], { resource: "apps/deployments", namespace, names: [ADDON_MANAGER_NAME] }),
    ...rights(why, ["list"], { resource: "pods", namespace }),
    ...rights(why, ["get", "patch"], { resource: "configmaps", namespace, names: [RECORD_NAME, DRIFT_NAME] }),
  ];
}

function askedNeeds(asked: NonNullable<PermissionScope["asked"]>[number]): Need[] {
  const { namespace, service, port } = asked;
  const why = "asking a Service that the experiment's abort conditions name";
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
  const why = "several runs: whether the cluster has come to rest between two of them";
  const namespace = "kube-system";
  return [
    ...["apps/deployments", "apps/daemonsets", "pods"].flatMap((resource) =>
      rights(why, ["list"], { resource, namespace }),
    ),
    ...rights(why, ["list"], { resource: "apiregistration.k8s.io/apiservices" }),
  ];
}
