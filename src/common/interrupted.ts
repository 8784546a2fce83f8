import { ChaosError, ExitCode } from "./errors.js";
import { unlessAborted } from "./signals.js";

/** Said when a command is interrupted before it has changed anything in the cluster. */
export const INTERRUPTED_WORDS = "interrupted before anything was changed in the cluster";

/** The result of work that changes nothing, or an error (exit 130) as soon as the signal aborts. */
export async function orInterrupted<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  const interrupted = (): Error => new ChaosError(INTERRUPTED_WORDS, { exitCode: ExitCode.interrupted });
  return await unlessAborted(signal, interrupted, work);
}
