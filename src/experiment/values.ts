/** Values that several parts of an experiment file use. */
import * as z from "zod";

/** RFC 1123 label: valid for most Kubernetes names, and safe as a folder's name. */
export const dnsLabel = z
  .string()
  .max(63)
  .regex(
    /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/,
    "must be lower-case letters, digits and '-', and not start or end with '-' (RFC 1123 label)",
  );

const NOT_A_STATUS = "must be a status such as 200, or a range such as 200-399";

/** "200-399" or 200 → the lowest and the highest good status. */
export const goodStatus = z
  .union([z.int().min(200).max(599), z.string().regex(/^[2-5]\d\d-[2-5]\d\d$/, NOT_A_STATUS)], NOT_A_STATUS)
  .transform((status, context) => {
    const [from = 0, to = from] = String(status).split("-").map(Number);
    if (from > to) {
      context.addIssue({ code: "custom", message: `must not start (${from}) above its end (${to})` });
      return z.NEVER;
    }
    return { from, to };
  });

/** A port of a Service. */
export const servicePort = z.union(
  [z.int().min(1).max(65535), dnsLabel],
  "must be a port number (1 to 65535) or a port name",
);
