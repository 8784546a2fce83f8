import { resolveExperiment } from "../components/resolve.js";
import type { Loaded } from "./choose.js";
import { loadGood } from "./load-files.js";
import type { ReferenceOptions } from "./read.js";

/** Loads every referenced experiment once, in the order of the references. @throws UsageError with the problems of all files. */
export async function loadAll(
  references: readonly string[],
  options: ReferenceOptions = {},
): Promise<Loaded[]> {
  const good = await loadGood(references, options);
  return good.map(({ file, experiment }) => ({ file, resolved: resolveExperiment(experiment) }));
}
