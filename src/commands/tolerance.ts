import { UsageError } from "../common/errors.js";
import { parseDurationMs } from "../experiment/schema.js";
import { DEFAULT_TOLERANCE, type Tolerance } from "../report/compare.js";

/** The flags of `chaos matrix --baseline` as given; undefined: the default. */
export interface ToleranceFlags {
  /** "20%" */
  readonly tolerance?: string | undefined;
  /** "30s" */
  readonly toleranceTime?: string | undefined;
  /** "10": percentage points. */
  readonly toleranceAvailability?: string | undefined;
}

/** "20%" or "20" → 0.2. @throws UsageError for anything else. */
function share(flag: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const [, digits] = /^(\d+(?:\.\d+)?)\s*%?$/.exec(text.trim()) ?? [];
  if (digits === undefined)
    throw new UsageError(`${flag} ${JSON.stringify(text)}: not a number of per cent. Write 20%`);
  return Number(digits) / 100;
}

/** @throws UsageError for a value that is none. */
export function toleranceOf({ tolerance, toleranceTime, toleranceAvailability }: ToleranceFlags): Tolerance {
  const timeMs = toleranceTime === undefined ? undefined : parseDurationMs(toleranceTime);
  if (toleranceTime !== undefined && timeMs === undefined)
    throw new UsageError(`--tolerance-time ${JSON.stringify(toleranceTime)}: not a duration. Write 30s`);
  return {
    share: share("--tolerance", tolerance) ?? DEFAULT_TOLERANCE.share,
    timeMs: timeMs ?? DEFAULT_TOLERANCE.timeMs,
    availability: share("--tolerance-availability", toleranceAvailability) ?? DEFAULT_TOLERANCE.availability,
  };
}
