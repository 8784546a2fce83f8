import { execa } from "execa";
import { messageOf } from "../errors.js";
import type { Node } from "./objects.js";
import type { ClusterHandle } from "./provider.js";

/** A way to a node that does not lead through the API server. */
export interface NodeAccess {
  /** "docker exec", say: for the report. */
  readonly how: string;
  /**
   * Runs a command on a node.
   *
   * @throws Error when the node can not be reached in `timeoutMs`, or the command fails.
   */
  exec(node: string, argv: readonly string[], timeoutMs: number): Promise<string>;
}

/** The engine's client, and what it needs to find its engine. */
export interface Engine {
  readonly command: string;
  readonly env: Readonly<Record<string, string>>;
}

/** kind's nodes are containers: the engine runs a command in them. */
export function engineAccess(engine: Engine): NodeAccess {
  return {
    how: `${engine.command.split("/").at(-1) ?? "engine"} exec`,
    exec: async (node, argv, timeoutMs) => {
      const { stdout } = await execa(engine.command, ["exec", node, ...argv], {
        env: engine.env,
        timeout: timeoutMs,
        stdin: "ignore",
      });
      return stdout;
    },
  };
}

/**
 * Node access where there is one: the engine that a kind cluster runs in. Proven by asking for each node.
 *
 * @returns the access, or why there is none.
 */
export async function findNodeAccess(
  nodes: readonly Node[],
  handle: Pick<ClusterHandle, "engineCommand" | "env">,
): Promise<NodeAccess | { readonly none: string }> {
  const notKind = nodes.find((node) => !(node.spec?.providerID ?? "").startsWith("kind://"));
  if (notKind !== undefined) return { none: `node ${notKind.metadata.name} is not a kind node` };
  const access = engineAccess({ command: handle.engineCommand ?? "docker", env: handle.env });
  try {
    await Promise.all(nodes.map(async (node) => await access.exec(node.metadata.name, ["true"], 10_000)));
    return access;
  } catch (error) {
    return {
      none: `the container engine does not reach the nodes: ${messageOf(error).split("\n")[0] ?? ""}`,
    };
  }
}
