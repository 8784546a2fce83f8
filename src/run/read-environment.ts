import { messageOf } from "../common/errors.js";
import type { Environment } from "../evidence/facts.js";
import { CONFIGMAPS, ENDPOINT_SLICES, getOrUndefined, list, PODS, resourcePath } from "../kube/api.js";
import type { ConfigMap, EndpointSlice, Node, Pod } from "../kube/objects.js";
import { ApiError, type Transport } from "../kube/transport.js";
import { environmentOf, hasNoApiServer, proxyConfigOf } from "../targets/environment.js";

const NAMESPACE = "kube-system";

/**
 * Reads what tells the environment apart, in at most three requests. A missing right or an answer that is an error makes a
 * part of it unknown.
 *
 * @throws ApiUnreachableError when the API server does not answer.
 */
export async function readEnvironment(
  transport: Transport,
  { version, nodes }: { readonly version: string; readonly nodes: readonly Node[] },
): Promise<Environment> {
  const notRead: string[] = [];
  const optional = async <T>(what: string, read: Promise<T>): Promise<T | undefined> => {
    try {
      return await read;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      notRead.push(`${what}: ${messageOf(error)}`);
      return undefined;
    }
  };
  const pods = await optional(
    `the pods of ${NAMESPACE}`,
    list<Pod>(transport, resourcePath(PODS, NAMESPACE)).then(({ items }) => items),
  );
  const config = proxyConfigOf(pods ?? []);
  const [proxyConfig, apiServers] = await Promise.all([
    config === undefined
      ? null
      : optional(
          `the ConfigMap ${config}`,
          getOrUndefined<ConfigMap>(transport, resourcePath(CONFIGMAPS, NAMESPACE, config)).then(
            (found) => found ?? null,
          ),
        ),
    hasNoApiServer(pods)
      ? optional(
          "the addresses of the API servers",
          getOrUndefined<EndpointSlice>(
            transport,
            resourcePath(ENDPOINT_SLICES, "default", "kubernetes"),
          ).then((found) => found ?? null),
        )
      : null,
  ]);
  return environmentOf({ version, nodes, pods, proxyConfig, apiServers }, notRead);
}
