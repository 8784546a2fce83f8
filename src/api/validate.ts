import { textsOf } from "./checked.js";
import type { Validation } from "../commands/validate-command.js";

/**
 * Checks experiment files as `chaos validate` does: without a cluster, all problems of all files.
 *
 * @param references files, folders, or names such as `kube-dns`.
 * @throws Error only if the file system fails.
 */
export async function validate(references: string | readonly string[]): Promise<Validation> {
  const all = textsOf(references, "references");
  // Starts faster, but has no messages for bad files.
  const { quickValidate } = await import("../commands/quick-validate.js");
  const good = await quickValidate(all);
  if (good !== undefined) return good;
  const { validate: check } = await import("../commands/validate-command.js");
  return await check(all);
}
