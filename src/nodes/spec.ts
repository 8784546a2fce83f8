/** How to reach a node, as data: the journal keeps it, so that a restore reaches the node the same way. */

export type NodeAccessSpec =
  /** kind's nodes are containers: the engine's client runs commands in them. */
  | { readonly type: "engine"; readonly command: string; readonly env: Readonly<Record<string, string>> }
  /** A command from the user's configuration: an argument list, see `commandLine`. */
  | { readonly type: "command"; readonly argv: readonly string[] }
  /** This tool's privileged pod on each node, through the API server's pod proxy. */
  | { readonly type: "pod" };

/** A way to run commands on a node. Only "pod" uses the API server. */
export interface NodeAccess {
  /** For the report, such as "docker exec". */
  readonly how: string;
  readonly spec: NodeAccessSpec;
  /**
   * Runs a command on a node.
   *
   * @returns its standard output.
   * @throws Error when the node cannot be reached within `timeoutMs`, or the command fails.
   */
  exec(node: string, argv: readonly string[], timeoutMs: number): Promise<string>;
}
