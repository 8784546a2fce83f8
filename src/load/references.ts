import { opendir, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { UsageError } from "../common/errors.js";
import { packageRoot } from "../common/package-root.js";
import { systemReason } from "../common/system-reason.js";
import { ALIASES } from "../experiment/aliases.js";
import { didYouMean } from "../strict-yaml/near.js";
import { escapeInvisible } from "../strict-yaml/quote.js";

export interface ReferenceOptions {
  /** Base of relative paths. Default: the working directory. */
  readonly cwd?: string;
  /** Folder of the package's experiments. Default: `experiments/` of this package. */
  readonly packageExperiments?: string;
}

const EXTENSIONS = [".yaml", ".yml", ".json"];
const EXTENSION = /\.(ya?ml|json)$/i;
/** A JSON Schema, which editors need beside the experiments (experiments/experiment.schema.json). */
const SCHEMA = /\.schema\.json$/i;

/** Maximum number of files in a folder. An experiment takes minutes, so a larger folder is a mistake. */
const MAX_FILES = 1000;
/** Maximum number of known names in the message for an unknown name. */
const MAX_NAMES_SHOWN = 50;

/**
 * The experiment files for an argument of the command line: a path of a file or a folder (all its *.yaml, *.yml and
 * *.json, in upper or lower case, sorted by name, without subfolders and *.schema.json), or the bare name of an experiment, with or without extension, in ./experiments,
 * ./experiments/variants, or in the experiments of this package.
 *
 * @returns absolute paths, at least one.
 * @throws UsageError if nothing is found, with the searched paths and similar names.
 */
export async function resolveReference(reference: string, options: ReferenceOptions = {}): Promise<string[]> {
  const cwd = options.cwd ?? process.cwd();
  if (reference === "")
    throw new UsageError(
      "the name or path of an experiment must not be empty: name a file, a folder or an experiment such as kube-dns",
    );
  const direct = resolve(cwd, reference);
  const found = await kindOf(direct);
  if (found === "file") return [direct];
  if (found === "folder") return await filesOf(direct, reference);
  if (found instanceof Error) throw unreadable(reference, found);

  const isBareName = !/[/\\]/.test(reference);
  const own = options.packageExperiments ?? join(packageRoot(), "experiments");
  const roots = isBareName ? [...new Set([join(cwd, "experiments"), own])] : [];
  const folders = roots.flatMap((root) => [root, join(root, "variants")]);
  for (const folder of folders) {
    for (const extension of ["", ...EXTENSIONS, ...EXTENSIONS.map((each) => each.toUpperCase())]) {
      const path = join(folder, reference + extension);
      if ((await kindOf(path)) === "file") return [path];
    }
  }
  throw await notFound(reference, direct, folders);
}

async function notFound(reference: string, direct: string, folders: readonly string[]): Promise<UsageError> {
  const names = new Set<string>();
  for (const folder of folders) {
    for (const file of await namesOf(folder)) names.add(escapeInvisible(withoutExtension(file)));
  }
  const sorted = [...names].sort();
  const near = didYouMean(withoutExtension(reference), sorted, ALIASES);
  const where = [direct, ...folders.map((folder) => join(folder, withExtension(reference)))];
  const shown = sorted.slice(0, MAX_NAMES_SHOWN).join(", ");
  const rest = sorted.length - MAX_NAMES_SHOWN;
  const known =
    sorted.length === 0 ? "" : `\nknown experiments: ${shown}${rest > 0 ? ` and ${rest} more` : ""}`;
  return new UsageError(
    `no experiment "${escapeInvisible(reference)}"${near}\nlooked for: ${escapeInvisible(where.join(", "))}${known}`,
  );
}

async function filesOf(folder: string, reference: string): Promise<string[]> {
  let names: string[];
  try {
    names = await namesOf(folder, { mustExist: true });
  } catch (error) {
    throw unreadable(reference, error);
  }
  const shown = escapeInvisible(reference);
  if (names.length === 0)
    throw new UsageError(
      `${shown}: no experiment files (*.yaml, *.yml, *.json) in this folder. Name another one, or write some with \`chaos init ${shown}\``,
    );
  if (names.length > MAX_FILES)
    throw new UsageError(
      `${shown}: more than ${MAX_FILES} experiment files in this folder: name the files, or a smaller folder`,
    );
  return names.map((name) => join(folder, name));
}

function unreadable(reference: string, error: unknown): UsageError {
  return new UsageError(escapeInvisible(`${reference}: cannot be read: ${systemReason(error)}`), {
    cause: error,
  });
}

/**
 * Names of the experiment files of a folder, sorted independently of the locale; at most one more than {@link MAX_FILES}. A
 * missing folder has none.
 */
async function namesOf(folder: string, { mustExist = false } = {}): Promise<string[]> {
  const names: string[] = [];
  try {
    for await (const { name } of await opendir(folder)) {
      if (name.startsWith(".") || !EXTENSION.test(name) || SCHEMA.test(name)) continue;
      if ((await kindOf(join(folder, name))) === "folder") continue;
      names.push(name);
      if (names.length > MAX_FILES) break;
    }
  } catch (error) {
    if (mustExist) throw error;
    return [];
  }
  return names.sort();
}

/**
 * Follows links. Anything else than a folder (a pipe, for example) counts as a file: reading it reports the error.
 * Undefined: it does not exist. An error: that cannot be determined.
 */
async function kindOf(path: string): Promise<"file" | "folder" | Error | undefined> {
  try {
    return (await stat(path)).isDirectory() ? "folder" : "file";
  } catch (error) {
    return isMissing(error) ? undefined : (error as Error);
  }
}

/** A name that is too long cannot exist. */
function isMissing(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === "ENOENT" || code === "ENOTDIR" || code === "ENAMETOOLONG";
}

function withExtension(name: string): string {
  return EXTENSION.test(name) ? name : `${name}.yaml`;
}

function withoutExtension(name: string): string {
  return name.replace(EXTENSION, "");
}
