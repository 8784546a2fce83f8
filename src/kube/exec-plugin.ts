/**
 * Credential plugins, as client-go's plugin/pkg/client/auth/exec/exec.go runs them: one process for all requests, until its
 * credentials expire or the server refuses them.
 */
import { spawn } from "node:child_process";
import { ChaosError, ExitCode, RefusedError, UsageError } from "../common/errors.js";
import { cutText, escapeInvisible } from "../strict-yaml/quote.js";
import type { Env } from "./kubeconfig/load.js";
import type { KubeExec } from "./kubeconfig/types.js";

/** What a plugin answers. */
interface PluginCredentials {
  readonly token?: string;
  /** PEM. */
  readonly certificate?: { readonly cert: string; readonly key: string };
  /** Wall clock, ms; undefined: they do not expire. */
  readonly expiresAtMs?: number;
}

export interface PluginCall {
  readonly exec: KubeExec;
  /** How messages name the user. */
  readonly userWords: string;
  /** ExecCredential's spec.cluster; undefined unless provideClusterInfo. */
  readonly cluster: object | undefined;
  readonly env: Env;
}

/** A plugin may wait until the user has signed in with a browser; ms. */
const LIMIT_MS = 10 * 60_000;
/** How long an ended plugin may take to clean up before it is killed, ms. */
const GRACE_MS = 500;
const MAX_ANSWER_BYTES = 2 ** 20;

/** Plugins of this process by their call: choosing the cluster and the run itself share one (globalCache of exec.go). */
const plugins = new Map<string, Plugin>();

/** The plugin of a user. The same call has the same plugin, with its credentials. */
export function pluginOf(call: PluginCall): Plugin {
  const key = JSON.stringify([call.exec, call.cluster]);
  const known = plugins.get(key) ?? new Plugin(call);
  plugins.set(key, known);
  return known;
}

class Plugin {
  readonly #call: PluginCall;
  #current: PluginCredentials | undefined;
  #running: Promise<PluginCredentials> | undefined;

  constructor(call: PluginCall) {
    this.#call = call;
  }

