/**
 * The local configuration: only the user decides which commands run on this machine and which images are pulled, never
 * an experiment file.
 * `$XDG_CONFIG_HOME/kube-system-chaos/config.yaml` (default `~/.config/…`), or the file of --config.
 */
import { join } from "node:path";
import * as z from "zod";
import { UsageError } from "../common/errors.js";
import { userFolder } from "../common/places.js";
import { systemReason, tildeAdvice } from "../common/system-reason.js";
import { explainIssues } from "../strict-yaml/explain.js";
import { messageOfIssue } from "../strict-yaml/messages.js";
import { LineIndex, Positions } from "../strict-yaml/positions.js";
import { formatPath, formatProblem, sortProblems } from "../strict-yaml/problems.js";
import { readBounded } from "../common/read-file.js";
import { FRONTEND_UNUSED, frontendIsUsed, podSettings } from "./pod-settings.js";
import { decodeUtf8, MAX_FILE_BYTES, tooLarge, type TextProblem } from "../strict-yaml/text.js";
import { isEmpty, readYaml } from "../strict-yaml/yaml.js";

/** Name of the file type, for messages. */
const WHAT = "a configuration";

const keys = z.strictObject({
  ...podSettings,
  nodeAccess: z
    .strictObject({
      command: z
        .array(z.string().min(1))
        .min(1)
        .describe(
          'Argument list that runs a command on a node. "{node}" is the node\'s name, "{command}" the command, quoted for a shell. Without "{command}" the arguments of the command are appended.',
        ),
    })
    .optional(),
});
const schema = keys.refine(frontendIsUsed, { ...FRONTEND_UNUSED });
export type LocalConfig = z.output<typeof schema>;

/**
 * Reads the local configuration. It is empty if the user has none.
 *
 * @param file from the command line. If set, it must exist.
 * @throws UsageError `file:line:column: message` if it is invalid.
 */
export async function loadLocalConfig(
  file: string | undefined,
  env: Readonly<Record<string, string | undefined>>,
): Promise<LocalConfig> {
  const path = file ?? join(userFolder("config", env), "config.yaml");
  let bytes: Uint8Array | undefined;
  try {
    bytes = await readBounded(path, MAX_FILE_BYTES);
  } catch (error) {
    if (file === undefined && (error as NodeJS.ErrnoException).code === "ENOENT") return {};
    const named =
      file === undefined
        ? ". Check XDG_CONFIG_HOME and HOME"
        : `${tildeAdvice(file)}. Name another file with --config`;
    throw new UsageError(`cannot read the local configuration ${path}: ${systemReason(error)}${named}`, {
      cause: error,
    });
  }
  if (bytes === undefined) throw refused(path, "", [{ offset: 0, message: tooLarge(WHAT) }]);
  const { text, problem } = decodeUtf8(bytes);
  if (problem !== undefined) throw refused(path, text, [problem]);
  return parseLocalConfig(text, path);
}

/** Pure. @throws UsageError with the position of every problem. */
export function parseLocalConfig(text: string, path: string): LocalConfig {
  const read = readYaml(text, WHAT);
  if ("problems" in read) throw refused(path, text, read.problems);
  const { document, duplicates } = read;
  if (duplicates.length > 0) throw refused(path, text, duplicates);
  const value: unknown = isEmpty(document) ? {} : document.toJS({ maxAliasCount: 0 });
  const parsed = schema.safeParse(value, { error: messageOfIssue });
  if (parsed.success) return parsed.data;
  const positions = new Positions(document, new LineIndex(text));
  const problems = explainIssues(parsed.error.issues, value).map(({ path: keys, part, message }) => ({
    file: path,
    ...positions.place(keys, part),
    path: formatPath(keys),
    message,
  }));
  throw new UsageError(sortProblems(problems).map(formatProblem).join("\n"));
}

function refused(path: string, text: string, found: readonly TextProblem[]): UsageError {
  const lines = new LineIndex(text);
  const problems = found.map(({ offset, message }) => ({
    file: path,
    ...lines.placeOf(offset),
    path: "",
    message,
  }));
  return new UsageError(sortProblems(problems).map(formatProblem).join("\n"));
}
