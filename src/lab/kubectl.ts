import { dirname, join } from "node:path";
import { ask, run, type CommandResult } from "./command.js";

/** kubectl against the lab's cluster. */
export class Kubectl {
  readonly #program: string;
  readonly #kubeconfig: string;
  readonly #env: Readonly<Record<string, string>>;

  constructor(folder: string, kubeconfig: string) {
    this.#program = join(folder, "kubectl");
    this.#kubeconfig = kubeconfig;
    // Not below the user's home.
    this.#env = { KUBECACHEDIR: join(dirname(kubeconfig), "kubectl-cache") };
  }

  /** @throws ChaosError when kubectl fails or times out. */
  async run(args: readonly string[], options: { timeoutMs: number; input?: string }): Promise<string> {
    const result = await run(this.#program, ["--kubeconfig", this.#kubeconfig, ...args], {
      ...options,
      env: this.#env,
    });
    return result.stdout;
  }

  /** Like `run`, but a failure or a timeout is a result, not an error. */
  async ask(args: readonly string[], timeoutMs: number): Promise<CommandResult> {
    return await ask(this.#program, ["--kubeconfig", this.#kubeconfig, ...args], {
      timeoutMs,
      env: this.#env,
    });
  }
}
