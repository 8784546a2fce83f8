/**
 * Which kubeconfig files there are, and their merged content: the rules of client-go's tools/clientcmd/loader.go. Unlike
 * kubectl, which falls back to localhost:8080, a configuration that is set must be usable.
 */
import { homedir } from "node:os";
import { delimiter, join, resolve } from "node:path";
import { UsageError } from "../../common/errors.js";
import { NotRegularFileError, readBounded } from "../../common/read-file.js";
import { systemReason, tildeAdvice } from "../../common/system-reason.js";
import { KubeconfigProblem } from "./go-yaml.js";
import { parseKubeconfig } from "./parse.js";
import type { Defined, Kubeconfig } from "./types.js";

export type Env = Readonly<Record<string, string | undefined>>;

/** Where a kubeconfig comes from. */
export interface KubeconfigSource {
  /** --kubeconfig: this file only, which must exist. */
  readonly kubeconfigPath?: string | undefined;
  /** Files as KUBECONFIG lists them. Default: KUBECONFIG, else ~/.kube/config. */
  readonly kubeconfigList?: string | undefined;
  readonly env: Env;
  /** Told about files of a list that do not exist. */
  readonly warn?: ((text: string) => void) | undefined;
}

export interface LoadedKubeconfig {
  readonly config: Kubeconfig;
  /** The files that were read, first wins. */
  readonly files: readonly string[];
  /** The list, with absolute paths, as KUBECONFIG has it: a later process finds the same. */
  readonly list: string;
}

/** Thousands of clusters with their certificates. */
const MAX_BYTES = 16 * 2 ** 20;

/**
 * Loads and merges the files.
 *
 * @returns undefined when none is set and ~/.kube/config does not exist.
 * @throws UsageError when a file is set but unusable, with its name and the reason.
 */
export async function loadKubeconfig(source: KubeconfigSource): Promise<LoadedKubeconfig | undefined> {
  const { kubeconfigPath, env, warn } = source;
  const listed = source.kubeconfigList ?? env["KUBECONFIG"] ?? "";
  if (kubeconfigPath !== undefined) {
    const config = await readFile(kubeconfigPath, "--kubeconfig");
    if (config === undefined) throw unreadable(kubeconfigPath, "--kubeconfig", "there is no such file");
    return { config, files: [kubeconfigPath], list: resolve(kubeconfigPath) };
  }
  if (listed === "") {
    const file = homeFile(env);
    const config = file === undefined ? undefined : await readFile(file, "");
    return file === undefined || config === undefined ? undefined : { config, files: [file], list: file };
  }
  return await loadList(listed, warn);
}

async function loadList(listed: string, warn: KubeconfigSource["warn"]): Promise<LoadedKubeconfig> {
  const paths = [...new Set(listed.split(delimiter).filter((path) => path !== ""))];
  const read: Defined<Kubeconfig>[] = [];
  const missing: string[] = [];
  for (const file of paths) {
    const value = await readFile(file, "KUBECONFIG");
    if (value === undefined) missing.push(file);
    else read.push({ file, value });
  }
  const [first, ...others] = missing;
  if (first === undefined && read.length === 0)
    throw new UsageError(`KUBECONFIG is set to ${JSON.stringify(listed)}, which names no file. Unset it`);
  if (first !== undefined && read.length === 0) {
    const nor = others.length === 0 ? "" : `, nor ${others.join(", ")}`;
    throw unreadable(first, "KUBECONFIG", `there is no such file${nor}`);
  }
  for (const file of missing) warn?.(`KUBECONFIG names ${file}, which does not exist: it is skipped`);
  return {
    config: mergeKubeconfigs(read.map(({ value }) => value)),
    files: read.map(({ file }) => file),
    list: paths.map((path) => resolve(path)).join(delimiter),
  };
}

/** The first definition of a name wins, whole; so does the first current-context. Pure. */
function mergeKubeconfigs(configs: readonly Kubeconfig[]): Kubeconfig {
  const lastFirst = [...configs].reverse();
  const merged = <T>(part: (config: Kubeconfig) => ReadonlyMap<string, T>): Map<string, T> =>
    new Map(lastFirst.flatMap((config) => [...part(config)]));
  return {
    currentContext: configs.find(({ currentContext }) => currentContext !== undefined)?.currentContext,
    clusters: merged(({ clusters }) => clusters),
    users: merged(({ users }) => users),
    contexts: merged(({ contexts }) => contexts),
  };
}

/** ~/.kube/config; as in client-go, HOME says where that is. */
function homeFile(env: Env): string | undefined {
  const home = env["HOME"] ?? (process.platform === "win32" ? homedir() : undefined);
  return home === undefined || home === "" ? undefined : join(home, ".kube", "config");
}

/**
 * @param from what names the file, for the message.
 * @returns undefined when it does not exist.
 */
async function readFile(file: string, from: string): Promise<Kubeconfig | undefined> {
  let bytes: Uint8Array | undefined;
  try {
    bytes = await readBounded(file, MAX_BYTES);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw unreadable(file, from, reasonOf(error), error);
  }
  if (bytes === undefined) throw unreadable(file, from, `it has more than ${MAX_BYTES / 2 ** 20} MiB`);
  try {
    return parseKubeconfig(bytes, file);
  } catch (error) {
    if (!(error instanceof KubeconfigProblem)) throw error;
    throw new UsageError(
      `${place(file, error.line)}: cannot use this kubeconfig: ${error.message}. Correct it, or name another one with --kubeconfig`,
    );
  }
}

function reasonOf(error: unknown): string {
  return error instanceof NotRegularFileError
    ? `it is ${error.kind}, not a regular file`
    : systemReason(error);
}

function unreadable(file: string, from: string, reason: string, cause?: unknown): UsageError {
  const named = from === "" ? "" : `, which ${from} names`;
  const options = cause === undefined ? {} : { cause };
  const advice = `${tildeAdvice(file)}. Name another one with --kubeconfig${from === "KUBECONFIG" ? ", or unset KUBECONFIG" : ""}`;
  return new UsageError(`cannot read the kubeconfig ${file}${named}: ${reason}${advice}`, options);
}

/** `file:line`, as editors and CI turn it into a link. */
function place(file: string, line: number | undefined): string {
  return line === undefined ? file : `${file}:${line}`;
}
