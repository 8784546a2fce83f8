/** Judges answers of an own application. */
import { hasToken, TOKEN } from "../../experiment/token.js";
import type { OwnTarget } from "../prober-plan.js";
import { badBody, failed, jsonIn, RECENT_MS, stripTags, type Outcome, type Tokens } from "./judge.js";

export type OwnHttp = NonNullable<OwnTarget["http"]>;

type Asked = Pick<OwnHttp, "good" | "headers"> & Partial<Pick<OwnHttp, "path" | "body">>;

/** A value that is shorter is no secret, and may be a part of any text. */
const SHORTEST_SECRET = 6;

/** Puts a token where the text has its place. */
export function fill(text: string, token: string): string {
  return text.replaceAll(TOKEN, token);
}

/** The value at a JSON Pointer (RFC 6901); undefined: there is none. */
export function valueAt(pointer: string, json: unknown): unknown {
  let value = json;
  for (const part of pointer.split("/").slice(1)) {
    const key = part.replaceAll("~1", "/").replaceAll("~0", "~");
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, key)) return undefined;
    value = (value as Record<string, unknown>)[key];
  }
  return value;
}

/** @param tokens those that may be where the expected answer has a token; not used if it has none. */
export function judgeOwn(asked: Asked, status: number, body: string, tokens: readonly string[]): Outcome {
  const { good } = asked;
  const shown = (): string => withoutSecrets(body, asked);
  if (status < good.status.from || status > good.status.to)
    return failed("http-status", `${status} ${stripTags(shown())}`.trim());
  const { contains, json } = good;
  const value = json === undefined ? undefined : valueAt(json.pointer, jsonIn(body));
  const fits = (token: string): boolean =>
    (contains === undefined || body.includes(fill(contains, token))) &&
    (json === undefined ||
      value === (typeof json.equals === "string" ? fill(json.equals, token) : json.equals));
  return (hasToken(good) ? tokens : [""]).some(fits) ? { ok: true } : badBody(shown());
}

/** An answer may repeat what was asked: the values of headers, query and body must not get into a sample. */
function withoutSecrets(answer: string, { headers, path = "", body = "" }: Asked): string {
  const [, query = ""] = path.split("?");
  return [
    ...Object.values(headers).flatMap((value) => [value, ...value.split(" ")]),
    ...valuesIn(query),
    ...valuesIn(body),
  ]
    .filter((value) => value.length >= SHORTEST_SECRET && !value.includes(TOKEN))
    .reduce((text, value) => text.replaceAll(value, "…"), answer);
}

/** The texts in JSON, or the values of a form, as they are and decoded. */
function valuesIn(text: string): string[] {
  const json = jsonIn(text);
  if (json !== undefined) return textsIn(json);
  const asIs = text.split("&").map((pair) => pair.slice(pair.indexOf("=") + 1));
  return [...asIs, ...new URLSearchParams(text).values()];
}

function textsIn(value: unknown): string[] {
  if (typeof value === "string") return [value];
  return typeof value === "object" && value !== null ? Object.values(value).flatMap(textsIn) : [];
}

/**
 * The tokens in an answer that are recent: see Tokens. All of them become known.
 *
 * @param newestMs when the newest token that was known as the read began had become known
 */
export function recentTokensIn(text: string, tokens: Tokens, newestMs: number): string[] {
  const runId = tokens.runId.replaceAll(/[.]/g, "\\$&");
  const found = text.match(new RegExp(`${runId}~[A-Za-z0-9-]{1,100}~\\d{1,15}\\.\\d{3}`, "g")) ?? [];
  return [...new Set(found)].filter((token) => {
    const knownMs = tokens.written(token);
    return knownMs !== undefined && newestMs - knownMs <= RECENT_MS;
  });
}
