/** The objects of a dead-man's switch. All carry the run's label, so that a restore removes only that run's objects. */
import {
  CLUSTER_ROLE_BINDINGS,
  CLUSTER_ROLES,
  CONFIGMAPS,
  type Gvr,
  PODS,
  resourcePath,
  ROLE_BINDINGS,
  ROLES,
  SERVICE_ACCOUNTS,
} from "../../kube/api.js";
import type { Node } from "../../kube/objects.js";
import type { Need, Permission } from "../../kube/permission.js";
import { schedulableNodes } from "../../kube/pod-state.js";
import { type RoleRules, rolesOf } from "../../kube/rules.js";
import { MANAGED_BY, MANAGED_BY_LABEL, RUN_LABEL } from "../../own/manifest.js";
import { PROBER_NAMESPACE } from "../../own/own-names.js";
import { CONTAINER_SECURITY, type PodSource, podSecurity, pulledWith } from "../../own/pod-spec.js";
import { DEAD_MAN_LABELS } from "../restore/order.js";
import { DEAD_MAN_PORT, deadManName, type DeadManSettings, environmentOf, PROGRAM_FILE } from "./settings.js";

/** A ConfigMap can have 1 MiB (Kubernetes' MaxConfigMapSize), including its other keys and names. */
export const MAX_PROGRAM_BYTES = 900_000;

const NOBODY = 65534;

const RBAC_GROUP = "rbac.authorization.k8s.io";

export interface OwnerReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
}

/** The manifest of one of its objects. */
export interface DeadManManifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly ownerReferences?: readonly OwnerReference[];
  };
  readonly [field: string]: unknown;
}

/** An object to create, and its resource. */
export interface DeadManObject {
  readonly gvr: Gvr;
  readonly manifest: DeadManManifest;
}

export interface DeadManParts {
  readonly settings: Omit<DeadManSettings, "rights">;
  readonly rights: readonly Need[];
  /** Text of dist/dead-man.mjs. */
  readonly program: string;
  /** uid of the probers' namespace, which the switch runs in; undefined: it is prepared and stays. */
  readonly namespaceUid: string | undefined;
  /** Existing namespaces. The others can have no Role, so their content is not deleted before they are. */
  readonly namespaces: readonly string[];
  readonly node: string;
  readonly pods: PodSource;
}

/** URL path of an object, and of its collection. */
export function pathsOf({ gvr, manifest }: DeadManObject): {
  readonly path: string;
  readonly collection: string;
} {
  const { namespace, name } = manifest.metadata;
  return { path: resourcePath(gvr, namespace, name), collection: resourcePath(gvr, namespace) };
}

/** The labels of every object of a run's switch. */
export function labelsOf(runId: string): Readonly<Record<string, string>> {
  return { ...DEAD_MAN_LABELS, [MANAGED_BY_LABEL]: MANAGED_BY, [RUN_LABEL]: runId };
}

/**
 * All objects of the switch, in the order of creation; the pod last. Its ClusterRole is the first where it owns the others.
 * Pure.
 */
export function deadManObjects(parts: DeadManParts): readonly DeadManObject[] {
  const { settings, program } = parts;
  const metadata = metadataOf(settings.runId, PROBER_NAMESPACE);
  const granted = grantable(parts);
  const roles = rolesOf(granted).flatMap((rules) => roleObjects(parts, rules));
  const owner = parts.namespaceUid === undefined ? roles.filter(({ gvr }) => gvr === CLUSTER_ROLES) : [];
  return [
    ...owner,
    { gvr: SERVICE_ACCOUNTS, manifest: { apiVersion: "v1", kind: "ServiceAccount", metadata } },
    {
      gvr: CONFIGMAPS,
      manifest: { apiVersion: "v1", kind: "ConfigMap", metadata, data: { [PROGRAM_FILE]: program } },
    },
    ...roles.filter((each) => !owner.includes(each)),
    { gvr: PODS, manifest: podManifest({ ...settings, rights: granted.map(withoutWhy) }, parts) },
  ];
}

/** The rights that a Role can be created for. */
function grantable({ rights, namespaces }: DeadManParts): readonly Need[] {
  return rights.filter(({ namespace }) => namespace === undefined || namespaces.includes(namespace));
}

/** The object with an owner: the garbage collector deletes it after the owner. Pure. */
export function ownedBy({ gvr, manifest }: DeadManObject, owner: OwnerReference): DeadManObject {
  return { gvr, manifest: { ...manifest, metadata: { ...manifest.metadata, ownerReferences: [owner] } } };
}

/** A right without its reason, which the program does not need. */
function withoutWhy(need: Need): Permission {
  return Object.fromEntries(Object.entries(need).filter(([key]) => key !== "why")) as unknown as Permission;
}

function metadataOf(runId: string, namespace?: string): DeadManManifest["metadata"] {
  return {
    name: deadManName(runId),
    ...(namespace === undefined ? {} : { namespace }),
    labels: labelsOf(runId),
  };
}

