/**
 * The container engine of a kind cluster, chosen as kind chooses it (sigs.k8s.io/kind 0.33: pkg/internal/runtime,
 * DetectNodeProvider in pkg/cluster/provider.go, IsAvailable in pkg/cluster/internal/providers).
 */
import { RefusedError } from "../common/errors.js";
import { type Env, tryRun, whyFailed } from "./try-run.js";

/** An engine's client by its name on PATH, and the variables that lead it and kind to the engine. */
export interface KindEngine {
  readonly command: string;
  readonly env: Readonly<Record<string, string>>;
}

/** In kind's order, with the first words of what the client's `-v` prints. podman's `docker` prints "podman version". */
const DETECTED = [
  ["docker", "Docker version"],
  ["nerdctl", "nerdctl version"],
  ["finch", "finch version"],
  ["podman", "podman version"],
] as const;

/** The clients that KIND_EXPERIMENTAL_PROVIDER may name. */
export const ENGINE_NAMES: readonly string[] = [...DETECTED.map(([name]) => name), "nerdctl.lima"];

/** Variables of the engines' clients that choose an engine. The journal keeps them: a restore needs the same engine. */
const CHOOSING = [
  ...["DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"],
  ...["CONTAINER_HOST", "CONTAINER_CONNECTION", "CONTAINERD_ADDRESS", "CONTAINERD_NAMESPACE"],
];

/**
 * The engine that kind uses. kind looks only at what is installed, not at what runs; so does this.
 *
 * @param warn is told when kind ignores the user's KIND_EXPERIMENTAL_PROVIDER.
 * @throws RefusedError when no engine is installed, or the chosen one does not answer.
 */
export async function chooseEngine(env: Env, warn: (text: string) => void): Promise<KindEngine> {
  const command = namedEngine(env, warn) ?? (await installedEngine(env));
  const info = await tryRun(env, command, ["info"], { timeout: 30_000 });
  if (info.failed) {
    throw new RefusedError(
      `the container engine does not answer: \`${command} info\` failed (${whyFailed(info)}). Start it, or name ` +
        `another one in KIND_EXPERIMENTAL_PROVIDER (${ENGINE_NAMES.join(", ")}).`,
    );
  }
  const chosen = CHOOSING.flatMap((name) => {
    const value = env[name];
    return value === undefined || value === "" ? [] : [[name, value] as const];
  });
  // With this variable kind cannot choose differently from this tool.
  return { command, env: { ...Object.fromEntries(chosen), KIND_EXPERIMENTAL_PROVIDER: command } };
}

function namedEngine(env: Env, warn: (text: string) => void): string | undefined {
  const named = env["KIND_EXPERIMENTAL_PROVIDER"];
  if (named === undefined || named === "") return undefined;
  if (ENGINE_NAMES.includes(named)) return named;
  warn(
    `KIND_EXPERIMENTAL_PROVIDER=${named} is ignored: kind does not know it. Known: ${ENGINE_NAMES.join(", ")}`,
  );
  return undefined;
}

async function installedEngine(env: Env): Promise<string> {
  for (const [name, words] of DETECTED) {
    const version = await tryRun(env, name, ["-v"], { timeout: 15_000 });
    const lines = version.stdout.trimEnd().split("\n");
    if (!version.failed && lines.length === 1 && lines[0]?.startsWith(words) === true) return name;
  }
  throw new RefusedError(
    `no container engine was found on PATH (kind looks for ${DETECTED.map(([name]) => name).join(", ")}). ` +
      "Install one of them, or on Debian 12 use --cluster lab.",
  );
}

/**
 * The clients that may reach a kind node, by its provider id (`kind://PROVIDER/CLUSTER/NODE`). kind writes `nerdctl` for
 * finch and nerdctl.lima, too (pkg/cluster/internal/providers/nerdctl/provider.go). Pure.
 */
export function enginesOf(providerId: string): readonly string[] {
  const provider = /^kind:\/\/([^/]*)/.exec(providerId)?.[1];
  if (provider === "nerdctl") return ["nerdctl", "finch", "nerdctl.lima"];
  return [provider === "podman" ? "podman" : "docker"];
}
