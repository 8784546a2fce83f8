/**
 * What one probe measured once. The prober agents write these as lines of JSON in their own clock; the runner
 * writes the same lines for the probe from outside; the analysis reads them all.
 */

import type { ProbeName } from "../experiment/names.js";

/**
 * Why a sample failed. Which one appears depends on the kernel's moment (a rejected packet here, a dropped one
 * there), so reports show them and no verdict hangs on them.
 */
const FAILURE_KINDS = [
  "timeout",
  "refused",
  "reset",
  "unreachable",
  "nxdomain",
  "servfail",
  "no-data",
  "http-status",
  "bad-body",
  "no-target",
  "other",
] as const;

export type FailureKind = (typeof FAILURE_KINDS)[number];

/** First line of a prober's file, and again whenever the agent restarted: the monotonic clock begins anew. */
export interface BootLine {
  readonly boot: string;
  /** Agent's monotonic clock, ms. */
  readonly t: number;
  /** Wall clock at `t`, ms since the epoch; for people only, never for arithmetic. */
  readonly wall: number;
  readonly node: string;
}

export interface GoodLine {
  readonly probe: ProbeName;
  /** When the sample was sent: monotonic ms in the clock of whoever measured. */
  readonly t: number;
  /** How long it took, ms. */
  readonly d: number;
  readonly ok: true;
  /** What was asked, where there is a choice: the front-end pod's name, say. */
  readonly target?: string;
}

export interface FailedLine {
  readonly probe: ProbeName;
  readonly t: number;
  readonly d: number;
  readonly ok: false;
  readonly kind: FailureKind;
  /** The error's own words, at most 200 characters. */
  readonly message?: string;
  readonly target?: string;
}

/** A tick that could not be kept: never an outage. `late`: the agent's own loop; `busy`: too many in flight. */
export interface MissedLine {
  readonly probe: ProbeName;
  readonly t: number;
  readonly missed: "late" | "busy";
}

export type SampleLine = BootLine | GoodLine | FailedLine | MissedLine;

/** The lines of one source: a prober's node, or the runner itself for the probe from outside. */
export interface RawSamples {
  /** The node's name, or "runner". */
  readonly source: string;
  readonly lines: readonly SampleLine[];
}
