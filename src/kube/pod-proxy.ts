/**
 * Talks to a pod through the API server, which connects to the pod's IP itself: on kind and kubeadm the path does not
 * use kubelet, kube-proxy or DNS. The URL is built here because the generated client encodes the slashes of the path.
 */
import type { ApiRequest, ApiResponse, Transport } from "./transport.js";

/** A port of a pod. */
export interface PodPort {
  readonly namespace: string;
  readonly pod: string;
  readonly port: number;
}

/** `path` is the path inside the pod, already percent-encoded. Its slashes, also a trailing one, are kept. */
export function podProxyPath(namespace: string, pod: string, port: number, path: string): string {
  const target = `${encodeURIComponent(pod)}:${port}`;
  const rest = path.startsWith("/") ? path : `/${path}`;
  return `/api/v1/namespaces/${encodeURIComponent(namespace)}/pods/${target}/proxy${rest}`;
}

/** The pod's port and the path inside the pod of a path of {@link podProxyPath}; undefined: it is another path. Pure. */
export function placeOf(path: string): (PodPort & { readonly path: string }) | undefined {
  const [, namespace, pod, port, rest] =
    /^\/api\/v1\/namespaces\/([^/]+)\/pods\/([^/:]+):(\d+)\/proxy(\/.*)$/.exec(path) ?? [];
  if (namespace === undefined || pod === undefined || rest === undefined) return undefined;
  return {
    namespace: decodeURIComponent(namespace),
    pod: decodeURIComponent(pod),
    port: Number(port),
    path: rest,
  };
}

export interface PodProxyRequest
  extends PodPort, Pick<ApiRequest, "body" | "contentType" | "query" | "signal"> {
  readonly path: string;
  /** Default GET. */
  readonly method?: ApiRequest["method"];
  /** The whole exchange, ms. Default 10 000. */
  readonly timeoutMs?: number;
  /** Default false: a 503 may be the pod's own answer, and only the caller knows when to ask again. */
  readonly retry?: boolean;
}

/**
 * The pod's answer, or the API server's own (404: no such pod; 502, 503: it could not reach the pod).
 * Rejects with ApiUnreachableError when there is no answer.
 */
export async function podProxy(transport: Transport, request: PodProxyRequest): Promise<ApiResponse> {
  const { namespace, pod, port, path, method = "GET", retry = false, ...rest } = request;
  return await transport.request({
    ...rest,
    method,
    retry,
    path: podProxyPath(namespace, pod, port, path),
  });
}
