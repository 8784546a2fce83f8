import { objectName } from "../common/object-name.js";
import { ChaosError } from "../common/errors.js";
import { loadExperiment, resolveReference, type LoadedExperiment } from "../load/read.js";
import type { ReferenceOptions } from "../load/references.js";
import { formatDurationMs } from "../experiment/schema.js";

/**
 * Checks experiment files without a cluster: one line per good file, one line per problem of a bad file. A file that is
 * named twice is checked once.
 *
 * @param references files, folders or names, as for `chaos run`.
 * @returns `ok` is false when a file is bad or a reference matches nothing.
 */
export async function validate(
  references: readonly string[],
  options: ReferenceOptions = {},
): Promise<{ ok: boolean; lines: string[] }> {
  const seen = new Set<string>();
  const lines: string[] = [];
  let ok = true;
  const attempt = async (work: () => Promise<void>): Promise<void> => {
    try {
      await work();
    } catch (error) {
      if (!(error instanceof ChaosError)) throw error;
      ok = false;
      lines.push(...error.message.split("\n"));
    }
  };
  for (const reference of references) {
    await attempt(async () => {
      for (const path of await resolveReference(reference, options)) {
        if (seen.has(path)) continue;
        seen.add(path);
        await attempt(async () => {
          lines.push(describe(await loadExperiment(path, options.cwd)));
        });
      }
    });
  }
  return { ok, lines };
}

/** `experiments/kube-dns.yaml: ok (kube-dns: delete-workload on kube-dns, window 60s)` */
function describe({ file, experiment }: LoadedExperiment): string {
  const { attack, metadata, phases, target } = experiment;
  const what = "component" in target ? target.component : objectName(target);
  const how = attack === undefined ? `the default attack` : attack.type;
  return `${file}: ok (${metadata.name}: ${how} on ${what}, window ${formatDurationMs(phases.window)})`;
}
