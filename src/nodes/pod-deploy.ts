/** The privileged pods that reach nodes where there is no other way: their manifests and deployment. */
import { randomBytes } from "node:crypto";
import type { Clock } from "../common/clock.js";
import { pollUntil } from "../common/clock.js";
import { ChaosError, RefusedError } from "../common/errors.js";
import { podProgram } from "../common/pod-program.js";
import { create, DAEMONSETS, get, getOrUndefined, resourcePath, SECRETS } from "../kube/api.js";
import type { DaemonSet, KubeObject } from "../kube/objects.js";
import { ApiError, type Transport } from "../kube/transport.js";
import { daemonSetState } from "../kube/workload-state.js";
import { ensure, makeNamespace } from "../own/ensure.js";
import {
  isOwn,
  MANAGED_BY,
  MANAGED_BY_LABEL,
  namespaceManifest,
  workloadManifest,
  type Manifest,
} from "../own/manifest.js";
import { NODE_ACCESS_NAMESPACE } from "../own/own-names.js";
import { type PodSource, pulledWith } from "../own/pod-spec.js";
import { copyPullSecrets } from "../own/pull-secrets.js";
import { StartWatch } from "../own/start.js";
import { NODE_ACCESS_LABELS, NODE_ACCESS_NAME, NODE_ACCESS_PORT, TOKEN_KEY } from "./pod-access.js";

/** Time limit until all pods are ready, ms. */
const READY_LIMIT_MS = 120_000;

/** The same while their image is being pulled and nothing fails, ms. */
const PULL_LIMIT_MS = 15 * 60_000;

/**
 * Namespace, agent (as a ConfigMap) and one privileged pod on every node. The token's Secret is created separately.
 *
 * @param leftOut nodes without a pod: one there would never become ready, and block the removal of its namespace.
 */
export async function nodeAccessManifests(
  { image, pullSecrets }: PodSource,
  leftOut: readonly string[] = [],
): Promise<Manifest[]> {
  const name = NODE_ACCESS_NAME;
  const namespace = NODE_ACCESS_NAMESPACE;
  return [
    namespaceManifest(namespace, "privileged"),
    {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name, namespace, labels: { [MANAGED_BY_LABEL]: MANAGED_BY } },
      data: { "node-agent.mjs": await podProgram("node-agent.mjs") },
    },
    workloadManifest({
      kind: "DaemonSet",
      namespace,
      name,
      labels: NODE_ACCESS_LABELS,
      podSpec: {
        ...pulledWith(pullSecrets),
        hostPID: true,
        // On every node, also while an attacked node is NotReady.
        tolerations: [{ operator: "Exists" }],
        ...(leftOut.length === 0 ? {} : { affinity: notOn(leftOut) }),
        containers: [
          {
            name: "node-agent",
            image,
            imagePullPolicy: "IfNotPresent",
            command: ["node", "/agent/node-agent.mjs"],
            env: [{ name: "PORT", value: String(NODE_ACCESS_PORT) }],
            ports: [{ containerPort: NODE_ACCESS_PORT }],
            readinessProbe: { httpGet: { path: "/healthz", port: NODE_ACCESS_PORT }, periodSeconds: 1 },
            securityContext: { privileged: true },
            volumeMounts: [
              { name: "agent", mountPath: "/agent", readOnly: true },
              { name: "token", mountPath: "/token", readOnly: true },
            ],
          },
        ],
        volumes: [
          { name: "agent", configMap: { name } },
          { name: "token", secret: { secretName: name, defaultMode: 0o400 } },
        ],
      },
    }),
  ];
}

/** The affinity that keeps a pod off nodes. A field selector of a node takes one value per requirement. */
function notOn(nodes: readonly string[]): object {
  const matchFields = nodes.map((name) => ({ key: "metadata.name", operator: "NotIn", values: [name] }));
  return {
    nodeAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [{ matchFields }] },
    },
  };
}

/**
 * Deploys the privileged pods and waits until they are ready on every node. Own objects that exist are reused. Deleting
 * the namespace removes them.
 *
 * @throws RefusedError when a foreign object has one of the names, ChaosError when the pods do not become ready.
 */
export async function deployNodeAccess(
  transport: Transport,
  clock: Clock,
  pods: PodSource,
  { leftOut, signal }: { readonly leftOut?: readonly string[]; readonly signal?: AbortSignal } = {},
): Promise<void> {
  const [namespace, ...rest] = await nodeAccessManifests(pods, leftOut);
  if (namespace !== undefined) await makeNamespace(transport, clock, namespace);
  await copyPullSecrets(transport, NODE_ACCESS_NAMESPACE, pods.pullSecrets);
  // Before the pods: they mount it.
  await ensureToken(transport);
  for (const manifest of rest) await ensure(transport, manifest);
  const path = resourcePath(DAEMONSETS, NODE_ACCESS_NAMESPACE, NODE_ACCESS_NAME);
  let last = "";
  const failed = "cannot reach the nodes through privileged pods";
  const watch = new StartWatch({ transport, clock, failed }, rest);
  const startedAt = clock.now();
  const ready = await pollUntil(clock, { everyMs: 500, limitMs: PULL_LIMIT_MS, signal }, async () => {
    const { isSeen, ready, wanted } = daemonSetState(await get<DaemonSet>(transport, path));
    last = `${ready} of ${wanted} are ready`;
    if (isSeen && wanted > 0 && ready >= wanted) return true;
    await watch.look();
    if (clock.now() - startedAt >= READY_LIMIT_MS && !watch.pulls) return false;
    return undefined;
  });
  if (ready !== true && signal?.aborted !== true) {
    throw new ChaosError(
      `the privileged pods ${NODE_ACCESS_NAMESPACE}/${NODE_ACCESS_NAME} are not ready: ${[last, ...watch.reasons].join("; ")} after ` +
        `${READY_LIMIT_MS / 1000} s. See kubectl -n ${NODE_ACCESS_NAMESPACE} describe pod`,
    );
  }
}

/** Creates a Secret with a random token unless an own one exists. The token is never written anywhere else. */
async function ensureToken(transport: Transport): Promise<void> {
  const secret = {
    apiVersion: "v1",
    kind: "Secret",
    metadata: {
      name: NODE_ACCESS_NAME,
      namespace: NODE_ACCESS_NAMESPACE,
      labels: { [MANAGED_BY_LABEL]: MANAGED_BY },
    },
    type: "Opaque",
    data: {
      [TOKEN_KEY]: Buffer.from(randomBytes(32).toString("hex")).toString("base64"),
    },
  };
  try {
    await create(transport, resourcePath(SECRETS, NODE_ACCESS_NAMESPACE), secret);
  } catch (error) {
    if (!(error instanceof ApiError && error.status === 409)) throw error;
    const path = resourcePath(SECRETS, NODE_ACCESS_NAMESPACE, NODE_ACCESS_NAME);
    const live = await getOrUndefined<KubeObject>(transport, path);
    if (live !== undefined && !isOwn(live)) {
      throw new RefusedError(
        `Secret ${NODE_ACCESS_NAME} already exists and was not created by this tool. It is left unchanged. Delete it if it is not in use`,
      );
    }
  }
}
