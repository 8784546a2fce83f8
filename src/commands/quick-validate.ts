/** `chaos validate` for good files. Bundled separately, without zod (scripts/quick-validate.mjs), for a fast start. */
import { validate } from "./validate-command.js";

/** @returns the lines about the files; undefined if one may be bad: then validate-command.ts reports what is wrong. */
export async function quickValidate(references: readonly string[]): Promise<string[] | undefined> {
  const { ok, lines } = await validate(references);
  return ok ? lines : undefined;
}
