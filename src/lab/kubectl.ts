import { join } from "node:path";
import { ask, run, type CommandResult } from "./command.js";

/** kubectl against the lab's cluster. */
export class Kubectl {
  readonly #program: string;
  readonly #kubeconfig: string;

  constructor(folder: string, kubeconfig: string) {
    this.#program = join(folder, "kubectl");
    this.#kubeconfig = kubeconfig;
  }

  /** @throws ChaosError when kubectl fails or times out. */
  async run(args: readonly string[], options: { timeoutMs: number; input?: string }): Promise<string> {
    const result = await run(this.#program, ["--kubeconfig", this.#kubeconfig, ...args], options);
    return result.stdout;
  }

  /** Like `run`, but a failure or a timeout is a result, not an error. */
  async ask(args: readonly string[], timeoutMs: number): Promise<CommandResult> {
    return await ask(this.#program, ["--kubeconfig", this.#kubeconfig, ...args], { timeoutMs });
  }
}
