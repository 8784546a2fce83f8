import { objectName } from "../common/object-name.js";
import { linesOf, loadFiles } from "../load/load-files.js";
import type { LoadedExperiment } from "../load/read.js";
import type { ReferenceOptions } from "../load/references.js";
import { formatDurationMs } from "../experiment/schema.js";

/**
 * Checks experiment files without a cluster: one line per good file, one line per problem of a bad file, sorted by file,
 * and a summary if there is more than one file. A file that is named twice is checked once.
 *
 * @param references files, folders or names, as for `chaos run`.
 * @returns `ok` is false when a file is bad or a reference matches nothing.
 */
export async function validate(
  references: readonly string[],
  options: ReferenceOptions = {},
): Promise<{ ok: boolean; lines: string[] }> {
  const loaded = await loadFiles(references, options);
  const ok = loaded.unmatched.length === 0 && loaded.files.every((each) => !("lines" in each));
  return { ok, lines: linesOf(loaded, describe) };
}

/** `experiments/kube-dns.yaml: ok (kube-dns: delete-workload on kube-dns, window 60s)` */
function describe({ file, experiment }: LoadedExperiment): string {
  const { attack, metadata, phases, target } = experiment;
  const what = "component" in target ? target.component : objectName(target);
  const how = attack === undefined ? `the default attack` : attack.type;
  return `${file}: ok (${metadata.name}: ${how} on ${what}, window ${formatDurationMs(phases.window)})`;
}
