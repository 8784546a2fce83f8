/**
 * Messages of the validation for the author of the file: what is expected and what the file has. The schema has its own
 * messages for durations and names; these are all others.
 */
import type { z } from "zod";
import { didYouMean, type Aliases } from "./near.js";
import { quote } from "./quote.js";

type RawIssue = z.core.$ZodRawIssue;

const TYPE_NAMES: Readonly<Record<string, string>> = {
  object: "a mapping (keys and values)",
  array: "a list",
  string: "text",
  boolean: "true or false",
  number: "a number",
  int: "a whole number",
};

type Code = NonNullable<RawIssue["code"]>;
type IssueOf<C extends Code> = Extract<RawIssue, { code: C }>;

const MESSAGES: { readonly [C in Code]?: (issue: IssueOf<C>, aliases: Aliases) => string | undefined } = {
  invalid_type: (issue) => wrongType(issue.expected, issue.input),
  invalid_value: (issue, aliases) => wrongValue(issue.values.map(String), issue.input, aliases),
  invalid_union: (issue, aliases) => wrongVariant(issue, aliases),
  too_big: (issue) => `must be at most ${issue.maximum}${unitOf(issue.origin, issue.maximum)}`,
  too_small: (issue) => `must be at least ${issue.minimum}${unitOf(issue.origin, issue.minimum)}`,
  // Carries the known keys: only here is the schema available. `explainIssue` makes one message per key of it.
  unrecognized_keys: (issue) => encodeKnownKeys(issue),
};

/** The error map for parsing a file. undefined: zod's own message. */
export function messageOfIssue(issue: RawIssue): string | undefined {
  return messageWith(issue, {});
}

/** The error map that also knows other names of the allowed values. */
export function messagesWith(aliases: Aliases): (issue: RawIssue) => string | undefined {
  return (issue) => messageWith(issue, aliases);
}

function messageWith(issue: RawIssue, aliases: Aliases): string | undefined {
  const message = MESSAGES[issue.code] as
    ((issue: RawIssue, aliases: Aliases) => string | undefined) | undefined;
  return message?.(issue, aliases);
}

/** One message for each key of an issue "unrecognized_keys". */
export function unknownKey(key: string, knownKeys: readonly string[], aliases: Aliases = {}): string {
  const near = didYouMean(key, knownKeys, aliases);
  return near === "" ? `unknown key; known keys: ${knownKeys.join(", ")}` : `unknown key${near}`;
}

/** The known keys, from the message of an issue "unrecognized_keys". */
export function knownKeysOf(message: string): string[] {
  return message.split(" ");
}

function encodeKnownKeys(issue: RawIssue): string {
  const definition = issue.inst?._zod.def as { shape?: object } | undefined;
  return Object.keys(definition?.shape ?? {}).join(" ");
}

/** Describes a value, for "not …". */
export function nameValue(value: unknown): string {
  if (value === null) return "empty";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "string") return quote(value);
  return typeof value === "number" || typeof value === "boolean" ? String(value) : "a mapping";
}

function wrongType(expected: string, input: unknown): string {
  if (input === undefined) return `is required: ${TYPE_NAMES[expected] ?? expected}`;
  const word = expected === "boolean" && typeof input === "string" ? yaml11Boolean(input) : undefined;
  const hint = word === undefined ? "" : `: YAML 1.2 reads that word as text. Write ${word}`;
  return `must be ${TYPE_NAMES[expected] ?? expected}, not ${nameValue(input)}${hint}`;
}

/**
 * What YAML 1.1 makes of a word that is text in YAML 1.2 (yaml.org/type/bool.html); the words in capitals that YAML 1.2
 * reads are booleans here, too, because they may be quoted.
 */
function yaml11Boolean(word: string): boolean | undefined {
  if (/^(y|yes|on|true)$/i.test(word)) return true;
  return /^(n|no|off|false)$/i.test(word) ? false : undefined;
}

/** A value that is not in a fixed list. The list is short enough for a message. */
function wrongValue(allowed: readonly string[], input: unknown, aliases: Aliases): string {
  const list = allowed.length === 1 ? String(allowed[0]) : `one of ${allowed.join(", ")}`;
  if (input === undefined) return `is required: ${list}`;
  const near = typeof input === "string" ? didYouMean(input, allowed, aliases) : "";
  return `must be ${list}, not ${nameValue(input)}${near}`;
}

function wrongVariant(issue: RawIssue, aliases: Aliases): string | undefined {
  const { discriminator, options, input } = issue as {
    discriminator?: string;
    options?: unknown[];
    input?: unknown;
  };
  if (discriminator === undefined || options === undefined) return undefined;
  const value = (input as Record<string, unknown> | undefined)?.[discriminator];
  return wrongValue(options.map(String), value, aliases);
}

function unitOf(origin: string, count: number | bigint): string {
  if (origin === "array") return Number(count) === 1 ? " entry long" : " entries long";
  if (origin !== "string") return "";
  return Number(count) === 1 ? " character long" : " characters long";
}