  /**
   * Valid credentials. Runs the plugin if there are none; concurrent callers share the run.
   *
   * @param signal ends a run that this call starts.
   * @throws UsageError, RefusedError with the command, its exit code and the install hint; ChaosError (130) when aborted.
   */
  async credentials(signal?: AbortSignal): Promise<PluginCredentials> {
    const { expiresAtMs = Number.POSITIVE_INFINITY } = this.#current ?? {};
    if (this.#current !== undefined && Date.now() < expiresAtMs) return this.#current;
    this.#running ??= runPlugin(this.#call, signal).finally(() => (this.#running = undefined));
    this.#current = await this.#running;
    return this.#current;
  }

  /** The server has refused the credentials: the next call runs the plugin. */
  forget(): void {
    this.#current = undefined;
  }
}

/** Runs a plugin once. Its stderr is this process's: a sign-in text is seen as it comes. */
async function runPlugin(call: PluginCall, signal?: AbortSignal): Promise<PluginCredentials> {
  const { exec, userWords, env } = call;
  const words = `the credential plugin ${shown(exec.command)} of ${userWords}`;
  const hint = exec.installHint === "" ? "" : `. ${hintWords(exec.installHint)}`;
  const terminal = process.stdin.isTTY === true;
  if (exec.interactiveMode === "Always" && !terminal)
    throw new UsageError(
      `cannot run ${words}: it asks questions, but standard input is no terminal. Run this in a terminal`,
    );
  const interactive = exec.interactiveMode !== "Never" && terminal;
  const spec = { interactive, ...(call.cluster === undefined ? {} : { cluster: call.cluster }) };
  const info = { kind: "ExecCredential", apiVersion: exec.apiVersion, spec };
  const ended = await outputOf(exec, {
    interactive,
    env: {
      ...env,
      ...Object.fromEntries(exec.env.map(({ name, value }) => [name, value])),
      KUBERNETES_EXEC_INFO: JSON.stringify(info),
    },
    ...(signal === undefined ? {} : { signal }),
  });
  switch (ended.how) {
    case "not started": {
      const { code, message } = ended.error as NodeJS.ErrnoException;
      const why =
        code === "ENOENT" ? "there is no such program" : code === "EACCES" ? "it is not executable" : message;
      throw new UsageError(`cannot run ${words}: ${why}${hint}`);
    }
    case "aborted":
      throw new ChaosError(`interrupted: ended ${words}`, { exitCode: ExitCode.interrupted });
    case "too slow":
      throw new RefusedError(
        `${words} did not answer within ${LIMIT_MS / 60_000} minutes and was ended${hint}`,
      );
    case "exited":
      if (ended.status !== "exit code 0")
        throw new RefusedError(`${words} failed with ${ended.status}. It says why above${hint}`);
      return readAnswer(ended.stdout, exec, words);
  }
}

type Ended =
  | { readonly how: "not started"; readonly error: unknown }
  | { readonly how: "aborted" | "too slow" }
  /** `status`: "exit code 1", "signal SIGTERM". */
  | { readonly how: "exited"; readonly status: string; readonly stdout: string };

async function outputOf(
  { command, args }: KubeExec,
  {
    interactive,
    env,
    signal,
  }: { readonly interactive: boolean; readonly env: Env; readonly signal?: AbortSignal },
): Promise<Ended> {
  if (signal?.aborted === true) return { how: "aborted" };
  const limit = AbortSignal.timeout(LIMIT_MS);
  return await new Promise<Ended>((resolve) => {
    const child = spawn(command, args, {
      env: { ...env },
      stdio: [interactive ? "inherit" : "ignore", "pipe", "inherit"],
    });
    const chunks: Buffer[] = [];
    let length = 0;
    let killing: NodeJS.Timeout | undefined;
    let stopped: "aborted" | "too slow" | undefined;
    const stop = (how: "aborted" | "too slow") => (): void => {
      stopped ??= how;
      child.kill("SIGTERM");
      killing ??= setTimeout(() => child.kill("SIGKILL"), GRACE_MS);
    };
    const [abort, late] = [stop("aborted"), stop("too slow")];
    signal?.addEventListener("abort", abort, { once: true });
    limit.addEventListener("abort", late, { once: true });
    const end = (ended: Ended): void => {
      clearTimeout(killing);
      signal?.removeEventListener("abort", abort);
      limit.removeEventListener("abort", late);
      child.stdout.destroy();
      resolve(ended);
    };
    child.stdout.on("data", (chunk: Buffer) => {
      length += chunk.length;
      if (length <= MAX_ANSWER_BYTES) chunks.push(chunk);
    });
    child.once("error", (error) => end({ how: "not started", error }));
    // A program that the plugin has started may keep its output open: do not wait for that after an end.
    child.once("exit", () => stopped !== undefined && end({ how: stopped }));
    child.once("close", (code, by) => {
      const status = code === null ? `signal ${by ?? "?"}` : `exit code ${code}`;
      end({ how: "exited", status, stdout: Buffer.concat(chunks).toString("utf8") });
    });
  });
}

interface ExecCredential {
  readonly apiVersion?: unknown;
  readonly kind?: unknown;
  readonly status?: {
    readonly token?: unknown;
    readonly clientCertificateData?: unknown;
    readonly clientKeyData?: unknown;
    readonly expirationTimestamp?: unknown;
  } | null;
}

/** @throws RefusedError that quotes nothing of the answer: it may have a token. */
function readAnswer(stdout: string, { apiVersion }: KubeExec, words: string): PluginCredentials {
  const refuse = (what: string): RefusedError =>
    new RefusedError(`${words} ${what}. Run it in a shell to see what it prints, or update it`);
  let answer: ExecCredential | null;
  try {
    answer = JSON.parse(stdout) as ExecCredential | null;
  } catch {
    throw refuse(`printed ${Buffer.byteLength(stdout)} bytes that are not JSON (exit code 0)`);
  }
  if (typeof answer !== "object" || answer === null || answer.kind !== "ExecCredential")
    throw refuse("printed no ExecCredential");
  if (answer.apiVersion !== apiVersion)
    throw refuse(
      `answered in ${shown(String(answer.apiVersion))}, but the kubeconfig asks for ${apiVersion}`,
    );
  return credentialsIn(answer.status ?? {}, refuse);
}

function credentialsIn(
  status: NonNullable<ExecCredential["status"]>,
  refuse: (what: string) => RefusedError,
): PluginCredentials {
  const token = textOf(status.token);
  const cert = textOf(status.clientCertificateData);
  const key = textOf(status.clientKeyData);
  const expiry = textOf(status.expirationTimestamp);
  if (token === undefined || cert === undefined || key === undefined || expiry === undefined)
    throw refuse("printed a field that is not text");
  if ((cert === "") !== (key === ""))
    throw refuse("printed a client certificate without its key, or a key without it");
  if (token === "" && cert === "") throw refuse("printed neither a token nor a client certificate");
  const expiresAtMs = Date.parse(expiry);
  if (expiry !== "" && Number.isNaN(expiresAtMs))
    throw refuse("printed an expirationTimestamp that is not a time");
  return {
    ...(token === "" ? {} : { token }),
    ...(cert === "" ? {} : { certificate: { cert, key } }),
    ...(expiry === "" ? {} : { expiresAtMs }),
  };
}

/** "": not set; undefined: not text. */
function textOf(value: unknown): string | undefined {
  return value === undefined || value === null ? "" : typeof value === "string" ? value : undefined;
}

function shown(text: string): string {
  return escapeInvisible(cutText(text, 200));
}

/** The hint, on one line. */
function hintWords(installHint: string): string {
  return escapeInvisible(cutText(installHint.replace(/\s+/g, " ").trim(), 500));
}
