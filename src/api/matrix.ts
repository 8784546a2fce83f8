import { textsOf } from "./checked.js";
import type { MatrixOutput } from "../commands/matrix-command.js";

export interface MatrixOptions {
  /** Also write the files of `chaos matrix` into this folder. Links of the matrix are relative to it. */
  readonly out?: string;
}

/**
 * All reports as one table, as `chaos matrix` makes it.
 *
 * @param folders folders of reports, or of single runs. Links of the matrix are relative to the first.
 * @returns the matrix as data. `warnings`: results that are omitted, each with its path and the reason.
 * @throws ChaosError when a folder does not exist, or none has a result.
 */
export async function matrix(
  folders: string | readonly string[],
  { out }: MatrixOptions = {},
): Promise<Pick<MatrixOutput, "matrix" | "files" | "warnings">> {
  const all = textsOf(folders, "folders");
  const { matrix: command } = await import("../commands/matrix-command.js");
  const made = await command({ folders: all, ...(out === undefined ? { json: true } : { out }) });
  return { matrix: made.matrix, files: made.files, warnings: made.warnings };
}
