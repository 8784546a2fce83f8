/** Rights as the rules of Roles: merged where they can be, in an order that does not change. Pure. */
import { describePermission, type Need, type Permission, resourceWords } from "./permission.js";

/** A PolicyRule, and what it is for. */
export interface Rule {
  readonly apiGroup: string;
  readonly resources: readonly string[];
  /** undefined: all. */
  readonly names: readonly string[] | undefined;
  readonly verbs: readonly string[];
  readonly why: readonly string[];
}

/** The rules of one namespace, or of the cluster's own objects (undefined). */
export interface RoleRules {
  readonly namespace: string | undefined;
  readonly rules: readonly Rule[];
}

const VERBS = ["get", "list", "watch", "create", "update", "patch", "delete"];

/** The cluster's own objects first, then namespace by namespace. */
export function rolesOf(needs: readonly Need[]): RoleRules[] {
  const namespaces = [...new Set(needs.flatMap(({ namespace }) => namespace ?? []))].sort();
  return [undefined, ...namespaces]
    .map((namespace) => ({
      namespace,
      rules: rulesOf(needs.filter((need) => need.namespace === namespace)),
    }))
    .filter(({ rules }) => rules.length > 0);
}

/** What is allowed for all objects needs no rule for one of them. */
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

/** Rules that differ in one list only, with that list put together. */
function merged(rules: readonly Rule[], rest: (rule: Rule) => unknown, list: "names" | "resources"): Rule[] {
  return groupBy(rules, (rule) => JSON.stringify(rest(rule))).map((group) => {
    const together = [...new Set(group.flatMap((rule) => rule[list] ?? []))].sort();
    return group[0][list] === undefined ? group[0] : { ...group[0], [list]: together };
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
