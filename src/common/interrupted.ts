import { ChaosError, ExitCode } from "./errors.js";

/** Said when a command is interrupted before it has changed anything in the cluster. */
export const INTERRUPTED_WORDS = "interrupted before anything was changed in the cluster";

/**
 * The result of work that changes nothing, or an error (exit 130) as soon as the signal aborts: a request or a program
 * that the work waits for may hang.
 */
export async function orInterrupted<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  const over = new AbortController();
  const interrupted = new Promise<never>((_resolve, reject) => {
    const abort = (): void => reject(new ChaosError(INTERRUPTED_WORDS, { exitCode: ExitCode.interrupted }));
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort, { once: true, signal: over.signal });
  });
  try {
    return await Promise.race([interrupted, ...(signal.aborted ? [] : [work()])]);
  } finally {
    over.abort();
  }
}
