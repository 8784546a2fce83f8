/** The least rights as YAML for `kubectl apply -f`: prepared namespaces, a ServiceAccount, Roles and their bindings. */
import { Document, isMap, isSeq, type Node, type Pair } from "yaml";
import { MANAGED_BY, MANAGED_BY_LABEL } from "../own/manifest.js";
import { PREPARED_LABEL } from "../own/namespaces.js";
import { dangerOf } from "./danger.js";
import type { Need } from "../kube/permission.js";
import { type RoleRules, rolesOf, type Rule } from "../kube/rules.js";

export interface ServiceAccountName {
  readonly namespace: string;
  readonly name: string;
}

export interface RbacInput {
  /** Of the ClusterRole, the Roles and the bindings. Each experiment has its own, so that two files do not collide. */
  readonly name: string;
  readonly account: ServiceAccountName;
  readonly needs: readonly Need[];
  /** The namespaces to prepare. */
  readonly namespaces: readonly string[];
  /** The namespace of the run's privileged pods; undefined: none. */
  readonly privileged: string | undefined;
  /** The first lines of the output. */
  readonly head: readonly string[];
  /** More objects, after the others. */
  readonly more?: readonly CommentedObject[];
}

/** An object, and the paragraphs of the comment above it. */
export interface CommentedObject {
  readonly object: Readonly<Record<string, unknown>>;
  readonly why: readonly string[];
}

/** Comments are wrapped at this column. */
const WIDTH = 100;

const RBAC = "rbac.authorization.k8s.io";

/** The whole text. The same input gives the same text. Pure. */
export function rbacText(input: RbacInput): string {
  const documents = [
    ...[...input.namespaces].sort().map((name) => namespaceDocument(name, input.privileged === name)),
    accountDocument(input.account, input.namespaces),
    ...rolesOf(input.needs).flatMap((role) => roleDocuments(role, input)),
    ...(input.more ?? []).map(commented),
  ];
  return `${comment(input.head)}---\n${documents.map((each) => each.toString(STYLE)).join("---\n")}`;
}

// Prettier's style: no padding in lists, nothing folded.
const STYLE = { lineWidth: 0, flowCollectionPadding: false } as const;

function namespaceDocument(name: string, privileged: boolean): Document {
  const document = new Document({
    apiVersion: "v1",
    kind: "Namespace",
    metadata: {
      name,
      labels: {
        [MANAGED_BY_LABEL]: MANAGED_BY,
        [PREPARED_LABEL]: "true",
        "pod-security.kubernetes.io/enforce": privileged ? "privileged" : "restricted",
      },
    },
  });
  head(document, [
    privileged
      ? "Prepared: used as it is, emptied after each run, never deleted. Privileged pods reach the nodes from here."
      : "Prepared: used as it is, emptied after each run, never deleted. The last label keeps privileged pods out: " +
        "without it, anyone who may create pods here can become root on a node.",
  ]);
  return document;
}

function accountDocument({ namespace, name }: ServiceAccountName, prepared: readonly string[]): Document {
  const document = new Document({
    apiVersion: "v1",
    kind: "ServiceAccount",
    metadata: { name, namespace },
  });
  head(document, [
    prepared.includes(namespace)
      ? "The account of `chaos run`."
      : `The account of \`chaos run\`. Namespace ${namespace} must exist.`,
  ]);
  return document;
}

function roleDocuments({ namespace, rules }: RoleRules, input: RbacInput): Document[] {
  const { name, account } = input;
  const where = namespace === undefined ? {} : { namespace };
  const kind = namespace === undefined ? "ClusterRole" : "Role";
  const role = new Document({
    apiVersion: `${RBAC}/v1`,
    kind,
    metadata: { name, ...where },
    rules: rules.map(({ apiGroup, resources, names, verbs }) => ({
      apiGroups: [apiGroup],
      resources,
      ...(names === undefined ? {} : { resourceNames: names }),
      verbs,
    })),
  });
  explain(role, rules, (rule) =>
    dangerOf(rule, namespace, { own: input.namespaces, privileged: input.privileged }),
  );
  const binding = new Document({
    apiVersion: `${RBAC}/v1`,
    kind: `${kind}Binding`,
    metadata: { name, ...where },
    roleRef: { apiGroup: RBAC, kind, name },
    subjects: [{ kind: "ServiceAccount", name: account.name, namespace: account.namespace }],
  });
  return [role, binding];
}

function commented({ object, why }: CommentedObject): Document {
  const document = new Document(object, { aliasDuplicateObjects: false });
  head(document, why);
  return document;
}

/** A comment above the document's first line. */
function head(document: Document, paragraphs: readonly string[]): void {
  if (document.contents !== null) document.contents.commentBefore = commentText(paragraphs);
}

/** Writes the purpose and the warning of each rule above it, and each of its lists on one line. */
function explain(role: Document, rules: readonly Rule[], danger: (rule: Rule) => string | undefined): void {
  const nodes = role.get("rules");
  if (!isSeq(nodes)) return;
  for (const [index, rule] of rules.entries()) {
    const node = nodes.items[index];
    if (!isMap(node)) continue;
    const warning = danger(rule);
    node.commentBefore = commentText([...rule.why, ...(warning === undefined ? [] : [warning])]);
    for (const { value } of node.items as Pair<Node, Node>[]) if (isSeq(value)) value.flow = true;
  }
}

/** A comment as the library expects it: each line without "#" but with the space after it. */
function commentText(paragraphs: readonly string[]): string {
  return paragraphs
    .flatMap(wrapped)
    .map((line) => ` ${line}`)
    .join("\n");
}

function comment(paragraphs: readonly string[]): string {
  return paragraphs
    .flatMap(wrapped)
    .map((line) => `# ${line}\n`)
    .join("");
}

function wrapped(text: string): string[] {
  const lines: string[] = [""];
  for (const word of text.split(" ")) {
    const last = lines.at(-1) ?? "";
    if (last === "") lines[lines.length - 1] = word;
    else if (last.length + 1 + word.length <= WIDTH) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}
