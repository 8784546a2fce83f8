/** The command line of this process, to be pasted into a POSIX shell. */
import { basename, delimiter, dirname } from "node:path";
import { quoted } from "../common/shell-word.js";

/** What started this process. */
export interface Started {
  /** As process.argv: Node, the script, then the arguments. */
  readonly argv: readonly string[];
  readonly execArgv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
}

/**
 * The same command with more flags. KUBECONFIG is written before it: without the variable, the same context name could
 * lead to another cluster. Pure.
 */
export function commandLineWith(started: Started, flags: readonly string[]): string {
  const { argv, env } = started;
  const args = argv.slice(2);
  const end = args.includes("--") ? args.indexOf("--") : args.length;
  const all = [...programOf(started), ...args.slice(0, end), ...flags, ...args.slice(end)];
  const kubeconfig = env["KUBECONFIG"] ?? "";
  return [...(kubeconfig === "" ? [] : [`KUBECONFIG=${quoted(kubeconfig)}`]), ...all.map(quoted)].join(" ");
}

/** How the user's shell finds this program. */
function programOf({ argv, execArgv, env }: Started): string[] {
  const [node = "node", script = ""] = argv;
  if (basename(script) !== "chaos") return [node, ...execArgv, script];
  // npx puts its own folder on the PATH of what it runs, so the PATH does not tell.
  if (env["npm_command"] === "exec") return ["npx", "chaos"];
  return [(env["PATH"] ?? "").split(delimiter).includes(dirname(script)) ? "chaos" : script];
}
