/** Checks of request bodies. Each type is inferred from its check, so that the two cannot differ. */
import { isIP } from "node:net";

/** An invalid request body. The message is the response. */
export class BodyError extends Error {}

/** Returns the value itself, or throws a BodyError. `where`: name of the value in the message. */
export type Check<T> = (value: unknown, where: string) => T;

/** The type that a check accepts. */
export type Checked<C> = C extends Check<infer T> ? T : never;

type Fields = Readonly<Record<string, Check<unknown>>>;
type ObjectOf<F extends Fields, O extends Fields> = {
  readonly [K in keyof F]: Checked<F[K]>;
} & { readonly [K in keyof O]?: Checked<O[K]> };

/** @throws BodyError */
export function refuse(where: string, what: string): never {
  throw new BodyError(`${where} ${what}`);
}

export function objectOf<F extends Fields, O extends Fields = Record<never, never>>(
  fields: F,
  optional?: O,
): Check<ObjectOf<F, O>> {
  const all: Fields = { ...fields, ...optional };
  return (value, where) => {
    if (typeof value !== "object" || value === null || Array.isArray(value))
      refuse(where, "must be an object");
    for (const name of Object.keys(value)) {
      if (!Object.hasOwn(all, name)) refuse(`${where}.${name}`, "is unknown");
    }
    for (const [name, check] of Object.entries(all)) {
      const member = (value as Record<string, unknown>)[name];
      if (member !== undefined) check(member, `${where}.${name}`);
      else if (Object.hasOwn(fields, name)) refuse(`${where}.${name}`, "is missing");
    }
    return value as ObjectOf<F, O>;
  };
}

export function wholeNumber(min: number, max: number): Check<number> {
  return (value, where) =>
    Number.isInteger(value) && Number(value) >= min && Number(value) <= max
      ? Number(value)
      : refuse(where, `must be a whole number from ${min} to ${max}`);
}

/** One of some numbers. */
export function oneOf<T extends number>(...numbers: readonly T[]): Check<T> {
  return (value, where) =>
    numbers.find((number) => number === value) ?? refuse(where, `must be ${numbers.join(" or ")}`);
}

export function text<T extends string = string>(pattern: RegExp, what: string): Check<T> {
  return (value, where) =>
    typeof value === "string" && pattern.test(value) ? (value as T) : refuse(where, `must be ${what}`);
}

/** The keys and values of a mapping of texts. */
export function mapOf(check: Check<string>): Check<Readonly<Record<string, string>>> {
  return (value, where) => {
    if (typeof value !== "object" || value === null || Array.isArray(value))
      refuse(where, "must be an object");
    for (const [name, member] of Object.entries(value)) check(member, `${where}.${name}`);
    return value as Readonly<Record<string, string>>;
  };
}

/** The first check if the value has `key`, else the second. */
export function eitherOf<A, B>(key: string, first: Check<A>, second: Check<B>): Check<A | B> {
  return (value, where) =>
    typeof value === "object" && value !== null && key in value ? first(value, where) : second(value, where);
}

export function listOf<T>(check: Check<T>): Check<readonly T[]> {
  return (value, where) => {
    if (!Array.isArray(value) || value.length > 1000) refuse(where, "must be a list of at most 1000 members");
    value.forEach((member, index) => check(member, `${where}[${index}]`));
    return value as readonly T[];
  };
}

const ipAddress: Check<string> = (value, where) =>
  typeof value === "string" && isIP(value) !== 0 ? value : refuse(where, "must be an IP address");

export const ENDPOINT = { ip: ipAddress, port: wholeNumber(1, 65535) };

export const PLAIN_PATH = text(
  /^\/[A-Za-z0-9._~%/-]{0,500}$/,
  "a path that starts with '/' and has no query or space",
);

export const IDENTIFIER = text(/^[A-Za-z0-9._:-]{1,253}$/, "1 to 253 letters, digits, '.', '_', ':' or '-'");

export const DNS_NAME = text(
  /^(?=.{1,254}$)[A-Za-z0-9_]([-A-Za-z0-9_]{0,61}[A-Za-z0-9_])?(\.[A-Za-z0-9_]([-A-Za-z0-9_]{0,61}[A-Za-z0-9_])?)*\.?$/,
  "a DNS name",
);
