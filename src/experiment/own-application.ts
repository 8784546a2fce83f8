/** The user's own application in an experiment file: what to ask it, and how a good answer looks. */
import * as z from "zod";
import { asksWithToken, hasToken, TOKEN } from "./token.js";
import { dnsLabel, goodStatus, servicePort } from "./values.js";

/** Hop-by-hop headers, and those that Node sets. */
const RESERVED = /^(connection|content-length|expect|keep-alive|te|trailer|transfer-encoding|upgrade)$/i;

const headers = z
  .record(
    z.string(),
    z
      .string()
      .max(4000)
      .regex(/^[\x20-\x7e]*$/, "must be printable ASCII characters"),
  )
  .superRefine((map, context) => {
    for (const name of Object.keys(map)) {
      const message = /^[A-Za-z0-9-]{1,100}$/.test(name)
        ? RESERVED.test(name)
          ? "is a header that the prober sets itself"
          : undefined
        : "must be the name of a header: letters, digits and '-'";
      if (message !== undefined) context.addIssue({ code: "custom", path: [name], message });
    }
  })
  .default({})
  .describe(
    "Headers of the request. Reports and facts do not have them. Their values are in this file and in the plan that the prober keeps: give a probe its own credentials, with few rights.",
  );

const path = z
  .string()
  .max(1000)
  .regex(
    /^\/[\x21-\x22\x24-\x7e]*$/,
    "must begin with '/', and have no space, '#' or character outside ASCII: write them percent-encoded",
  )
  .prefault("/")
  .describe("Path of the request, with an optional query, as it is sent: percent-encoded.");

const json = z
  .strictObject({
    pointer: z
      .string()
      .max(500)
      .regex(/^(\/([^~/]|~[01])*)*$/, "must be a JSON Pointer such as /data/0/id (RFC 6901)")
      .describe("JSON Pointer to a value in the body (RFC 6901): /data/0/id."),
    equals: z
      .union(
        [z.string().max(1000), z.number(), z.boolean(), z.null()],
        "must be a text, number, true, false or null",
      )
      .describe("The value that must be there."),
  })
  .describe("A value in a JSON body.");

const good = z
  .strictObject({
    status: goodStatus
      .prefault("200-299")
      .describe("Good statuses: one status or a range. Redirects are not followed."),
    contains: z
      .string()
      .min(1)
      .max(1000)
      .optional()
      .describe("A text that the first 64 KiB of the body contain. Not a regular expression."),
    json: json.optional(),
  })
  .prefault({})
  .describe("How a good answer looks. All of it must be met.");

const http = z
  .strictObject({
    method: z.enum(["GET", "HEAD", "POST", "PUT", "PATCH"]).default("GET").describe("Method of the request."),
    path,
    headers,
    body: z
      .string()
      .max(10_000)
      .optional()
      .describe("Body of the request, for POST, PUT and PATCH. Set its content-type as a header."),
    good,
  })
  .superRefine(({ method, body, good: { contains, json: value } }, context) => {
    if (body !== undefined && (method === "GET" || method === "HEAD"))
      context.addIssue({
        code: "custom",
        path: ["body"],
        message: `is not sent with ${method}: use POST, PUT or PATCH`,
      });
    if (method === "HEAD" && (contains !== undefined || value !== undefined))
      context.addIssue({
        code: "custom",
        path: ["good"],
        message: "can only have a status: HEAD has no body",
      });
  })
  .describe("An HTTP request, on a new connection each time. Not HTTPS: use tcp for that.");

const tcp = z
  .strictObject({
    send: z
      .string()
      .min(1)
      .max(1000)
      .optional()
      .describe("A text to send once connected; \\r\\n in double quotes is a line break."),
    expect: z.string().min(1).max(1000).optional().describe("A text that the answer contains."),
  })
  .describe("A TCP connection, opened for each sample; with send and expect also one exchange over it.");

const request = z
  .strictObject({
    service: dnsLabel.describe("Name of the Service."),
    port: servicePort.describe("Port of the Service (not of its pods): number or name."),
    through: z
      .enum(["dns", "cluster-ip", "pods"])
      .default("dns")
      .describe(
        "How the Service is reached. dns: its name is looked up for each sample, as by a client that keeps no connection, so that the loss of DNS is a loss of the application; cluster-ip: without DNS; pods: each ready pod behind it in turn, without DNS and kube-proxy.",
      ),
    http: http.optional(),
    tcp: tcp.optional(),
  })
  .superRefine(({ http: asked, tcp: connected }, context) => {
    if (asked === undefined && connected === undefined)
      context.addIssue({ code: "custom", message: "needs http or tcp: how it is asked" });
    if (asked !== undefined && connected !== undefined)
      context.addIssue({
        code: "custom",
        path: ["tcp"],
        message: "cannot be combined with http: a request is one of the two",
      });
  });

/** What people write for {token}, and what would be sent as it is. */
const NEARLY = /\$\{token\}|\{\{ *token *\}\}|\{ *token *\}|%7Btoken%7D/gi;

/** Refuses a nearly written {token} in a text of the request, at its place. */
function refuseNearly(value: unknown, path: (string | number)[], context: z.RefinementCtx): void {
  if (typeof value === "object" && value !== null)
    for (const [key, each] of Object.entries(value)) refuseNearly(each, [...path, key], context);
  const found = typeof value === "string" ? value.match(NEARLY)?.find((text) => text !== TOKEN) : undefined;
  if (found !== undefined)
    context.addIssue({ code: "custom", path, message: `has ${found}: a token is written ${TOKEN}` });
}

export const existing = z
  .strictObject({
    namespace: dnsLabel.describe(
      "Namespace of the application. The run only reads in it, and never deletes there.",
    ),
    write: request.describe(
      "The request whose loss is an outage: best one that writes to the database. {token} in its path, header values or body is a text that is new for each sample; every worker sends one at each interval.",
    ),
    read: request
      .optional()
      .describe(
        "A request that reads. {token} in its path, header values or body is the last token that was written; in good alone it stands for any recently written token of this run. Default: only writes are measured.",
      ),
  })
  .superRefine(({ write, read }, context) => {
    refuseNearly({ write, read }, [], context);
    if (read !== undefined && usesToken(read) && !asksWithToken(write))
      context.addIssue({
        code: "custom",
        path: ["read"],
        message: `uses ${TOKEN}, but write sends none: no answer could have it`,
      });
  })
  .describe(
    "An application that runs already, instead of the guestbook. Nothing is deployed but the probers.",
  );

export type ExistingApplication = z.output<typeof existing>;
export type OwnRequest = z.output<typeof request>;

/** What is asked: the write, and the read if there is one. */
export function requestsOf({ write, read }: ExistingApplication): readonly OwnRequest[] {
  return read === undefined ? [write] : [write, read];
}

/** The names of the Services that are asked, each once. */
export function servicesOf(existing: ExistingApplication): readonly string[] {
  return [...new Set(requestsOf(existing).map(({ service }) => service))];
}

/** Whether the request or the expected answer has a token. */
export function usesToken(request: OwnRequest): boolean {
  return asksWithToken(request) || hasToken([request.http?.good, request.tcp?.expect]);
}
