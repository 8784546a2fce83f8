import { create } from "./api.js";
import type { Transport } from "./transport.js";
import type { Permission } from "./permission.js";

interface AccessReview {
  readonly status?: { readonly allowed?: boolean; readonly reason?: string };
}

/** The resourceAttributes of a SelfSubjectAccessReview. */
function attributesOf({ verb, group, resource, subresource, namespace, name }: Permission): Permission {
  return {
    verb,
    group,
    resource,
    ...(subresource === undefined ? {} : { subresource }),
    ...(namespace === undefined ? {} : { namespace }),
    ...(name === undefined ? {} : { name }),
  };
}

/** Asks the API server about each right, several at a time. Returns the missing ones, in the given order. */
export async function missingPermissions<P extends Permission>(
  transport: Transport,
  permissions: readonly P[],
): Promise<P[]> {
  const missing = new Set<P>();
  const ask = async (permission: P): Promise<void> => {
    const review = await create<AccessReview>(
      transport,
      "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
      {
        apiVersion: "authorization.k8s.io/v1",
        kind: "SelfSubjectAccessReview",
        spec: { resourceAttributes: attributesOf(permission) },
      },
    );
    if (review.status?.allowed !== true) missing.add(permission);
  };
  // Eight at once: fast, but below the limits of API priority and fairness.
  const queue = [...permissions];
  const worker = async (): Promise<void> => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) await ask(next);
  };
  await Promise.all(Array.from({ length: 8 }, worker));
  return permissions.filter((permission) => missing.has(permission));
}
