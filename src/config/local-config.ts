/**
 * The local configuration: what may be run on this machine is said by its user, never by an experiment file.
 * `$XDG_CONFIG_HOME/kube-system-chaos/config.yaml` (default `~/.config/…`), or the file of --config.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { LineCounter, parseDocument } from "yaml";
import { z } from "zod";
import { messageOf, UsageError } from "../errors.js";

const schema = z.strictObject({
  nodeAccess: z
    .strictObject({
      command: z
        .array(z.string().min(1))
        .min(1)
        .describe(
          'An argument list that runs a command on a node: "{node}" is the node\'s name, "{command}" the command, quoted for a shell; without "{command}" the command\'s own arguments follow.',
        ),
    })
    .optional(),
});
export type LocalConfig = z.output<typeof schema>;

/**
 * Reads the local configuration; an empty one where the user has none.
 *
 * @param file that was named on the command line: it must be there then.
 * @throws UsageError `file:line:column: message` when it is no such configuration.
 */
export async function loadLocalConfig(
  file: string | undefined,
  env: Readonly<Record<string, string | undefined>>,
): Promise<LocalConfig> {
  const path =
    file ??
    join(env["XDG_CONFIG_HOME"] ?? join(env["HOME"] ?? ".", ".config"), "kube-system-chaos", "config.yaml");
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    if (file === undefined && (error as NodeJS.ErrnoException).code === "ENOENT") return {};
    throw new UsageError(`cannot read the local configuration ${path}: ${messageOf(error)}`, {
      cause: error,
    });
  }
  return parseLocalConfig(text, path);
}

/** Pure. @throws UsageError with the place of every mistake. */
export function parseLocalConfig(text: string, path: string): LocalConfig {
  const lineCounter = new LineCounter();
  const document = parseDocument(text, { lineCounter, prettyErrors: false });
  const at = (offset: number, message: string): string => {
    const { line, col } = lineCounter.linePos(offset);
    return `${path}:${line}:${col}: ${message}`;
  };
  if (document.errors.length > 0)
    throw new UsageError(document.errors.map((error) => at(error.pos[0], error.message)).join("\n"));
  const parsed = schema.safeParse(document.toJS({ maxAliasCount: 0 }) ?? {});
  if (parsed.success) return parsed.data;
  throw new UsageError(
    parsed.error.issues
      .map((issue) => {
        // The key itself, or the nearest thing around it that the file has.
        const keys = issue.path.map(String);
        let node: unknown;
        for (let length = keys.length; length > 0 && node === undefined; length -= 1)
          node = document.getIn(issue.path.slice(0, length), true);
        const range = (node as { range?: readonly number[] } | undefined)?.range;
        return at(range?.[0] ?? 0, `${keys.join(".")}${keys.length === 0 ? "" : ": "}${issue.message}`);
      })
      .join("\n"),
  );
}
