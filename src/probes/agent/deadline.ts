/** A timer that fires later than this, ms, shows that the event loop was blocked. */
const LOOP_LATE_MS = 20;

/** The error of a deadline. */
export const timedOut = (message: string): Error => Object.assign(new Error(message), { code: "ETIMEDOUT" });

/** Registers a clean-up that runs when the work ends, on success and on failure: it closes sockets. */
export type OnEnd = (cleanUp: () => void) => void;

/**
 * Runs `work` for at most `ms`.
 *
 * A time-out must not count against the target if this process itself was blocked (a busy or throttled node): a
 * deadline that fires late is extended once, by the time that the loop was blocked.
 *
 * @throws Error with the code ETIMEDOUT at the deadline, or the error of `work`.
 */
export function withDeadline<T>(ms: number, work: (onEnd: OnEnd) => Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const cleanUps: Array<() => void> = [];
    let ended = false;
    const end = (settle: () => void): void => {
      if (ended) return;
      ended = true;
      clearTimeout(timer);
      for (const cleanUp of cleanUps) cleanUp();
      settle();
    };
    const giveUp = (): void => end(() => reject(timedOut(`no answer within ${ms} ms`)));
    const due = performance.now() + ms;
    let timer = setTimeout(() => {
      const lateMs = performance.now() - due;
      // Node reads data that already waits in the kernel after the timers and before the immediates.
      if (lateMs <= LOOP_LATE_MS) setImmediate(giveUp);
      else timer = setTimeout(() => setImmediate(giveUp), Math.min(lateMs, ms));
    }, ms);
    work((cleanUp) => {
      if (ended) cleanUp();
      else cleanUps.push(cleanUp);
    }).then(
      (value) => end(() => resolve(value)),
      (error: Error) => end(() => reject(error)),
    );
  });
}
