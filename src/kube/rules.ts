/** Converts rights to the rules of Roles: merged where possible, in a stable order. Pure. */
import { describePermission, type Need, type Permission, resourceWords } from "./permission.js";

/** A PolicyRule and its purpose. */
export interface Rule {
  readonly apiGroup: string;
  readonly resources: readonly string[];
  /** undefined: all. */
  readonly names: readonly string[] | undefined;
  readonly verbs: readonly string[];
  readonly why: readonly string[];
}

/** The rules of one namespace, or of cluster-scoped objects (undefined). */
export interface RoleRules {
  readonly namespace: string | undefined;
  readonly rules: readonly Rule[];
}

const VERBS = ["get", "list", "watch", "create", "update", "patch", "delete"];

/** Cluster-scoped rules first, then one entry per namespace. */
export function rolesOf(needs: readonly Need[]): RoleRules[] {
  const namespaces = [...new Set(needs.flatMap(({ namespace }) => namespace ?? []))].sort();
  return [undefined, ...namespaces]
    .map((namespace) => ({
      namespace,
      rules: rulesOf(needs.filter((need) => need.namespace === namespace)),
    }))
    .filter(({ rules }) => rules.length > 0);
}

/** Drops rights to single objects that a right to all objects covers. */
function withoutCovered(needs: readonly Need[]): Need[] {
  const all = new Set(needs.filter(({ name }) => name === undefined).map(describePermission));
  return needs.filter(({ name, ...rest }) => name === undefined || !all.has(describePermission(rest)));
}

function rulesOf(needs: readonly Need[]): Rule[] {
  const single = groupBy(withoutCovered(needs), (need) => `${resourceWords(need)} ${need.name ?? ""}`).map(
    (group): Rule => {
      const [first] = group;
      const verbs = new Set(group.map(({ verb }) => verb));
      return {
        apiGroup: first.group,
        resources: [inGroup(first)],
        names: first.name === undefined ? undefined : [first.name],
        verbs: VERBS.filter((verb) => verbs.has(verb)),
        why: [...new Set(group.map(({ why }) => why))].sort(),
      };
    },
  );
  const sameNames = merged(single, ({ names, ...rest }) => [names === undefined, rest], "names");
  const sameResources = merged(
    sameNames,
    ({ apiGroup, names, verbs, why }) => [apiGroup, names, verbs, why],
    "resources",
  );
  return sameResources.sort((a, b) => orderOf(a).localeCompare(orderOf(b)));
}

function inGroup({ resource, subresource }: Permission): string {
  return subresource === undefined ? resource : `${resource}/${subresource}`;
}

function orderOf({ apiGroup, resources, names }: Rule): string {
  return [apiGroup, resources.join(), (names ?? []).join()].join(" ");
}

/** Merges rules that differ only in one list. */
function merged(rules: readonly Rule[], rest: (rule: Rule) => unknown, list: "names" | "resources"): Rule[] {
  return groupBy(rules, (rule) => JSON.stringify(rest(rule))).map((group) => {
    const union = [...new Set(group.flatMap((rule) => rule[list] ?? []))].sort();
    return group[0][list] === undefined ? group[0] : { ...group[0], [list]: union };
  });
}

function groupBy<T>(items: readonly T[], keyOf: (item: T) => string): [T, ...T[]][] {
  const groups = new Map<string, [T, ...T[]]>();
  for (const item of items) {
    const group = groups.get(keyOf(item));
    if (group === undefined) groups.set(keyOf(item), [item]);
    else group.push(item);
  }
  return [...groups.values()];
}
