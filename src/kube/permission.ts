/** One right that a run needs; the fields are those of a SelfSubjectAccessReview's ResourceAttributes. */
export interface Permission {
  readonly verb: string;
  /** "": the core. */
  readonly group: string;
  readonly resource: string;
  readonly subresource?: string;
  /** undefined: cluster-scoped. */
  readonly namespace?: string;
  /** This object only (resourceNames of a Role). undefined: any: what is listed, watched or created has no name yet. */
  readonly name?: string;
}

/** A right, and what it is for. */
export interface Need extends Permission {
  /** A phrase, for the comment in a Role. */
  readonly why: string;
}

/** Objects of one kind. */
export interface Objects {
  /** "apps/deployments", "pods/proxy", "metrics.k8s.io/nodes": the group where it is not the core, as they are said. */
  readonly resource: string;
  readonly subresource?: string;
  readonly namespace?: string;
  /** Only these; none at all: no right. Default: all. */
  readonly names?: readonly string[];
}

/** Rights to the same objects for the same end. Pure. */
export function rights(why: string, verbs: readonly string[], objects: Objects): Need[] {
  const { resource: qualified, subresource, namespace, names } = objects;
  const slash = qualified.indexOf("/");
  const what = {
    group: slash < 0 ? "" : qualified.slice(0, slash),
    resource: qualified.slice(slash + 1),
    ...(subresource === undefined ? {} : { subresource }),
    ...(namespace === undefined ? {} : { namespace }),
  };
  const each = names === undefined ? [{}] : names.map((name) => ({ name }));
  return verbs.flatMap((verb) => each.map((named) => ({ verb, ...what, ...named, why })));
}

/** "pods/proxy", "apps/deployments": how a resource is said. */
export function resourceWords({ group, resource, subresource }: Permission): string {
  return `${group === "" ? "" : `${group}/`}${resource}${subresource === undefined ? "" : `/${subresource}`}`;
}

/** "delete apps/deployments kube-dns in kube-system". Two rights are the same when this is. */
export function describePermission(permission: Permission): string {
  const { verb, namespace, name } = permission;
  const which = name === undefined ? "" : ` ${name}`;
  return `${verb} ${resourceWords(permission)}${which}${namespace === undefined ? "" : ` in ${namespace}`}`;
}
