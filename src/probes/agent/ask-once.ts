/** Single requests to the agent: try a connection, print a line. */
import type { FailedLine } from "../../evidence/sample.js";
import { DNS_NAME, ENDPOINT, objectOf, PLAIN_PATH, text, wholeNumber, type Checked } from "./body.js";
import { failureOf } from "./judge.js";
import { httpGet } from "./measure-http.js";
import { probeTcp } from "./measure-net.js";
import { round } from "./schedule.js";

/** How much of a response's body is returned, characters. */
const EXCERPT_LIMIT = 200;

/** The body of POST /check. @throws BodyError */
export const checkRequest = objectOf(
  {
    kind: text<"tcp" | "http">(/^(tcp|http)$/, '"tcp" or "http"'),
    ...ENDPOINT,
    timeoutMs: wholeNumber(50, 10_000),
  },
  { path: PLAIN_PATH, host: DNS_NAME },
);

/** The body of POST /log: one line, without line breaks. @throws BodyError */
export const logRequest = objectOf({
  text: text(/^[\x20-\x7e]{1,500}$/, "1 to 500 printable ASCII characters"),
});

export type CheckResult =
  | { readonly ok: true; readonly ms: number; readonly status?: number; readonly body?: string }
  | (Pick<FailedLine, "ok" | "kind" | "message"> & { readonly ms: number });

/** Tries one connection. Any HTTP response is ok, whatever its status: the caller judges the status. */
export async function runCheck(check: Checked<typeof checkRequest>): Promise<CheckResult> {
  const { kind, timeoutMs, path = "/", host } = check;
  const started = performance.now();
  const ms = (): number => round(performance.now() - started);
  try {
    if (kind === "tcp") {
      await probeTcp(check, timeoutMs);
      return { ok: true, ms: ms() };
    }
    const { status, body } = await httpGet(check, path, timeoutMs, { host });
    return { ok: true, ms: ms(), status, body: body.slice(0, EXCERPT_LIMIT) };
  } catch (error) {
    return { ...failureOf(error), ms: ms() };
  }
}
