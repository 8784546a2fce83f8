/**
 * The runner's watchdog: a second process, in a session of its own, that holds the other end of a pipe. When the
 * runner dies, by SIGKILL too, the pipe ends and the watchdog restores from the journal. It survives neither the end of
 * the machine nor of the control group that both are in (a container that is stopped, `systemctl stop` of a unit).
 */
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import { ChaosError, ExitCode } from "../common/errors.js";

/** How long the watchdog may take to say that it watches, ms: a Node process that starts on a busy machine. */
const READY_LIMIT_MS = 20_000;

/** What the runner says to its watchdog, one line each: `watch FOLDER`, `release FOLDER`. It answers `watching FOLDER`. */
export const WATCH = "watch ";
export const RELEASE = "release ";
export const WATCHING = "watching ";

export interface WatchdogOptions {
  /** The command line of `chaos watchdog`. */
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Told when it ends before its runner. */
  readonly warn: (text: string) => void;
  /** How long it may take to say that it watches, ms. Default: 20 s. */
  readonly readyLimitMs?: number;
}

/** Restores what a run has left when this process dies. Started with the first journal that it watches. */
export class Watchdog {
  readonly #options: WatchdogOptions;
  #child: ChildProcessByStdio<Writable, Readable, null> | undefined;
  #gone: Promise<"ended"> | undefined;
  #ended = false;
  readonly #waiting = new Map<string, () => void>();

  constructor(options: WatchdogOptions) {
    this.#options = options;
  }

  /**
   * Resolves when the watchdog watches this journal: before anything is harmed.
   *
   * @param folder of the journal.
   * @throws ChaosError (exit 4) when it cannot be started: then nothing may be harmed.
   */
  async watch(folder: string): Promise<void> {
    const child = (this.#child ??= this.#start());
    // One listener for all that it watches. A command that is not there ends it with an error.
    const gone = (this.#gone ??= once(child, "exit").then(
      () => "ended" as const,
      () => "ended" as const,
    ));
    const watching = new Promise<"watching">((resolve) =>
      this.#waiting.set(folder, () => resolve("watching")),
    );
    const { readyLimitMs = READY_LIMIT_MS } = this.#options;
    const limit = new AbortController();
    const late = delay(readyLimitMs, "silent" as const, { signal: limit.signal }).catch(
      () => "silent" as const,
    );
    child.stdin.write(`${WATCH}${folder}\n`);
    const answer = await Promise.race([watching, gone, late]);
    limit.abort();
    this.#waiting.delete(folder);
    if (answer === "watching") return;
    throw new ChaosError(
      `the watchdog, which would restore if this process were killed, ${answer === "ended" ? "has ended" : `was not ready within ${readyLimitMs / 1000} s`}; nothing was harmed. Without it: --no-watchdog`,
      { exitCode: ExitCode.preflightRefused },
    );
  }

  /** The run was finished, or has said itself what is left to do. */
  release(folder: string): void {
    this.#child?.stdin.write(`${RELEASE}${folder}\n`);
  }

  /** This process ends in good order. What was not released is restored by the watchdog now. */
  end(): void {
    this.#ended = true;
    this.#child?.stdin.end();
  }

  #start(): ChildProcessByStdio<Writable, Readable, null> {
    const [file = "", ...args] = this.#options.command;
    const child = spawn(file, args, {
      // A session of its own: no signal of the terminal reaches it, and none to the runner's process group.
      detached: true,
      env: { ...this.#options.env },
      stdio: ["pipe", "pipe", "ignore"],
    });
    const tell = (why: string): void => {
      if (this.#ended) return;
      this.#ended = true;
      this.#options.warn(
        `the watchdog ${why}: if this process is killed now, only \`chaos restore\` puts things back`,
      );
    };
    child.on("error", (error) => tell(`could not be started (${error.message})`));
    child.on("exit", (code, signal) => tell(`has ended (${signal ?? String(code)})`));
    child.stdin.on("error", () => undefined);
    createInterface({ input: child.stdout }).on("line", (line) => {
      if (line.startsWith(WATCHING)) this.#waiting.get(line.slice(WATCHING.length))?.();
    });
    // It does not keep this process alive.
    child.unref();
    unreference(child.stdin);
    unreference(child.stdout);
    return child;
  }
}

/** A pipe to a child is a socket, which Node's types do not say. */
function unreference(stream: Writable | Readable): void {
  (stream as unknown as { unref?: () => void }).unref?.();
}
