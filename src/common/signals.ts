/** Aborted by the first of these signals; undefined ones never abort. */
export function anySignal(...signals: readonly (AbortSignal | undefined)[]): AbortSignal {
  return AbortSignal.any(signals.filter((each) => each !== undefined));
}

/**
 * The result of the work, or an error as soon as the signal aborts: what the work waits for may hang. Aborted already: the
 * work does not begin.
 */
export async function unlessAborted<T>(
  signal: AbortSignal,
  errorOf: () => Error,
  work: () => Promise<T>,
): Promise<T> {
  const over = new AbortController();
  const aborted = new Promise<never>((_resolve, reject) => {
    const abort = (): void => reject(errorOf());
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort, { once: true, signal: over.signal });
  });
  try {
    return await Promise.race([aborted, ...(signal.aborted ? [] : [work()])]);
  } finally {
    over.abort();
  }
}
