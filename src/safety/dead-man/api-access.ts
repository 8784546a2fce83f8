/** How the pod reaches the API server: by IP address, with the pod's own ServiceAccount. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import {
  type ApiRequest,
  ApiUnreachableError,
  createTransport,
  type Transport,
} from "../../kube/transport.js";
import type { DeadManSettings } from "./settings.js";

/** Where the kubelet mounts the ServiceAccount. */
const ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount";
/**
 * Every API server's certificate has this name, whatever its addresses (kubeadm's certs phase, client-go's default). It
 * is only compared with the certificate, never resolved.
 */
const CERTIFICATE_NAME = "kubernetes.default.svc";

/**
 * One transport per API server; when one does not answer, the next one is used. A refused token is read again, because
 * kubelets replace tokens.
 *
 * @throws Error when the ServiceAccount is not mounted.
 */
export function inClusterTransport(
  { servers, userAgent }: Pick<DeadManSettings, "servers" | "userAgent">,
  folder = ACCOUNT,
): Transport {
  const ca = readFileSync(join(folder, "ca.crt"));
  let token: string | undefined;
  const transports = servers.map((server) =>
    createTransport({
      server,
      ca,
      servername: CERTIFICATE_NAME,
      userAgent,
      headers: async () => {
        token ??= readFileSync(join(folder, "token"), "utf8").trim();
        return await Promise.resolve({ Authorization: `Bearer ${token}` });
      },
      onUnauthorized: () => (token = undefined),
    }),
  );
  return inTurn(transports);
}

/** A transport over several: each request uses one of them; if it gets no answer, the next request uses the next one. */
export function inTurn(transports: readonly Transport[]): Transport {
  let at = 0;
  const send = async <T>(by: (transport: Transport) => Promise<T>): Promise<T> => {
    const chosen = at;
    const transport = transports[chosen];
    if (transport === undefined) throw new Error("no address of an API server is known");
    try {
      return await by(transport);
    } catch (error) {
      // Not retried here: only the caller knows whether the request may be sent twice.
      if (error instanceof ApiUnreachableError && !error.aborted && at === chosen)
        at = (chosen + 1) % transports.length;
      throw error;
    }
  };
  return {
    request: async (request: ApiRequest) => await send(async (each) => await each.request(request)),
    json: async <T>(request: ApiRequest) => await send(async (each) => await each.json<T>(request)),
    stream: async (request: ApiRequest) => await send(async (each) => await each.stream(request)),
    webSocket: async (request, protocol) =>
      await send(async (each) => await each.webSocket(request, protocol)),
    warm: async (sockets: number) => await send(async (each) => await each.warm(sockets)),
    get requestCounts() {
      return transports[at]?.requestCounts ?? {};
    },
    close: () => transports.forEach((each) => each.close()),
  };
}
