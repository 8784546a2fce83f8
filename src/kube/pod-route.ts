/**
 * How requests reach pods. Normally through the API server's pod proxy, which connects to the pod's IP. Where the API
 * server cannot reach the pods' network (an overlay network that the control plane is not part of, a firewall between
 * a managed control plane and the nodes, a konnectivity agent that is down), through a port-forward of the kubelet.
 */
import { type Clock, pollUntil } from "../common/clock.js";
import { ChaosError, messageOf } from "../common/errors.js";
import { type PodPort, placeOf, podProxyPath } from "./pod-proxy.js";
import { forwardedRequest } from "./port-forward.js";
import { jsonOf, pathOf } from "./transport.js";
import type { ApiRequest, ApiResponse, Transport } from "./transport.js";

type Way = "pod proxy" | "port-forward";

/** A transport whose requests to pods go the chosen way. Every other request is passed on. */
export interface RoutedTransport extends Transport {
  way: Way;
}

export function routedTransport(transport: Transport): RoutedTransport {
  const request = async (asked: ApiRequest): Promise<ApiResponse> => {
    const place = routed.way === "port-forward" ? placeOf(asked.path) : undefined;
    if (place === undefined) return await transport.request(asked);
    const path = pathOf({ ...asked, path: place.path });
    return await forwardedRequest(transport, place, { ...asked, path });
  };
  const routed: RoutedTransport = {
    way: "pod proxy",
    request,
    json: async <T>(asked: ApiRequest) => jsonOf<T>(asked, await request(asked)),
    stream: async (asked) => await transport.stream(asked),
    webSocket: async (asked, protocol) => await transport.webSocket(asked, protocol),
    warm: async (sockets) => await transport.warm(sockets),
    requestCounts: transport.requestCounts,
    close: () => transport.close(),
  };
  return routed;
}

/** How long the pod proxy may fail before the other way is tried, ms: a network may be set up a moment after its pod. */
const PROXY_LIMIT_MS = 8_000;
const AGAIN_AFTER_MS = 1_000;
const ASK_TIMEOUT_MS = 3_000;

/**
 * Chooses the way to pods that are ready, before anything is measured: a run does not change it later, because the
 * kubelet may be what is attacked. Each pod must answer its `/healthz`.
 *
 * @returns why the pod proxy is not used; undefined: it is used.
 * @throws ChaosError when neither way leads to every pod.
 */
export async function chooseWay(
  transport: RoutedTransport,
  pods: readonly PodPort[],
  { clock, signal }: { readonly clock: Clock; readonly signal: AbortSignal },
): Promise<string | undefined> {
  transport.way = "pod proxy";
  let proxy: string | undefined;
  const poll = { everyMs: AGAIN_AFTER_MS, limitMs: PROXY_LIMIT_MS, signal };
  const reached = await pollUntil(clock, poll, async () => {
    proxy = await firstProblem(transport, pods, signal);
    return proxy === undefined ? true : undefined;
  });
  if (reached === true || signal.aborted) return undefined;
  transport.way = "port-forward";
  const forward = await firstProblem(transport, pods, signal);
  if (forward === undefined) return proxy;
  transport.way = "pod proxy";
  throw new ChaosError(
    `cannot reach the run's own pods, although they are ready: through the API server's pod proxy, ${proxy}; through ` +
      `the kubelet's port-forward, ${forward}. Open the way from the API server to the pods (port ${pods[0]?.port}) ` +
      "or to the kubelets (port 10250), and grant get and create on pods/portforward (`chaos rbac` prints the Roles)",
  );
}

/** Why one of the pods does not answer; undefined: all do. */
async function firstProblem(
  transport: Transport,
  pods: readonly PodPort[],
  signal: AbortSignal,
): Promise<string | undefined> {
  const problems = await Promise.all(
    pods.map(async ({ namespace, pod, port }) => {
      const path = podProxyPath(namespace, pod, port, "/healthz");
      try {
        const asked = { method: "GET", path, timeoutMs: ASK_TIMEOUT_MS, retry: false, signal } as const;
        const { status, body } = await transport.request(asked);
        return status === 200
          ? undefined
          : `${pod} answers HTTP ${status} ${body.toString("utf8", 0, 200).trim()}`.trim();
      } catch (error) {
        return `${pod} does not answer: ${messageOf(error)}`;
      }
    }),
  );
  return problems.find((problem) => problem !== undefined);
}
