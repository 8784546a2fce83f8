/** One right that a run needs. The fields are those of a SelfSubjectAccessReview's ResourceAttributes. */
export interface Permission {
  readonly verb: string;
  /** "": the core group. */
  readonly group: string;
  readonly resource: string;
  readonly subresource?: string;
  /** undefined: cluster-scoped. */
  readonly namespace?: string;
  /** Only this object (resourceNames of a Role). undefined: any; list, watch and create have no name. */
  readonly name?: string;
}

/** A right and its purpose. */
export interface Need extends Permission {
  /** A phrase, for the comment in a Role. */
  readonly why: string;
  /** A run without it gives up something, and is not refused: the Roles grant it all the same. */
  readonly optional?: true;
}

/** Objects of one kind. */
export interface Objects {
  /** "apps/deployments", "pods", "metrics.k8s.io/nodes": with the group unless it is the core group. */
  readonly resource: string;
  readonly subresource?: string;
  readonly namespace?: string;
  /** Only these; an empty list: no right. Default: all. */
  readonly names?: readonly string[];
}

/** Rights to the same objects for the same purpose. Pure. */
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

/** The display name of a resource: "pods/proxy", "apps/deployments". */
export function resourceWords({ group, resource, subresource }: Permission): string {
  return `${group === "" ? "" : `${group}/`}${resource}${subresource === undefined ? "" : `/${subresource}`}`;
}

/** "delete apps/deployments kube-dns in kube-system". Two rights with the same description are equal. */
export function describePermission(permission: Permission): string {
  const { verb, namespace, name } = permission;
  const which = name === undefined ? "" : ` ${name}`;
  return `${verb} ${resourceWords(permission)}${which}${namespace === undefined ? "" : ` in ${namespace}`}`;
}
