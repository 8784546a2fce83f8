/**
 * One sample of one probe. The prober agents write samples as lines of JSON in their own clock. The runner writes the same
 * lines for the probe from outside. The analysis reads all of them.
 */

import type { ProbeName } from "../experiment/names.js";

/**
 * Why a sample failed. The kind depends on timing in the kernel (a packet may be rejected or dropped), so reports show it,
 * but no verdict depends on it.
 */
export const FAILURE_KINDS = [
  "other",
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
] as const;

export type FailureKind = (typeof FAILURE_KINDS)[number];

/** First line of a prober's file, and again after each restart of the agent, which resets the monotonic clock. */
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
  /** When the sample was sent: monotonic ms in the clock of its source. */
  readonly t: number;
  /** How long it took, ms. */
  readonly d: number;
  readonly ok: true;
  /** The target of this sample, if there are several: the name of the front-end pod. */
  readonly target?: string;
  /** It went over a connection that an earlier sample had opened (http-service-reused). */
  readonly reused?: true;
}

export interface FailedLine {
  readonly probe: ProbeName;
  readonly t: number;
  readonly d: number;
  readonly ok: false;
  readonly kind: FailureKind;
  /** The error message, at most 200 characters. */
  readonly message?: string;
  readonly target?: string;
  readonly reused?: true;
}

/** A missed tick: never an outage. `late`: the agent's event loop was late; `busy`: too many samples in progress. */
export interface MissedLine {
  readonly probe: ProbeName;
  readonly t: number;
  readonly missed: "late" | "busy";
}

/**
 * The source itself was late, or its machine was busy. Files of older versions have no such lines.
 *
 * - `late`: from `t` for `d` ms, from the last time its event loop was on time to the next. `late`: the longest delay, ms.
 * - `cpu`: the machine's figures from `t` for `d` ms. `steal`: share of its CPUs' time that the hypervisor gave to others;
 *   `pressure`: share of the time in which some task waited for a CPU. 0 also if the machine does not say.
 */
export type OwnLine =
  | { readonly own: "late"; readonly t: number; readonly d: number; readonly late: number }
  | {
      readonly own: "cpu";
      readonly t: number;
      readonly d: number;
      readonly steal: number;
      readonly pressure: number;
    };

/** One tick of a probe. */
export type ProbeLine = GoodLine | FailedLine | MissedLine;

export type SampleLine = BootLine | ProbeLine | OwnLine;

/** The source of what the runner samples, in its own clock. */
export const RUNNER_SOURCE = "runner";

/** The lines of one source: a prober's node, or the runner for the probe from outside. */
export interface RawSamples {
  /** The node's name, or `RUNNER_SOURCE`. */
  readonly source: string;
  /** In the file's order. May be read or unpacked for each iteration. */
  readonly lines: Iterable<SampleLine>;
}
