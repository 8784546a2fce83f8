/** The way from the pod to the API server: by its address, with the pod's own ServiceAccount. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import {
  type ApiRequest,
  ApiUnreachableError,
  createTransport,
  type Transport,
} from "../../kube/transport.js";
import type { DeadManSettings } from "./settings.js";

/** Where a kubelet puts them. */
const ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount";
/**
 * Every API server's certificate has this name, whatever addresses it has (kubeadm's certs phase, client-go's own
 * default): checked, never looked up.
 */
const CERTIFICATE_NAME = "kubernetes.default.svc";

/**
 * One transport for each API server; the next one when the one before does not answer. The token is read again when it
 * is refused: kubelets replace it.
 *
 * @throws Error when there is no ServiceAccount.
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

/** A transport over several: a request is sent by one of them; the next request by the next, if that got no answer. */
export function inTurn(transports: readonly Transport[]): Transport {
  let at = 0;
  const send = async <T>(by: (transport: Transport) => Promise<T>): Promise<T> => {
    const chosen = at;
    const transport = transports[chosen];
    if (transport === undefined) throw new Error("no address of an API server is known");
    try {
      return await by(transport);
    } catch (error) {
      // Not sent again here: only whoever asked knows whether that may be done twice.
      if (error instanceof ApiUnreachableError && !error.aborted && at === chosen)
        at = (chosen + 1) % transports.length;
      throw error;
    }
  };
  return {
    request: async (request: ApiRequest) => await send(async (each) => await each.request(request)),
    json: async <T>(request: ApiRequest) => await send(async (each) => await each.json<T>(request)),
    stream: async (request: ApiRequest) => await send(async (each) => await each.stream(request)),
    warm: async (sockets: number) => await send(async (each) => await each.warm(sockets)),
    get requestCounts() {
      return transports[at]?.requestCounts ?? {};
    },
    close: () => transports.forEach((each) => each.close()),
  };
}
