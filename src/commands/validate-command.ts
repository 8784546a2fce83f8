import { objectName } from "../common/object-name.js";
import { linesOf, loadFiles } from "../load/load-files.js";
import type { LoadedExperiment, Problem } from "../load/read.js";
import type { ReferenceOptions } from "../load/references.js";
import { formatDurationMs } from "../experiment/schema.js";

/** What `chaos validate` finds. */
export interface Validation {
  /** false: a file is bad, or a reference matches nothing. */
  readonly ok: boolean;
  /** Each file once, in the order of the references. */
  readonly files: readonly {
    readonly file: string;
    /** The name of the experiment; null: the file is bad. */
    readonly name: string | null;
    /** In the order of the file. */
    readonly problems: readonly Problem[];
  }[];
  /** Messages for the references that match nothing. */
  readonly unmatched: readonly string[];
  /** What the command prints. */
  readonly lines: readonly string[];
}

/**
 * Checks experiment files without a cluster: one line per good file, one line per problem of a bad file, sorted by file,
 * and a summary if there is more than one file. A file that is named twice is checked once.
 *
 * @param references files, folders or names, as for `chaos run`. */
export async function validate(
  references: readonly string[],
  options: ReferenceOptions = {},
): Promise<Validation> {
  const loaded = await loadFiles(references, options);
  const files = loaded.files.map((each) =>
    "lines" in each
      ? { file: each.file, name: null, problems: each.problems }
      : { file: each.file, name: each.experiment.metadata.name, problems: [] },
  );
  const { unmatched } = loaded;
  const ok = unmatched.length === 0 && files.every(({ name }) => name !== null);
  return { ok, files, unmatched, lines: linesOf(loaded, describe) };
}

/** `experiments/kube-dns.yaml: ok (kube-dns: delete-workload on kube-dns, window 60s)` */
function describe({ file, experiment }: LoadedExperiment): string {
  const { attack, metadata, phases, target } = experiment;
  const what = "component" in target ? target.component : objectName(target);
  const how = attack === undefined ? `the default attack` : attack.type;
  return `${file}: ok (${metadata.name}: ${how} on ${what}, window ${formatDurationMs(phases.window)})`;
}
