import type { NodeAccessOptions } from "../nodes/access.js";
import type { LocalConfig } from "../config/local-config.js";
import { UsageError } from "../common/errors.js";

/**
 * How nodes may be reached. A command runs only if it is in the local configuration and allowed on the command line; a
 * privileged pod is used only on request. Pure.
 *
 * @throws UsageError when a command is requested but is not configured or not allowed.
 */
export function nodeAccessOptions(
  flags: { readonly nodeAccess: "engine" | "pod" | "command" | undefined; readonly allowCommands: boolean },
  config: LocalConfig,
): NodeAccessOptions {
  const command = config.nodeAccess?.command;
  if (flags.nodeAccess === "command") {
    if (command === undefined)
      throw new UsageError(
        "--node-access command: the local configuration has no nodeAccess.command. Add it there, or name another way",
      );
    if (!flags.allowCommands)
      throw new UsageError(
        "--node-access command runs a command of the local configuration: add --allow-commands",
      );
  }
  return {
    ...(flags.nodeAccess === undefined ? {} : { only: flags.nodeAccess }),
    ...(command !== undefined && flags.allowCommands ? { command } : {}),
  };
}
