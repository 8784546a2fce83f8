/** What a dead-man's switch is made of. Everything carries the run's label, so that only that run's is ever removed. */
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
import { PROBER_IMAGE, PROBER_NAMESPACE } from "../../own/own-names.js";
import { DEAD_MAN_LABELS } from "../restore/order.js";
import { DEAD_MAN_PORT, deadManName, type DeadManSettings, environmentOf, PROGRAM_FILE } from "./settings.js";

/** A ConfigMap may have 1 MiB (Kubernetes' MaxConfigMapSize), its other keys and names included. */
export const MAX_PROGRAM_BYTES = 900_000;

const RBAC_GROUP = "rbac.authorization.k8s.io";

interface OwnerReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
}

/** An object of the switch. */
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

/** An object to be made, and where. */
export interface DeadManObject {
  readonly gvr: Gvr;
  readonly manifest: DeadManManifest;
}

export interface DeadManParts {
  readonly settings: Omit<DeadManSettings, "rights">;
  readonly rights: readonly Need[];
  /** Text of dist/dead-man.mjs. */
  readonly program: string;
  /** Of the probers' namespace, in which the switch is. */
  readonly namespaceUid: string;
  /** Namespaces that are there: in the others there can be no Role, and what is made in them goes unswept. */
  readonly namespaces: readonly string[];
  readonly node: string;
}

/** URL path of an object, and of its collection. */
export function pathsOf({ gvr, manifest }: DeadManObject): {
  readonly path: string;
  readonly collection: string;
} {
  const { namespace, name } = manifest.metadata;
  return { path: resourcePath(gvr, namespace, name), collection: resourcePath(gvr, namespace) };
}

/** By which an object of the switch of a run is known. */
export function labelsOf(runId: string): Readonly<Record<string, string>> {
  return { ...DEAD_MAN_LABELS, [MANAGED_BY_LABEL]: MANAGED_BY, [RUN_LABEL]: runId };
}

/** All of its objects, in the order in which they are made; the pod last. Pure. */
export function deadManObjects(parts: DeadManParts): readonly DeadManObject[] {
  const { settings, program } = parts;
  const metadata = metadataOf(settings.runId, PROBER_NAMESPACE);
  const granted = grantable(parts);
  return [
    { gvr: SERVICE_ACCOUNTS, manifest: { apiVersion: "v1", kind: "ServiceAccount", metadata } },
    {
      gvr: CONFIGMAPS,
      manifest: { apiVersion: "v1", kind: "ConfigMap", metadata, data: { [PROGRAM_FILE]: program } },
    },
    ...rolesOf(granted).flatMap((rules) => roleObjects(parts, rules)),
    { gvr: PODS, manifest: podManifest({ ...settings, rights: granted.map(withoutWhy) }, parts.node) },
  ];
}

/** Rights that a Role can be made for. */
function grantable({ rights, namespaces }: DeadManParts): readonly Need[] {
  return rights.filter(({ namespace }) => namespace === undefined || namespaces.includes(namespace));
}

/** As the program is told: it has no use for what a right is for. */
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
    // What is outside the namespace goes with it all the same: the garbage collector removes it. So the switch can take
    // itself away in one request, and need not be allowed to touch a Role.
    ...(namespace === PROBER_NAMESPACE
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
 * The pod: a bare one, bound to its node by name, so that neither kube-scheduler nor kube-controller-manager is in the
 * way of it, whichever is the victim. Its kubelet starts a crashed container again; kubelets evict no critical pod, and
 * the tolerations keep it where its node is NotReady. A Deployment would survive the loss of the node, too, but only
 * with both of those at work.
 *
 * Not in the host's network: the API server is called by its address, for which neither kube-proxy nor DNS is needed.
 */
function podManifest(settings: DeadManSettings, nodeName: string): DeadManManifest {
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
      securityContext: {
        runAsNonRoot: true,
        runAsUser: 65534,
        runAsGroup: 65534,
        // The token's file is readable for this group where it is not for everybody.
        fsGroup: 65534,
        seccompProfile: { type: "RuntimeDefault" },
      },
      containers: [
        {
          name: "dead-man",
          image: PROBER_IMAGE,
          imagePullPolicy: "IfNotPresent",
          command: ["node", `/program/${PROGRAM_FILE}`],
          env: Object.entries(environmentOf(settings)).map(([key, value]) => ({ name: key, value })),
          ports: [{ containerPort: DEAD_MAN_PORT }],
          readinessProbe: { httpGet: { path: "/readyz", port: DEAD_MAN_PORT }, periodSeconds: 2 },
          resources: {
            requests: { cpu: "10m", memory: "64Mi" },
            limits: { memory: "256Mi" },
          },
          securityContext: {
            allowPrivilegeEscalation: false,
            readOnlyRootFilesystem: true,
            capabilities: { drop: ["ALL"] },
          },
          volumeMounts: [{ name: "program", mountPath: "/program", readOnly: true }],
        },
      ],
      volumes: [{ name: "program", configMap: { name } }],
    },
  };
}

/** The same pod for a cluster that allows critical ones in kube-system only (GKE does so by a quota). Pure. */
export function withoutPriority(manifest: DeadManManifest): DeadManManifest {
  const spec: Record<string, unknown> = { ...(manifest["spec"] as Record<string, unknown>) };
  delete spec["priorityClassName"];
  return { ...manifest, spec };
}

/**
 * The node for the switch: one that takes pods, not attacked, and, where there is a choice, not the target's. Pure.
 *
 * @param attacked nodes that are attacked. @param targets nodes on which the target runs.
 * @returns undefined when no node takes pods at all.
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
