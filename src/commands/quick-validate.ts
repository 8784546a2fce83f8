/** `chaos validate` for good files. Bundled separately, without zod (scripts/quick-validate.mjs), for a fast start. */
import { validate, type Validation } from "./validate-command.js";

/** @returns undefined if a file may be bad: then validate-command.ts reports what is wrong. */
export async function quickValidate(references: readonly string[]): Promise<Validation | undefined> {
  const found = await validate(references);
  return found.ok ? found : undefined;
}
