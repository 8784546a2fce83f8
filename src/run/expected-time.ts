/** How long runs will take, for people who wait for them. Pure; all times in ms. */

/** The durations of a run that its experiment gives. */
export interface PlannedPhases {
  readonly baseline: number;
  readonly window: number;
}

/** What a run takes beside its baseline and its window: the mean of the 17 runs of reports/example, ms. */
const BESIDES_MS = 45_000;

/** How long a run takes, unless its recovery is slow. */
export function expectedMs({ baseline, window }: PlannedPhases): number {
  return baseline + window + BESIDES_MS;
}

/**
 * How long the rest of a session takes.
 *
 * @param left the experiments that have not begun.
 * @param done those that have ended, and how long they and the waits between them took together.
 */
export function expectedRestMs(
  left: readonly PlannedPhases[],
  done: { readonly runs: readonly PlannedPhases[]; readonly tookMs: number },
): number {
  const planned = (runs: readonly PlannedPhases[]): number =>
    runs.reduce((sum, phases) => sum + expectedMs(phases), 0);
  // A slow cluster is slow in all of its runs.
  const pace = done.runs.length === 0 ? 1 : done.tookMs / planned(done.runs);
  return planned(left) * pace;
}
