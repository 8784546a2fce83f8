/** Arguments of callers without types. */
import { UsageError } from "../common/errors.js";

/** A text or texts, as texts. @throws UsageError when it is neither. */
export function textsOf(value: string | readonly string[], what: string): readonly string[] {
  const all: unknown = typeof value === "string" ? [value] : value;
  if (Array.isArray(all) && all.every((each) => typeof each === "string")) return all;
  throw new UsageError(`${what} must be a text or an array of texts`);
}

/** @throws UsageError for a misspelt option: `dryrun` would attack. */
export function checkKeys(options: object, known: Readonly<Record<string, true>>): void {
  const unknown = Object.keys(options).filter((key) => !Object.hasOwn(known, key));
  if (unknown.length > 0)
    throw new UsageError(`unknown option: ${unknown.join(", ")}. Options: ${Object.keys(known).join(", ")}`);
}
