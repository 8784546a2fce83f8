/** Whether the runner is still there, by its Lease alone: a state that looks are put into. Pure. */

/** What one look at the cluster showed. */
export type Look =
  /** The Lease is there; `mark` is another one whenever it was renewed, or has another holder. */
  | { readonly seen: "lease"; readonly mark: string }
  /** No Lease, but a journal's copy: somebody has removed the lock, or whoever put things back died over it. */
  | { readonly seen: "copies" }
  /** Neither of the two: the run is over. */
  | { readonly seen: "nothing" }
  /** The API server did not answer, or would not say. */
  | { readonly seen: "unknown" };

export interface Vigil {
  /** What the last look that was answered showed; undefined: there was none. */
  readonly mark: string | undefined;
  /** For so long nothing has changed, ms: only time that the looks cover. */
  readonly silentMs: number;
  /** When the last look was answered, if it was the last one; ms. */
  readonly answeredAtMs: number | undefined;
}

/** `act`: whoever held the lock is gone, or cut off from the cluster. `finished`: there is nothing to watch. */
export type Verdict = "watch" | "act" | "finished";

export interface VigilLimits {
  /** Silence that means death, ms. */
  readonly staleAfterMs: number;
  /** Two looks farther apart than this say nothing about the time between them, ms. */
  readonly gapMs: number;
}

export const FIRST_VIGIL: Vigil = { mark: undefined, silentMs: 0, answeredAtMs: undefined };

/**
 * Goes on watching with one more look. An API server that is away says nothing about the runner, which cannot renew
 * then; and neither does a pause of our own (a frozen machine): only time between two answered looks that follow each
 * other closely counts as silence.
 *
 * @param nowMs by a monotonic clock of ours, never by the times in the Lease.
 */
export function watched(
  { mark, silentMs, answeredAtMs }: Vigil,
  look: Look,
  nowMs: number,
  limits: VigilLimits,
): { readonly vigil: Vigil; readonly verdict: Verdict } {
  if (look.seen === "unknown")
    return { vigil: { mark, silentMs, answeredAtMs: undefined }, verdict: "watch" };
  if (look.seen === "nothing") {
    return { vigil: { mark: undefined, silentMs: 0, answeredAtMs: nowMs }, verdict: "finished" };
  }
  const now = look.seen === "lease" ? `lease ${look.mark}` : "copies";
  if (now !== mark) return { vigil: { mark: now, silentMs: 0, answeredAtMs: nowMs }, verdict: "watch" };
  const gap = answeredAtMs === undefined ? Infinity : nowMs - answeredAtMs;
  const silent = silentMs + (gap <= limits.gapMs ? gap : 0);
  const verdict = silent >= limits.staleAfterMs ? "act" : "watch";
  return { vigil: { mark, silentMs: silent, answeredAtMs: nowMs }, verdict };
}
