/** How a node is reached, as data: what the journal keeps, so that a restore reaches it the same way. */

export type NodeAccessSpec =
  /** kind's nodes are containers: the engine's client runs a command in them. */
  | { readonly type: "engine"; readonly command: string; readonly env: Readonly<Record<string, string>> }
  /** A command of the user's own (local configuration): an argument list, see `commandLine`. */
  | { readonly type: "command"; readonly argv: readonly string[] }
  /** A privileged pod of ours on each node, asked through the API server's pod proxy. */
  | { readonly type: "pod" };

/** A way to run commands on a node. None but "pod" leads through the API server. */
export interface NodeAccess {
  /** "docker exec", say: for the report. */
  readonly how: string;
  readonly spec: NodeAccessSpec;
  /**
   * Runs a command on a node.
   *
   * @returns its standard output.
   * @throws Error when the node can not be reached in `timeoutMs`, or the command fails.
   */
  exec(node: string, argv: readonly string[], timeoutMs: number): Promise<string>;
}
