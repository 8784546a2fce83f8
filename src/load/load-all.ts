import { ChaosError, UsageError } from "../common/errors.js";
import { resolveExperiment } from "../components/resolve.js";
import type { Loaded } from "./choose.js";
import { loadExperiment, resolveReference, type ReferenceOptions } from "./read.js";

/** Loads every referenced experiment once, in the order of the references. @throws UsageError with the problems of all files. */
export async function loadAll(
  references: readonly string[],
  options: ReferenceOptions = {},
): Promise<Loaded[]> {
  const found = await Promise.all(references.map(async (each) => await resolveReference(each, options)));
  const loaded: Loaded[] = [];
  const problems: string[] = [];
  for (const path of new Set(found.flat())) {
    try {
      const { file, experiment } = await loadExperiment(path, options.cwd);
      loaded.push({ file, resolved: resolveExperiment(experiment) });
    } catch (error) {
      if (!(error instanceof ChaosError)) throw error;
      problems.push(error.message);
    }
  }
  if (problems.length > 0) throw new UsageError(problems.join("\n"));
  return loaded;
}
