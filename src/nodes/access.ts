import { execa } from "execa";
import { ENGINE_NAMES, enginesOf } from "../clusters/kind-engine.js";
import type { ClusterHandle } from "../clusters/provider.js";
import { whyNotStarted } from "../clusters/try-run.js";
import { ChaosError, ExitCode, messageOf } from "../common/errors.js";
import type { Node } from "../kube/objects.js";
import type { Transport } from "../kube/transport.js";
import { podAccess } from "./pod-access.js";
import type { NodeAccess, NodeAccessSpec } from "./spec.js";

/** The engine's client, and the environment that it needs to reach its engine. */
export interface Engine {
  readonly command: string;
  readonly env: Readonly<Record<string, string>>;
}

/** Limit of a command's output, bytes. Expected output is a few lines. */
const MAX_OUTPUT = 1024 * 1024;

/** After SIGTERM a command gets SIGKILL after this time, ms. */
const KILL_AFTER_MS = 1_000;

/** Time limit of the first command on a node, ms. */
const PROOF_TIMEOUT_MS = 10_000;

/**
 * kind's nodes are containers: the engine's client runs commands in them. kind itself adds --privileged; in a privileged
 * container, as its nodes are, a command has the container's capabilities without it.
 */
export function engineAccess(engine: Engine): NodeAccess {
  const { command, env } = engine;
  const how = `${baseName(command)} exec`;
  return {
    how,
    spec: { type: "engine", command, env },
    exec: async (node, argv, timeoutMs) =>
      await runLocally({ how, node, command: [command, "exec", node, ...argv], env, timeoutMs }),
  };
}

/** A command from the user's configuration. It runs as it is, without a shell. */
export function commandAccess(template: readonly string[]): NodeAccess {
  const how = `the command ${baseName(template[0] ?? "")}`;
  return {
    how,
    spec: { type: "command", argv: template },
    exec: async (node, argv, timeoutMs) =>
      await runLocally({ how, node, command: commandLine(template, node, argv), env: {}, timeoutMs }),
  };
}

/**
 * The argument list that runs a command on a node. Pure. Replaces `{node}` by the node's name, and `{command}` by the
 * command, quoted for a shell (ssh passes its arguments to one). Without `{command}`, appends the command's arguments
 * unchanged.
 */
export function commandLine(template: readonly string[], node: string, argv: readonly string[]): string[] {
  const quoted = argv.map(shellQuoted).join(" ");
  // One pass with a replacer function: inserted text is not expanded again.
  const filled = template.map((part) =>
    part.replace(/\{(node|command)\}/g, (_all, name: string) => (name === "node" ? node : quoted)),
  );
  return template.some((part) => part.includes("{command}")) ? filled : [...filled, ...argv];
}

