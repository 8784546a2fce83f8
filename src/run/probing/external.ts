import { UsageError } from "../../common/errors.js";
import { SUBDOMAIN } from "../../experiment/schema.js";

/** The name of --external; false: none. @throws UsageError */
export function externalOf(text: string): string | false {
  if (text === "none") return false;
  if (text.length <= 253 && SUBDOMAIN.test(text)) return text;
  throw new UsageError(
    `--external must be a host name such as example.com, or none; found ${JSON.stringify(text)}`,
  );
}