/** The Role for the objects of one namespace (or of the cluster), and its binding. */
function roleObjects(
  { settings, namespaceUid }: DeadManParts,
  { namespace, rules }: RoleRules,
): readonly DeadManObject[] {
  const { runId } = settings;
  const kind = namespace === undefined ? "ClusterRole" : "Role";
  const metadata = {
    ...metadataOf(runId, namespace),
    // The garbage collector deletes objects outside the namespace with it. So the switch can delete itself with one
    // request and needs no right to delete Roles.
    ...(namespace === PROBER_NAMESPACE || namespaceUid === undefined
      ? {}
      : {
          ownerReferences: [
            { apiVersion: "v1", kind: "Namespace", name: PROBER_NAMESPACE, uid: namespaceUid },
          ],
        }),
  };
  const apiVersion = `${RBAC_GROUP}/v1`;
  const role = {
    apiVersion,
    kind,
    metadata,
    rules: rules.map(({ apiGroup, resources, names, verbs }) => ({
      apiGroups: [apiGroup],
      resources,
      ...(names === undefined ? {} : { resourceNames: names }),
      verbs,
    })),
  };
  const binding = {
    apiVersion,
    kind: `${kind}Binding`,
    metadata,
    roleRef: { apiGroup: RBAC_GROUP, kind, name: metadata.name },
    subjects: [{ kind: "ServiceAccount", name: deadManName(runId), namespace: PROBER_NAMESPACE }],
  };
  return namespace === undefined
    ? [
        { gvr: CLUSTER_ROLES, manifest: role },
        { gvr: CLUSTER_ROLE_BINDINGS, manifest: binding },
      ]
    : [
        { gvr: ROLES, manifest: role },
        { gvr: ROLE_BINDINGS, manifest: binding },
      ];
}

/**
 * A bare pod, bound to its node by name, so that it needs neither kube-scheduler nor kube-controller-manager: either can
 * be the target. The kubelet restarts a crashed container and never evicts a critical pod, and the tolerations keep the
 * pod on a NotReady node. A Deployment would also survive the loss of the node, but only while both of those work.
 *
 * The pod does not need the host's network: it calls the API server by IP address, without kube-proxy or DNS.
 */
function podManifest(
  settings: DeadManSettings,
  { node: nodeName, pods }: Pick<DeadManParts, "node" | "pods">,
): DeadManManifest {
  const name = deadManName(settings.runId);
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: metadataOf(settings.runId, PROBER_NAMESPACE),
    spec: {
      nodeName,
      priorityClassName: "system-cluster-critical",
      serviceAccountName: name,
      automountServiceAccountToken: true,
      restartPolicy: "Always",
      terminationGracePeriodSeconds: 5,
      enableServiceLinks: false,
      tolerations: ["not-ready", "unreachable"].map((state) => ({
        key: `node.kubernetes.io/${state}`,
        operator: "Exists",
        effect: "NoExecute",
      })),
      ...pulledWith(pods.pullSecrets),
      // On some clusters only this group can read the token's file.
      securityContext: { ...podSecurity(NOBODY), fsGroup: NOBODY },
      containers: [
        {
          name: "dead-man",
          image: pods.image,
          imagePullPolicy: "IfNotPresent",
          command: ["node", `/program/${PROGRAM_FILE}`],
          env: Object.entries(environmentOf(settings)).map(([key, value]) => ({ name: key, value })),
          ports: [{ containerPort: DEAD_MAN_PORT }],
          readinessProbe: { httpGet: { path: "/readyz", port: DEAD_MAN_PORT }, periodSeconds: 2 },
          resources: {
            requests: { cpu: "10m", memory: "64Mi" },
            limits: { memory: "256Mi" },
          },
          securityContext: { ...CONTAINER_SECURITY, readOnlyRootFilesystem: true },
          volumeMounts: [{ name: "program", mountPath: "/program", readOnly: true }],
        },
      ],
      volumes: [{ name: "program", configMap: { name } }],
    },
  };
}

/** The same pod for a cluster that allows critical pods only in kube-system (GKE has such a quota). Pure. */
export function withoutPriority(manifest: DeadManManifest): DeadManManifest {
  const spec: Record<string, unknown> = { ...(manifest["spec"] as Record<string, unknown>) };
  delete spec["priorityClassName"];
  return { ...manifest, spec };
}

/**
 * The node for the switch: a schedulable one that is not attacked and, if possible, does not run the target. Pure.
 *
 * @param attacked nodes that are attacked. @param targets nodes on which the target runs.
 * @returns undefined when no node is schedulable.
 */
export function chooseNode(
  nodes: readonly Node[],
  attacked: readonly string[],
  targets: readonly string[],
): string | undefined {
  const names = schedulableNodes(nodes).map(({ metadata }) => metadata.name);
  const safe = names.filter((name) => !attacked.includes(name));
  return safe.find((name) => !targets.includes(name)) ?? safe[0] ?? names[0];
}
