import { shortHash } from "../common/hash.js";
import { podProgram } from "../common/pod-program.js";
import {
  type Manifest,
  MANAGED_BY,
  MANAGED_BY_LABEL,
  namespaceManifest,
  workloadManifest,
} from "../own/manifest.js";
import { PROBER_NAMESPACE } from "../own/own-names.js";
import { CONTAINER_SECURITY, NODE_USER, type PodSource, podSecurity, pulledWith } from "../own/pod-spec.js";

export const PROBER_LABELS = { app: "chaos-prober" } as const;

export const PROBER_PORT = 8080;

/** Namespace, agent (as a ConfigMap) and one prober on every schedulable node. */
export async function proberManifests({ image, pullSecrets }: PodSource): Promise<Manifest[]> {
  const name = "chaos-prober";
  const program = await podProgram("agent.mjs");
  return [
    namespaceManifest(PROBER_NAMESPACE),
    {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name, namespace: PROBER_NAMESPACE, labels: { [MANAGED_BY_LABEL]: MANAGED_BY } },
      data: { "agent.mjs": program },
    },
    workloadManifest({
      kind: "DaemonSet",
      namespace: PROBER_NAMESPACE,
      name,
      labels: PROBER_LABELS,
      podSpec: {
        ...pulledWith(pullSecrets),
        securityContext: podSecurity(NODE_USER),
        containers: [
          {
            name: "prober",
            image,
            imagePullPolicy: "IfNotPresent",
            command: ["node", "/agent/agent.mjs"],
            env: [
              { name: "NODE_NAME", valueFrom: { fieldRef: { fieldPath: "spec.nodeName" } } },
              { name: "PORT", value: String(PROBER_PORT) },
              { name: "DATA_DIR", value: "/data" },
              // Another program means other pods: a running one would keep the program that it has loaded.
              { name: "AGENT", value: shortHash(program) },
            ],
            // Without a request a pod is the last one on a busy node that gets a CPU, and measures its own delay.
            resources: { requests: { cpu: "100m" } },
            ports: [{ containerPort: PROBER_PORT }],
            readinessProbe: { httpGet: { path: "/healthz", port: PROBER_PORT }, periodSeconds: 1 },
            securityContext: CONTAINER_SECURITY,
            volumeMounts: [
              { name: "agent", mountPath: "/agent", readOnly: true },
              { name: "data", mountPath: "/data" },
            ],
          },
        ],
        volumes: [
          { name: "agent", configMap: { name } },
          { name: "data", emptyDir: { sizeLimit: "512Mi" } },
        ],
      },
    }),
  ];
}
