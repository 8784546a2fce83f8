/**
 * Reads YAML as kubectl does: YAML 1.1 by go.yaml.in/yaml/v2 (resolve.go, decode.go), then JSON (sigs.k8s.io/yaml). Only
 * the first document counts, the last of two equal keys wins, `yes` is a boolean. What it cannot read in the same way, it
 * refuses.
 */
import { Composer, isAlias, isMap, isScalar, isSeq, Parser } from "yaml";
import type { Document, Node, Scalar, YAMLMap } from "yaml";
import { scanTokens } from "../../strict-yaml/scan.js";

/** A value with its line in the file, from 1. */
export type Tree = { readonly line: number } & (
  | { readonly kind: "null" }
  | { readonly kind: "text"; readonly value: string }
  | { readonly kind: "boolean"; readonly value: boolean }
  | { readonly kind: "number"; readonly value: number }
  | { readonly kind: "list"; readonly items: readonly Tree[] }
  | { readonly kind: "map"; readonly entries: ReadonlyMap<string, Tree> }
);

/** Something that cannot be read. The message quotes nothing of the file: it may be a secret. */
export class KubeconfigProblem extends Error {
  /** From 1; undefined: the file as a whole. */
  readonly line: number | undefined;
  constructor(message: string, line?: number) {
    super(message);
    this.name = "KubeconfigProblem";
    this.line = line;
  }
}

/** Thousands of contexts. */
const MAX_TOKENS = 200_000;

/**
 * What libyaml refuses outside of an escape (readerc.go), and the line breaks that only libyaml knows: a carriage return
 * alone, NEL, and Unicode's separators.
 */
const CONTROL =
  // eslint-disable-next-line no-control-regex
  /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u2028\u2029\ufeff\ufffe\uffff]|\r(?!\n)/;

/**
 * The first document of a file.
 *
 * @returns undefined when the file has none.
 * @throws KubeconfigProblem
 */
export function readGoYaml(bytes: Uint8Array): Tree | undefined {
  const text = decode(bytes);
  const control = CONTROL.exec(text);
  if (control !== null)
    throw new KubeconfigProblem(
      "it has a control character, or a line break other than LF and CRLF",
      lineAt(text, control.index),
    );
  // The parser recurses: a hostile file must not reach it. Anchors and the like are allowed here.
  const tooMuch = scanTokens(text, "a kubeconfig", MAX_TOKENS).find(
    ({ message }) => !message.includes("are not allowed"),
  );
  if (tooMuch !== undefined)
    throw new KubeconfigProblem(`it has ${tooMuch.message}`, lineAt(text, tooMuch.offset));
  try {
    const document = firstDocument(text);
    if (document === undefined) return undefined;
    const [error] = document.errors;
    if (error !== undefined) {
      // Not the parser's message: it quotes the text.
      const words = error.code.toLowerCase().replaceAll("_", " ");
      throw new KubeconfigProblem(`it is not valid YAML (${words})`, lineAt(text, error.pos[0]));
    }
    return new Reader(text).read(document);
  } catch (error) {
    // Aliases in aliases.
    if (error instanceof RangeError) throw new KubeconfigProblem("it is nested too deeply");
    throw error;
  }
}

function decode(bytes: Uint8Array): string {
  const [first, second] = bytes;
  if ((first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff)) throw utf16();
  // Text of a Windows shell without the mark: every second byte of its start is 0.
  if (bytes.length > 3 && ((first === 0 && second !== 0) || (first !== 0 && second === 0))) throw utf16();
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new KubeconfigProblem("it is not UTF-8 text");
  }
}

function utf16(): KubeconfigProblem {
  return new KubeconfigProblem("it is UTF-16 text (as Windows PowerShell's > writes it): save it as UTF-8");
}

function lineAt(text: string, offset: number): number {
  let line = 1;
  for (let at = text.indexOf("\n"); at !== -1 && at < offset; at = text.indexOf("\n", at + 1)) line += 1;
  return line;
}

