/** The reporters of one command, together: one that fails never stops the command or another reporter. */
import { constants } from "node:fs";
import { access, lstat, rm, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { ExitCode, messageOf, UsageError } from "../common/errors.js";
import { makeFolder } from "../common/make-folder.js";
import { systemReason } from "../common/system-reason.js";
import { writeWhole } from "../report/files.js";
import { REPORTERS } from "./all-reporters.js";
import type { Outlets, Reporter, Session } from "./reporter.js";
import type { Requested } from "./requested.js";

export interface OpenReporters {
  /** Called after each run. */
  soFar(session: Session): Promise<void>;
  /** Called once, at the end. @returns whether everything that was asked for was written. */
  end(session: Session): Promise<boolean>;
}

export interface ReportersOptions extends Outlets {
  readonly requested: readonly Requested[];
  readonly reportsFolder: string;
  readonly warn: (text: string) => void;
  /** For tests. Default: the reporters by name. */
  readonly load?: (requested: Requested) => Promise<Reporter>;
}

interface Opened {
  readonly requested: Requested;
  readonly reporter: Reporter;
  /** undefined: it writes no file. */
  readonly path: string | undefined;
}

/**
 * Loads the reporters and makes sure that their files can be written, before anything is attacked. A file of an earlier
 * command is removed: it must not be taken for this one's.
 *
 * @throws UsageError when a file cannot be written. Nothing was attacked then.
 */
export async function openReporters(options: ReportersOptions): Promise<OpenReporters> {
  const { requested, reportsFolder, warn } = options;
  const load = options.load ?? (async ({ name }): Promise<Reporter> => await REPORTERS[name]());
  const opened: Opened[] = [];
  for (const each of requested) {
    const reporter = await load(each);
    opened.push({ requested: each, reporter, path: pathOf(each, reporter, reportsFolder) });
  }
  refuseSameFile(opened);
  for (const each of opened) await prepare(each);
  return {
    soFar: async (session) => {
      for (const { reporter, path } of opened)
        // What fails now is tried again at the end, which says so.
        if ("text" in reporter && path !== undefined)
          await write(reporter, path, session).catch(() => undefined);
    },
    end: async (session) => {
      let whole = true;
      for (const { requested: each, reporter, path } of opened) {
        try {
          if ("end" in reporter) await reporter.end(session, options);
          else if (path !== undefined) await write(reporter, path, session);
        } catch (error) {
          whole &&= each.automatic === true;
          const what = path === undefined ? "told nothing, or not all" : `wrote no ${path}`;
          warn(`the reporter ${each.name} ${what}: ${messageOf(error)}`);
        }
      }
      return whole;
    },
  };
}

/**
 * A command's exit code. A success of which a requested file is missing is none: CI would read an older file, or none, and
 * stay green. Every other code stays.
 *
 * @param whole what `end` returned.
 */
export function exitCodeOfWhole(exitCode: ExitCode, whole: boolean): ExitCode {
  return exitCode === ExitCode.asExpected && !whole ? ExitCode.failed : exitCode;
}

function pathOf({ name, file }: Requested, reporter: Reporter, folder: string): string | undefined {
  if ("text" in reporter) {
    if (file !== undefined) return file;
    return reporter.file === undefined ? undefined : join(folder, reporter.file);
  }
  if (file !== undefined)
    throw new UsageError(`the reporter ${name} takes no file: write ${name} without =${file}`);
  return undefined;
}

function refuseSameFile(opened: readonly Opened[]): void {
  const names = new Map<string, string>();
  for (const { path, requested } of opened) {
    if (path === undefined) continue;
    const other = names.get(resolve(path));
    if (other !== undefined)
      throw new UsageError(`the reporters ${other} and ${requested.name} would write the same file: ${path}`);
    names.set(resolve(path), requested.name);
  }
}

/** Whether a path is a file that may be replaced, or nothing; false: a device, a pipe or a link, which stay. */
async function isReplaceable(path: string): Promise<boolean> {
  try {
    const found = await lstat(path);
    if (found.isDirectory()) throw Object.assign(new Error("it is a folder"), { code: "EISDIR" });
    return found.isFile();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return true;
    throw error;
  }
}

async function prepare({ path, requested: { name } }: Opened): Promise<void> {
  if (path === undefined) return;
  try {
    await makeFolder(dirname(path));
    if (!(await isReplaceable(path))) return;
    await access(dirname(path), constants.W_OK);
    await rm(path, { force: true });
  } catch (error) {
    throw new UsageError(
      `the reporter ${name} cannot write ${path}: ${systemReason(error)}. Nothing was attacked. Name another file: --reporter ${name}=FILE`,
      { cause: error },
    );
  }
}

async function write(
  reporter: Extract<Reporter, { text: unknown }>,
  path: string,
  session: Session,
): Promise<void> {
  const text = await reporter.text(session);
  // A device or a pipe cannot be replaced, and a link stays one.
  if (await isReplaceable(path)) await writeWhole(path, text);
  else await writeFile(path, text);
}
