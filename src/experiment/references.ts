import { readdir, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { UsageError, messageOf } from "../errors.js";
import { packageRoot } from "../package-root.js";
import { nearest } from "./near.js";

export interface ReferenceOptions {
  /** The folder that relative paths start from. Default: the process's. */
  readonly cwd?: string;
  /** The package's own experiments. Default: `experiments/` of this package. */
  readonly packageExperiments?: string;
}

const EXTENSIONS = [".yaml", ".yml"];

/**
 * The experiment files that an argument of the command line means: a path to a file or a folder (all its
 * *.yaml and *.yml, sorted by name, not its subfolders), or the bare name of an experiment, with or without
 * extension, in ./experiments, ./experiments/variants, or else among those that come with this package.
 *
 * @returns absolute paths, at least one.
 * @throws UsageError when there is nothing: what was looked for, where, and what has a similar name.
 */
export async function resolveReference(reference: string, options: ReferenceOptions = {}): Promise<string[]> {
  const cwd = options.cwd ?? process.cwd();
  if (reference === "") throw new UsageError("an experiment's name or path is needed, not an empty text");
  const direct = resolve(cwd, reference);
  const found = await kindOf(direct);
  if (found === "file") return [direct];
  if (found === "folder") return await filesOf(direct, reference);

  const isBareName = !/[/\\]/.test(reference);
  const own = options.packageExperiments ?? join(packageRoot(), "experiments");
  const roots = isBareName ? [...new Set([join(cwd, "experiments"), own])] : [];
  const folders = roots.flatMap((root) => [root, join(root, "variants")]);
  for (const folder of folders) {
    for (const name of [reference, ...EXTENSIONS.map((extension) => reference + extension)]) {
      if ((await kindOf(join(folder, name))) === "file") return [join(folder, name)];
    }
  }
  throw await notFound(reference, direct, folders);
}

async function notFound(reference: string, direct: string, folders: readonly string[]): Promise<UsageError> {
  const names = new Set<string>();
  for (const folder of folders) {
    for (const file of await namesOf(folder)) names.add(file.replace(/\.ya?ml$/, ""));
  }
  const sorted = [...names].sort();
  const near = nearest(reference.replace(/\.ya?ml$/, ""), sorted);
  const where = [direct, ...folders.map((folder) => join(folder, withExtension(reference)))];
  const known = sorted.length === 0 ? "" : `\nexperiments there: ${sorted.join(", ")}`;
  return new UsageError(
    `no experiment "${reference}"${near === undefined ? "" : `; did you mean ${near}?`}\nlooked for: ${where.join(", ")}${known}`,
  );
}

async function filesOf(folder: string, reference: string): Promise<string[]> {
  let names: string[];
  try {
    names = await namesOf(folder, { mustExist: true });
  } catch (error) {
    throw new UsageError(`${reference}: cannot be read: ${messageOf(error)}`, { cause: error });
  }
  if (names.length === 0)
    throw new UsageError(`${reference}: no experiment files (*.yaml, *.yml) in this folder`);
  return names.map((name) => join(folder, name));
}

/** Names of the YAML files of a folder, sorted the same everywhere. A folder that is missing has none. */
async function namesOf(folder: string, { mustExist = false } = {}): Promise<string[]> {
  try {
    const names = (await readdir(folder)).filter((name) => /^[^.].*\.ya?ml$/.test(name)).sort();
    const kinds = await Promise.all(names.map((name) => kindOf(join(folder, name))));
    return names.filter((_, index) => kinds[index] === "file");
  } catch (error) {
    if (mustExist) throw error;
    return [];
  }
}

/** Follows links. What is neither file nor folder is left to the reader of the file, who says so. */
async function kindOf(path: string): Promise<"file" | "folder" | undefined> {
  try {
    return (await stat(path)).isDirectory() ? "folder" : "file";
  } catch {
    return undefined;
  }
}

function withExtension(name: string): string {
  return EXTENSIONS.some((extension) => name.endsWith(extension)) ? name : `${name}.yaml`;
}