/** Composes only the first document, as yaml.Unmarshal does: nothing after it is looked at. */
function firstDocument(text: string): Document.Parsed | undefined {
  const composer = new Composer({
    version: "1.1",
    schema: "failsafe",
    merge: false,
    uniqueKeys: false,
    prettyErrors: false,
    logLevel: "error",
  });
  for (const token of new Parser().parse(text)) {
    for (const document of composer.next(token)) return document;
  }
  for (const document of composer.end()) return document;
  return undefined;
}

/** Turns the parser's nodes into a tree. An alias shares the tree of its anchor, so aliases cannot multiply. */
class Reader {
  readonly #text: string;
  /** Offsets of the line feeds. */
  readonly #lineFeeds: number[] = [];
  /** The trees of anchored nodes; undefined: it is being read. */
  readonly #known = new Map<Node, Tree | undefined>();
  #document: Document.Parsed | undefined;

  constructor(text: string) {
    this.#text = text;
    for (let at = text.indexOf("\n"); at !== -1; at = text.indexOf("\n", at + 1)) this.#lineFeeds.push(at);
  }

  read(document: Document.Parsed): Tree | undefined {
    this.#document = document;
    if (document.contents === null) return undefined;
    return this.#tree(document.contents);
  }

  #line(offset: number): number {
    let [low, high] = [0, this.#lineFeeds.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#lineFeeds[middle] ?? 0) < offset) low = middle + 1;
      else high = middle;
    }
    return low + 1;
  }

  #lineOf(node: unknown): number {
    return this.#line((node as { range?: [number, number, number] | null } | null)?.range?.[0] ?? 0);
  }

  #tree(node: unknown): Tree {
    const line = this.#lineOf(node);
    if (isAlias(node)) {
      const anchored = this.#document === undefined ? undefined : node.resolve(this.#document);
      if (anchored === undefined) throw new KubeconfigProblem("an alias (*) has no anchor", line);
      return this.#tree(anchored);
    }
    if (node === null || node === undefined) return { line, kind: "null" };
    if (!isScalar(node) && !isSeq(node) && !isMap(node))
      throw new KubeconfigProblem("it is not valid YAML", line);
    if (node.anchor === undefined) return this.#plainTree(node, line);
    if (this.#known.has(node)) {
      const known = this.#known.get(node);
      if (known === undefined) throw new KubeconfigProblem("an anchor (&) contains itself", line);
      return known;
    }
    this.#known.set(node, undefined);
    const tree = this.#plainTree(node, line);
    this.#known.set(node, tree);
    return tree;
  }

  #plainTree(node: Node, line: number): Tree {
    if (isScalar(node)) return scalarOf(node, line);
    checkTag(node, line, isMap(node) ? "map" : "seq");
    if (isSeq(node)) return { line, kind: "list", items: node.items.map((item) => this.#tree(item)) };
    return { line, kind: "map", entries: this.#entries(node as YAMLMap) };
  }

  #entries(node: YAMLMap): Map<string, Tree> {
    const entries = new Map<string, Tree>();
    for (const pair of node.items) {
      this.#checkKey(pair.key, node.flow === true);
      const key = this.#tree(pair.key);
      const isMerge = isScalar(pair.key) && pair.key.type === "PLAIN" && pair.key.value === "<<";
      // In the order of the file: a merge replaces what is before it (decode.go, mapping).
      if (isMerge) this.#merge(entries, this.#tree(pair.value), key.line);
      else entries.set(keyOf(key, pair.key), this.#tree(pair.value));
    }
    return entries;
  }

  /** Keys that the parser can read and libyaml cannot (scannerc.go: simple keys, plain scalars in flow context). */
  #checkKey(node: unknown, inFlow: boolean): void {
    if (!isScalar(node)) return;
    const [start = 0, end = 0] = node.range ?? [];
    const isPlain = node.type === "PLAIN";
    const joined = inFlow && isPlain && /^:[^\s]/.test(this.#text.slice(end, end + 2));
    const odd = inFlow && isPlain && /^:|\?/.test(String(node.value));
    if (joined || odd || this.#text.slice(start, end).includes("\n"))
      throw new KubeconfigProblem("it is not valid YAML (a key)", this.#line(start));
  }

  #merge(entries: Map<string, Tree>, from: Tree, line: number): void {
    const maps = from.kind === "list" ? [...from.items].reverse() : [from];
    for (const map of maps) {
      if (map.kind !== "map") throw new KubeconfigProblem("a merge key (<<) needs a mapping", line);
      for (const [key, value] of map.entries) entries.set(key, value);
    }
  }
}

/** JSON keys are text; a number or a boolean becomes text, as in sigs.k8s.io/yaml. */
function keyOf(key: Tree, node: unknown): string {
  if (key.kind === "text") return key.value;
  if (key.kind === "boolean") return String(key.value);
  if (key.kind === "number") return String((node as Scalar).value);
  throw new KubeconfigProblem("a key is neither text nor a number", key.line);
}

/** Tags that mean what the value looks like anyway. Others are refused: nobody writes them into a kubeconfig. */
function checkTag({ tag }: Node, line: number, own: string): void {
  if (tag === undefined || tag === `tag:yaml.org,2002:${own}`) return;
  throw new KubeconfigProblem("tags (!) are not supported", line);
}

function scalarOf(node: Scalar, line: number): Tree {
  const value = typeof node.value === "string" ? node.value : "";
  if (node.tag !== undefined) {
    checkTag(node, line, "str");
    return { line, kind: "text", value };
  }
  if (node.type !== undefined && node.type !== "PLAIN") return { line, kind: "text", value };
  const tree = resolvePlain(value, line);
  if (tree.kind === "number" && !Number.isFinite(tree.value))
    throw new KubeconfigProblem("a number is not finite", line);
  return tree;
}

const WORDS = new Map<string, boolean | null | number>([
  ...["y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"].map(
    (word): [string, boolean] => [word, true],
  ),
  ...["n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"].map(
    (word): [string, boolean] => [word, false],
  ),
  ...["", "~", "null", "Null", "NULL"].map((word): [string, null] => [word, null]),
  ...[".nan", ".NaN", ".NAN"].map((word): [string, number] => [word, Number.NaN]),
  ...[".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF", "-.inf", "-.Inf", "-.INF"].map(
    (word): [string, number] => [word, Number.POSITIVE_INFINITY],
  ),
]);

const INTEGER = /^[-+]?(0[xX][0-9a-fA-F]+|0[oO][0-7]+|0[bB][01]+|0[0-7]*|[1-9][0-9]*)$/;
const FLOAT = /^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$/;

/** What an unquoted word means (resolve.go). Pure. */
export function resolvePlain(word: string, line: number): Tree {
  const known = WORDS.get(word);
  if (known === null) return { line, kind: "null" };
  if (typeof known === "boolean") return { line, kind: "boolean", value: known };
  if (typeof known === "number") return { line, kind: "number", value: known };
  const text: Tree = { line, kind: "text", value: word };
  if (!/^[-+0-9.]/.test(word)) return text;
  const plain = word.startsWith(".") ? word : word.replaceAll("_", "");
  if (INTEGER.test(plain)) {
    const value = integerOf(plain);
    if (value !== undefined) return { line, kind: "number", value };
  }
  // Too large for a float: text (ParseFloat's range error).
  const value = FLOAT.test(plain) ? Number(plain) : Number.NaN;
  return Number.isFinite(value) ? { line, kind: "number", value } : text;
}

/** undefined: more than 64 bits; strconv.ParseInt and ParseUint refuse it. */
function integerOf(plain: string): number | undefined {
  const [, sign = "", digits = ""] = /^([-+]?)(.*)$/.exec(plain) ?? [];
  const value = BigInt(/^0[0-7]+$/.test(digits) ? `0o${digits.slice(1)}` : digits);
  const limit = sign === "-" ? 2n ** 63n : sign === "+" ? 2n ** 63n - 1n : 2n ** 64n - 1n;
  return value > limit ? undefined : Number(sign === "-" ? -value : value);
}
