/** A timer that fires so much too late, ms, shows that the loop was kept from running. */
const LOOP_LATE_MS = 20;

/** Registers what is run when the work ends, however it ends: that is where sockets are closed. */
export type OnEnd = (cleanUp: () => void) => void;

/**
 * Runs `work` for at most `ms`.
 *
 * The blame for a time-out must not fall on the target when this process itself was kept from running (a busy
 * or throttled node): a deadline that fires late is extended, once, by as long as the loop was away.
 *
 * @throws Error with the code ETIMEDOUT when the time is up; what `work` rejects with.
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
    const giveUp = (): void =>
      end(() => reject(Object.assign(new Error(`no answer within ${ms} ms`), { code: "ETIMEDOUT" })));
    const due = performance.now() + ms;
    let timer = setTimeout(() => {
      const lateMs = performance.now() - due;
      // An answer that already waits in the kernel is read between the timers and the immediates.
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
