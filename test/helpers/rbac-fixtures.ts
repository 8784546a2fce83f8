/** RBAC as the API server's authorizer applies it, from the YAML that `chaos rbac` prints, also for the fake server. */
import { parseAllDocuments } from "yaml";
import { describePermission, type Permission } from "../../src/kube/permission.js";
import { type FakeApiServer, type LoggedRequest, status } from "./fake-api-server.js";

export interface Manifest {
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
  };
  readonly rules?: PolicyRule[];
  readonly roleRef?: { readonly kind: string; readonly name: string };
  readonly subjects?: readonly { readonly kind: string; readonly name: string; readonly namespace: string }[];
}

export interface PolicyRule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly resourceNames?: readonly string[];
  verbs: string[];
}

export function manifestsOf(text: string): Manifest[] {
  return parseAllDocuments(text).map((document) => {
    if (document.errors.length > 0) throw document.errors[0] ?? new Error("invalid YAML");
    return document.toJS() as Manifest;
  });
}

/** The rights that one verb of a rule gives, as preflight prints them. */
export function rightsOf(rule: PolicyRule, verb: string, namespace: string | undefined): string[] {
  const [group = ""] = rule.apiGroups;
  return rule.resources.flatMap((each) => {
    const [resource = "", subresource] = each.split("/");
    const what = {
      verb,
      group,
      resource,
      ...(subresource === undefined ? {} : { subresource }),
      ...(namespace === undefined ? {} : { namespace }),
    };
    return rule.resourceNames === undefined
      ? [describePermission(what)]
      : rule.resourceNames.map((name) => describePermission({ ...what, name }));
  });
}

/**
 * The Roles grant what a run uses only where things go wrong, for the environment in its report, or to try whether pods
 * could come back; preflight does not ask for it.
 */
const OPTIONAL = [
  /^(list events|(get|create) pods\/portforward) in /,
  /^get configmaps kube-proxy(-config)? in kube-system$/,
  /^get discovery\.k8s\.io\/endpointslices kubernetes in default$/,
  /^create pods in kube-system$/,
];
export const isOptionalRight = (right: string): boolean => OPTIONAL.some((each) => each.test(right));

/** Rules for the only ServiceAccount in a namespace (undefined: for cluster-wide objects). */
function rulesIn(manifests: readonly Manifest[], namespace: string | undefined): PolicyRule[] {
  const account = manifests.find(({ kind }) => kind === "ServiceAccount")?.metadata;
  const bound = manifests.filter(
    ({ kind, metadata, subjects }) =>
      (kind === "ClusterRoleBinding" || (kind === "RoleBinding" && metadata.namespace === namespace)) &&
      subjects?.some((each) => each.name === account?.name && each.namespace === account.namespace) === true,
  );
  return bound.flatMap(
    ({ roleRef, metadata }) =>
      manifests.find(
        (role) =>
          role.kind === roleRef?.kind &&
          role.metadata.name === roleRef.name &&
          role.metadata.namespace === metadata.namespace,
      )?.rules ?? [],
  );
}

/** As RuleAllows of k8s.io/component-helpers: a rule with resourceNames allows nothing without a name. */
export function allows(manifests: readonly Manifest[], permission: Permission): boolean {
  const { verb, group, resource, subresource, namespace, name } = permission;
  const what = subresource === undefined ? resource : `${resource}/${subresource}`;
  return rulesIn(manifests, namespace).some(
    (rule) =>
      rule.verbs.includes(verb) &&
      rule.apiGroups.includes(group) &&
      rule.resources.includes(what) &&
      (rule.resourceNames === undefined || (name !== undefined && rule.resourceNames.includes(name))),
  );
}

/** The right that a request needs. */
export function permissionOf({ method, path, watch }: LoggedRequest): Permission {
  const match =
    /^\/(?:api|apis\/(?<group>[^/]+))\/[^/]+(?:\/namespaces\/(?<namespace>[^/]+)(?=\/))?\/(?<resource>[^/]+)(?:\/(?<name>[^/]+))?(?:\/(?<subresource>[^/]+))?/.exec(
      path,
    )?.groups;
  const { group = "", resource = "", namespace, name, subresource } = match ?? {};
  const verbs: Record<string, string> = { POST: "create", PUT: "update", PATCH: "patch", DELETE: "delete" };
  const verb = verbs[method] ?? (watch ? "watch" : name === undefined ? "list" : "get");
  return {
    verb,
    group,
    resource,
    ...(namespace === undefined ? {} : { namespace }),
    ...(name === undefined ? {} : { name }),
    ...(subresource === undefined ? {} : { subresource }),
  };
}

/** Makes the server treat every client as the ServiceAccount with these Roles alone. */
export function enforce(server: FakeApiServer, manifests: readonly Manifest[]): void {
  for (const method of ["GET", "POST", "PUT", "PATCH", "DELETE"]) {
    // Everyone may read the versions of a group (system:discovery).
    server.handle(method, /^\/(api|apis\/[^/]+)\/./, (request) => {
      if (request.path.endsWith("/selfsubjectaccessreviews")) {
        const { spec } = request.body as { spec: { resourceAttributes: Permission } };
        return { status: 201, body: { status: { allowed: allows(manifests, spec.resourceAttributes) } } };
      }
      const { verb, resource, ...rest } = permissionOf(request);
      if (allows(manifests, { verb, resource, ...rest })) return undefined;
      return status(403, "Forbidden", `cannot ${verb} ${resource}`);
    });
  }
}
