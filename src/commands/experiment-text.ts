/** The text of an experiment file that `chaos init` writes: the package's own file with comments. Pure. */
import { type Document, isMap, isScalar, parseDocument, type YAMLMap } from "yaml";
import { isRecord } from "../common/is-record.js";
import { escapeInvisible } from "../strict-yaml/quote.js";
import { hanging, MAX_COLUMNS, wrap } from "../ui/wrap.js";

/** The schema's file, beside the experiments: editors resolve the path from the experiment's own folder. */
export const SCHEMA_FILE = "experiment.schema.json";

/** The first line of a file, for editors (redhat-developer/yaml-language-server, README.md: "Using inlined schema"). */
export const MODELINE = `# yaml-language-server: $schema=./${SCHEMA_FILE}`;

/** Keys whose values say everything. */
const PLAIN_KEYS = ["apiVersion", "kind"];

export interface ExperimentTextInput {
  /** The package's experiment for the component. */
  readonly template: string;
  /** The JSON Schema: its descriptions become comments. */
  readonly schema: object;
  /** What the component is: one sentence. */
  readonly role: string;
  /** What was found, a paragraph each. From the cluster: not trusted. */
  readonly facts: readonly string[];
}

/** @returns the template with the facts above it, every key explained, and the keys that it leaves out listed below. */
export function experimentText({ template, schema, role, facts }: ExperimentTextInput): string {
  const document = parseDocument(template);
  const own = ownComment(template);
  const about = [role, ...(own === "" ? [] : [own])];
  const head = [
    ...about.flatMap((each) => commentOf(each)),
    "#",
    ...facts.flatMap((each) => commentOf(each)),
  ];
  if (isMap(document.contents)) explain(document.contents, schema, 0);
  const missing = Object.entries(propertiesOf(schema)).filter(([key]) => !document.has(key));
  const more = missing.flatMap(([key, of]) => commentOf(`${key}: ${firstSentence(descriptionOf(of))}`, "- "));
  return [
    MODELINE,
    ...head,
    textOf(document),
    "# More keys, each with a default (an editor and `chaos schema` show them whole):",
    ...more,
    "",
  ].join("\n");
}

function textOf(document: Document): string {
  document.commentBefore = null;
  return document.toString({ lineWidth: 0 }).replace(/^\n+/, "").trimEnd();
}

/** The template's comment above its first key, without the modeline, as one text. */
function ownComment(template: string): string {
  const lines = template.split("\n");
  const end = lines.findIndex((line) => !line.startsWith("#"));
  return lines
    .slice(0, end)
    .filter((line) => !line.includes("yaml-language-server:"))
    .map((line) => line.slice(1).trim())
    .join(" ")
    .replace(/variants\/([\w-]+)\.yaml/g, "`chaos run $1`");
}

/** Comment lines of a text. Its line breaks are gone, so that no text can leave its comment. */
function commentOf(text: string, head = ""): string[] {
  const lines = hanging(head, escapeInvisible(text.replace(/\s+/g, " ")), MAX_COLUMNS - 2);
  return lines.map((line) => `# ${line}`);
}

/** Puts the description of each key above it. */
function explain(map: YAMLMap, schema: object, depth: number): void {
  map.commentBefore = null;
  const properties = propertiesOf(variantOf(schema, map.toJSON() as unknown));
  for (const [index, { key, value }] of map.items.entries()) {
    if (!isScalar(key) || typeof key.value !== "string") continue;
    const of = properties[key.value];
    if (of === undefined) continue;
    const words = PLAIN_KEYS.includes(key.value) ? "" : descriptionOf(of);
    key.commentBefore = wrap(words, MAX_COLUMNS - 2 - 2 * depth)
      .map((line) => ` ${line}`)
      .join("\n");
    key.spaceBefore = depth === 0 && words !== "" && index > 0;
    if (isMap(value)) explain(value, of, depth + 1);
  }
}

type Node = Readonly<Record<string, unknown>>;

function propertiesOf(schema: object): Readonly<Record<string, Node>> {
  const { properties } = schema as Node;
  return isRecord(properties) ? (properties as Record<string, Node>) : {};
}

function descriptionOf({ description }: Node): string {
  return typeof description === "string" ? description : "";
}

/** The variant of a union that has all keys of the value, and its constants. */
function variantOf(schema: object, value: unknown): object {
  const { anyOf, oneOf } = schema as Node;
  const variants = [anyOf, oneOf].flatMap((each) => (Array.isArray(each) ? (each as object[]) : []));
  const fitting = variants.find(
    (variant) =>
      isRecord(value) &&
      Object.entries(value).every(([key, is]) => {
        const property = propertiesOf(variant)[key];
        return property !== undefined && (property["const"] === undefined || property["const"] === is);
      }),
  );
  return fitting ?? schema;
}

/** "Replaces the database pod in the window (a rolling restart: …). …" → "Replaces the database pod in the window." */
function firstSentence(text: string): string {
  return `${(/^[^.:(]*/.exec(text)?.[0] ?? "").trim()}.`;
}
