/** `chaos validate` of good files. Bundled apart, without zod (scripts/quick-validate.mjs), so that it starts fast. */
import { validate } from "./validate-command.js";

/** The lines about the files; undefined when one may be bad: then validate-command.ts has to say what is wrong. */
export async function quickValidate(references: readonly string[]): Promise<string[] | undefined> {
  const { ok, lines } = await validate(references);
  return ok ? lines : undefined;
}
