/** "Deployment kube-system/coredns", "Node worker-1". */
export function objectName(object: {
  readonly kind?: string | undefined;
  readonly namespace?: string | undefined;
  readonly name: string;
}): string {
  const { kind = "object", namespace = "", name } = object;
  return `${kind} ${namespace === "" ? "" : `${namespace}/`}${name}`;
}
