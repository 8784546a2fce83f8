/** Where this tool keeps its files: as the XDG Base Directory Specification says, never in the working directory. */
import { isAbsolute, join } from "node:path";
import { UsageError } from "./errors.js";

type Env = Readonly<Record<string, string | undefined>>;

const PLACES = {
  /** Journals and the kubeconfig of a kind cluster: they must survive a restart. */
  state: { variable: "XDG_STATE_HOME", below: ".local/state" },
  /** The user's configuration for this machine. */
  config: { variable: "XDG_CONFIG_HOME", below: ".config" },
  /** Files that can be created again. */
  cache: { variable: "XDG_CACHE_HOME", below: ".cache" },
} as const;

/**
 * This tool's folder for the user's state, configuration or cache. Pure.
 *
 * @throws UsageError if the environment has no absolute path. The specification ignores a relative path, but then a journal
 * would be where its user does not expect it.
 */
export function userFolder(place: keyof typeof PLACES, env: Env): string {
  const { variable, below } = PLACES[place];
  const base = absoluteFrom(env, variable);
  if (base !== undefined) return join(base, "kube-system-chaos");
  const home = absoluteFrom(env, "HOME");
  if (home !== undefined) return join(home, below, "kube-system-chaos");
  throw new UsageError(
    `no folder for the ${place} of kube-system-chaos: neither ${variable} nor HOME is set. Set one of them to an absolute path.`,
  );
}

/**
 * The path in a variable; undefined if it is not set or empty. Pure.
 *
 * @throws UsageError if it is not absolute.
 */
export function absoluteFrom(env: Env, variable: string): string | undefined {
  const path = env[variable];
  if (path === undefined || path === "") return undefined;
  if (isAbsolute(path)) return path;
  throw new UsageError(
    `cannot use ${variable}: "${path}" is not an absolute path. Set ${variable} to an absolute path, or unset it.`,
  );
}
