/**
 * Reaches a node through this tool's privileged pod on it (agent/node-agent.ts) and the API server's pod proxy. The
 * path needs the API server, but not the kubelet.
 */
import { getOrUndefined, list, PODS, resourcePath, SECRETS, selectorString } from "../kube/api.js";
import type { Pod, Secret } from "../kube/objects.js";
import { podProxy } from "../kube/pod-proxy.js";
import type { ApiResponse, Transport } from "../kube/transport.js";
import { NODE_ACCESS_NAMESPACE } from "../own/own-names.js";
import type { NodeAccess } from "./spec.js";

export const NODE_ACCESS_NAME = "chaos-node-access";

export const NODE_ACCESS_LABELS = { app: NODE_ACCESS_NAME } as const;

export const NODE_ACCESS_PORT = 8081;

/** Key of the token in its Secret. */
export const TOKEN_KEY = "token";

/** Extra time for the agent's answer after it has killed a command that took too long, ms. */
const ANSWER_SLACK_MS = 2_000;

/** The agent's answer. */
interface Answer {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** Why the agent killed the command: time limit, or too much output. */
  readonly ended?: string;
}

/** Access through the deployed pods. Looks up pods and token on first use. */
export function podAccess(transport: Transport): NodeAccess {
  let token: string | undefined;
  let pods: ReadonlyMap<string, string> | undefined;
  const ask = async (node: string, argv: readonly string[], timeoutMs: number): Promise<ApiResponse> => {
    token ??= await readToken(transport);
    pods ??= await findNodeAccessPods(transport);
    const pod = pods.get(node);
    if (pod === undefined) throw new Error(`no ${NODE_ACCESS_NAME} pod runs on ${node}`);
    return await podProxy(transport, {
      namespace: NODE_ACCESS_NAMESPACE,
      pod,
      port: NODE_ACCESS_PORT,
      method: "POST",
      path: "/exec",
      // The token is in the body: the API server strips an Authorization header before it forwards a request, and a
      // query would be in its audit log.
      body: { token, argv, timeoutMs },
      timeoutMs: timeoutMs + ANSWER_SLACK_MS,
    });
  };
  return {
    how: "a privileged pod on the node",
    spec: { type: "pod" },
    exec: async (node, argv, timeoutMs) => {
      let answer = await ask(node, argv, timeoutMs);
      if (answer.status === 401 || answer.status === 404) {
        // Token or pod was recreated since the look-up. In both cases the command did not run.
        token = undefined;
        pods = undefined;
        answer = await ask(node, argv, timeoutMs);
      }
      return outputOf(node, answer);
    },
  };
}

async function readToken(transport: Transport): Promise<string> {
  const path = resourcePath(SECRETS, NODE_ACCESS_NAMESPACE, NODE_ACCESS_NAME);
  const secret = await getOrUndefined<Secret>(transport, path);
  const data = secret?.data?.[TOKEN_KEY];
  if (data === undefined)
    throw new Error(`Secret ${NODE_ACCESS_NAMESPACE}/${NODE_ACCESS_NAME} does not exist or has no token`);
  return Buffer.from(data, "base64").toString("utf8");
}

/** The privileged pods by node. */
export async function findNodeAccessPods(transport: Transport): Promise<ReadonlyMap<string, string>> {
  const { items } = await list<Pod>(transport, resourcePath(PODS, NODE_ACCESS_NAMESPACE), {
    labelSelector: selectorString(NODE_ACCESS_LABELS),
  });
  return new Map(
    items
      .filter((pod) => pod.metadata.deletionTimestamp === undefined && pod.status?.podIP !== undefined)
      .map((pod) => [pod.spec?.nodeName ?? "", pod.metadata.name]),
  );
}

function outputOf(node: string, answer: ApiResponse): string {
  const where = `the privileged pod on ${node}`;
  if (answer.status !== 200) {
    throw new Error(`${where}: HTTP ${answer.status} ${answer.body.toString("utf8").slice(0, 200)}`);
  }
  const { code, stdout, stderr, ended } = JSON.parse(answer.body.toString("utf8")) as Answer;
  if (ended !== undefined) throw new Error(`${where}: ${ended}`);
  if (code !== 0) {
    const said = stderr.trim().split("\n").slice(-3).join(" ").slice(0, 300);
    throw new Error(`${where}: exit code ${code ?? "unknown"}${said === "" ? "" : `: ${said}`}`);
  }
  // Without the last line feed, as the other ways of access return it.
  return stdout.replace(/\n$/, "");
}