function shellQuoted(text: string): string {
  return /^[A-Za-z0-9_/.:=@%+,-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

interface LocalCommand {
  readonly how: string;
  readonly node: string;
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
}

async function runLocally({ how, node, command, env, timeoutMs }: LocalCommand): Promise<string> {
  const [file = "", ...args] = command;
  const running = execa(file, args, {
    env,
    timeout: timeoutMs,
    // A client that ignores SIGTERM must not block the run.
    forceKillAfterDelay: KILL_AFTER_MS,
    maxBuffer: MAX_OUTPUT,
    stdin: "ignore",
    reject: false,
  });
  // Nor may its child process (such as ssh's control master) that keeps the output open after the client has ended.
  const late = setTimeout(
    () => {
      running.stdout.destroy();
      running.stderr.destroy();
    },
    timeoutMs + 2 * KILL_AFTER_MS,
  );
  const result = await running.finally(() => clearTimeout(late));
  if (!result.failed) return result.stdout;
  throw new Error(`${how} on ${node}: ${whyFailed(result, timeoutMs)}`);
}

interface Failure {
  readonly timedOut: boolean;
  readonly isMaxBuffer: boolean;
  readonly exitCode?: number | undefined;
  readonly stderr: string;
  readonly code?: string | undefined;
  readonly signal?: string | undefined;
}

function whyFailed(result: Failure, timeoutMs: number): string {
  if (result.timedOut) return `timed out after ${timeoutMs} ms`;
  if (result.isMaxBuffer) return `more than ${MAX_OUTPUT} bytes of output`;
  const said = result.stderr.trim().split("\n").slice(-3).join(" ").slice(0, 300);
  if (result.exitCode === undefined) return whyNotStarted(result);
  return `exit code ${result.exitCode}${said === "" ? "" : `: ${said}`}`;
}

export interface NodeAccessOptions {
  /** The local configuration's command. */
  readonly command?: readonly string[];
  /** The privileged pods, already deployed. */
  readonly pod?: { readonly transport: Transport };
  /** Use only this way. Default: the first that works of engine, command and pod. */
  readonly only?: NodeAccessSpec["type"];
}

/**
 * Finds a working node access: it can run `true` on each node.
 *
 * @returns the access, or the reason why there is none.
 */
export async function findNodeAccess(
  nodes: readonly Node[],
  handle: Pick<ClusterHandle, "engineCommand" | "env">,
  options: NodeAccessOptions = {},
): Promise<NodeAccess | { readonly none: string }> {
  const { command, pod, only } = options;
  const names = nodes.map((node) => node.metadata.name);
  const why: string[] = [];
  const wanted = (type: NodeAccessSpec["type"]): boolean => only === undefined || only === type;
  if (wanted("engine")) {
    const found = await throughEngine(nodes, handle);
    if (!Array.isArray(found)) return found;
    why.push(...found);
  }
  if (wanted("command") && command !== undefined) {
    const access = commandAccess(command);
    const problem = await problemOf(access, names, "the configured command does not reach the nodes");
    if (problem === undefined) return access;
    why.push(problem);
  } else if (only === "command") why.push("no command is configured");
  if (wanted("pod") && pod !== undefined) {
    const access = podAccess(pod.transport);
    const problem = await problemOf(access, names, "the privileged pods do not reach the nodes");
    if (problem === undefined) return access;
    why.push(problem);
  } else if (only === "pod") why.push("the privileged pods are not deployed");
  return { none: why.join("; ") };
}

/** The engine's client that reaches the nodes, or the reasons why none does. */
async function throughEngine(
  nodes: readonly Node[],
  handle: Pick<ClusterHandle, "engineCommand" | "env">,
): Promise<NodeAccess | string[]> {
  const names = nodes.map((node) => node.metadata.name);
  const notKind = nodes.find((node) => !(node.spec?.providerID ?? "").startsWith("kind://"));
  if (notKind !== undefined) return [`node ${notKind.metadata.name} is not a kind node`];
  const clients =
    handle.engineCommand === undefined ? enginesOf(nodes[0]?.spec?.providerID ?? "") : [handle.engineCommand];
  const why: string[] = [];
  for (const command of clients) {
    const engine = engineAccess({ command, env: handle.env });
    const problem = await problemOf(engine, names, "the container engine does not reach the nodes");
    if (problem === undefined) return engine;
    why.push(problem);
  }
  return why;
}

async function problemOf(
  access: NodeAccess,
  nodes: readonly string[],
  failure: string,
): Promise<string | undefined> {
  try {
    await Promise.all(nodes.map(async (node) => await access.exec(node, ["true"], PROOF_TIMEOUT_MS)));
    return undefined;
  } catch (error) {
    return `${failure}: ${messageOf(error).split("\n")[0] ?? ""}`;
  }
}

/**
 * Opens the access that a journal names.
 *
 * @throws ChaosError when it is a command and commands are not allowed, or needs the API and no transport is given.
 */
export function openNodeAccess(
  spec: NodeAccessSpec,
  options: {
    readonly transport?: Transport;
    readonly allowCommands: boolean;
    /** The journal comes from the cluster: its engine command is not trusted. */
    readonly foreign?: boolean;
  },
): NodeAccess {
  switch (spec.type) {
    case "engine":
      if (options.foreign === true || !ENGINE_NAMES.includes(baseName(spec.command)))
        refuseCommand([spec.command], options.allowCommands);
      return engineAccess(spec);
    case "command":
      refuseCommand(spec.argv, options.allowCommands);
      return commandAccess(spec.argv);
    case "pod":
      if (options.transport === undefined) {
        throw new ChaosError(
          "the node can be reached only through the API server, which does not answer. Run it again when it does",
          {
            exitCode: ExitCode.notRestored,
          },
        );
      }
      return podAccess(options.transport);
  }
}

function refuseCommand(argv: readonly string[], allowed: boolean): void {
  if (allowed) return;
  throw new ChaosError(
    `the journal reaches the node with a local command (${argv.join(" ")}): allow it with --allow-commands`,
    { exitCode: ExitCode.notRestored },
  );
}

/** Whether access goes through the API server: then an attack on the API server could not be undone. */
export function leadsThroughApi(access: Pick<NodeAccess, "spec">): boolean {
  return access.spec.type === "pod";
}

function baseName(path: string): string {
  return path.split("/").at(-1) ?? path;
}
