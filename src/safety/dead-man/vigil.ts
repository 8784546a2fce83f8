/** Whether the runner is still alive, judged by its Lease alone: a state that each poll updates. Pure. */

/** The result of one poll of the cluster. */
export type Poll =
  /** The Lease exists; `mark` changes with each renewal and each holder. */
  | { readonly seen: "lease"; readonly mark: string }
  /** No Lease, but a journal's copy: someone has removed the lock, or a restore died before its end. */
  | { readonly seen: "copies" }
  /** Neither: the run is over. */
  | { readonly seen: "nothing" }
  /** The API server did not answer, or answered with an error. */
  | { readonly seen: "unknown" };

export interface Vigil {
  /** The result of the last answered poll; undefined: there was none. */
  readonly mark: string | undefined;
  /** How long nothing has changed, ms. Counts only time between answered polls. */
  readonly silentMs: number;
  /** When the last poll was answered, ms; undefined: it was not answered. */
  readonly answeredAtMs: number | undefined;
}

/** `act`: the lock's holder has exited or cannot reach the cluster. `finished`: there is nothing to watch. */
export type Verdict = "watch" | "act" | "finished";

export interface VigilLimits {
  /** The runner counts as dead after this time without a renewal, ms. */
  readonly staleAfterMs: number;
  /** The time between two polls farther apart than this does not count, ms. */
  readonly gapMs: number;
}

export const FIRST_VIGIL: Vigil = { mark: undefined, silentMs: 0, answeredAtMs: undefined };

/**
 * Adds one poll to the state. While the API server is away, the runner cannot renew, so that time does not count; nor
 * does a pause of the switch itself (a frozen machine). Only time between two answered polls close to each other counts.
 *
 * @param nowMs by the local monotonic clock, never by the times in the Lease.
 */
export function watched(
  { mark, silentMs, answeredAtMs }: Vigil,
  poll: Poll,
  nowMs: number,
  limits: VigilLimits,
): { readonly vigil: Vigil; readonly verdict: Verdict } {
  if (poll.seen === "unknown")
    return { vigil: { mark, silentMs, answeredAtMs: undefined }, verdict: "watch" };
  if (poll.seen === "nothing") {
    return { vigil: { mark: undefined, silentMs: 0, answeredAtMs: nowMs }, verdict: "finished" };
  }
  const now = poll.seen === "lease" ? `lease ${poll.mark}` : "copies";
  if (now !== mark) return { vigil: { mark: now, silentMs: 0, answeredAtMs: nowMs }, verdict: "watch" };
  const gap = answeredAtMs === undefined ? Infinity : nowMs - answeredAtMs;
  const silent = silentMs + (gap <= limits.gapMs ? gap : 0);
  const verdict = silent >= limits.staleAfterMs ? "act" : "watch";
  return { vigil: { mark, silentMs: silent, answeredAtMs: nowMs }, verdict };
}
