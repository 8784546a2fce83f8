/**
 * The runner's watchdog: a second process in its own session, connected to the runner by a pipe. When the runner dies,
 * even by SIGKILL, the pipe closes and the watchdog restores from the journal. It dies with the machine, and with the
 * control group that both processes are in (a stopped container, `systemctl stop` of a unit).
 */
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import { ChaosError } from "../common/errors.js";

/** How long the watchdog may take to answer, ms: a Node process starts slowly on a busy machine. */
const READY_LIMIT_MS = 20_000;

/** The runner sends one line each: `watch FOLDER`, `release FOLDER`. The watchdog answers `watching FOLDER`. */
export const WATCH = "watch ";
export const RELEASE = "release ";
export const WATCHING = "watching ";

export interface WatchdogOptions {
  /** The command line of `chaos watchdog`. */
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Called when the watchdog exits before its runner. */
  readonly warn: (text: string) => void;
  /** How long it may take to answer, ms. Default: 20 s. */
  readonly readyLimitMs?: number;
}

/** Restores unfinished runs when this process dies. Started with the first journal that it watches. */
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
   * Resolves when the watchdog watches this journal. Called before the first change.
   *
   * @param folder the journal's folder.
   * @throws ChaosError (exit 6) when the watchdog does not watch it: then nothing may be changed.
   */
  async watch(folder: string): Promise<void> {
    const child = (this.#child ??= this.#start());
    // One listener for all journals. `once` rejects when the command does not exist.
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
      `cannot watch this run: the watchdog, which restores the cluster if this process is killed, ${answer === "ended" ? "has exited" : `was not ready within ${readyLimitMs / 1000} s`}. Nothing was changed. To run without a watchdog, use --no-watchdog`,
    );
  }

  /** Stops watching: the run is finished, or has told the user what is left to do. */
  release(folder: string): void {
    this.#child?.stdin.write(`${RELEASE}${folder}\n`);
  }

  /** This process exits normally. The watchdog now restores every run that was not released. */
  end(): void {
    this.#ended = true;
    this.#child?.stdin.end();
  }

  #start(): ChildProcessByStdio<Writable, Readable, null> {
    const [file = "", ...args] = this.#options.command;
    const child = spawn(file, args, {
      // Its own session: signals from the terminal and to the runner's process group do not reach it.
      detached: true,
      env: { ...this.#options.env },
      stdio: ["pipe", "pipe", "ignore"],
    });
    const tell = (why: string): void => {
      if (this.#ended) return;
      this.#ended = true;
      this.#options.warn(
        `the watchdog ${why}. If this process is killed now, restore the cluster with \`chaos restore --all\``,
      );
    };
    child.on("error", (error) => tell(`did not start (${error.message})`));
    child.on("exit", (code, signal) => tell(`has exited (${signal ?? String(code)})`));
    child.stdin.on("error", () => undefined);
    createInterface({ input: child.stdout }).on("line", (line) => {
      if (line.startsWith(WATCHING)) this.#waiting.get(line.slice(WATCHING.length))?.();
    });
    // The watchdog must not keep this process alive.
    child.unref();
    unreference(child.stdin);
    unreference(child.stdout);
    return child;
  }
}

/** A pipe to a child process is a socket; Node's types do not say so. */
function unreference(stream: Writable | Readable): void {
  (stream as unknown as { unref?: () => void }).unref?.();
}
