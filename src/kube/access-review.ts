import { create } from "./api.js";
import type { Transport } from "./transport.js";
import type { Permission } from "./permission.js";

interface AccessReview {
  readonly status?: { readonly allowed?: boolean; readonly reason?: string };
}

/** What a SelfSubjectAccessReview is asked about. */
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

/** Asks the API server for each right, several at a time; returns those that are missing, in the order given. */
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
  // A few at once: enough to be quick, not so many that a priority level would refuse them.
  const queue = [...permissions];
  const worker = async (): Promise<void> => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) await ask(next);
  };
  await Promise.all(Array.from({ length: 8 }, worker));
  return permissions.filter((permission) => missing.has(permission));
}
