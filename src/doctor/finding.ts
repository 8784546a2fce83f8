/** What `chaos doctor` finds: the shape that all conditions and probes share, and that `--json` prints. */
import type { Severity } from "../experiment/names.js";

/** error: something does not work now. warning: it works, but soon or partly not. info: advice; no fault. */
const FINDING_SEVERITIES = ["error", "warning", "info"] as const;
type FindingSeverity = (typeof FINDING_SEVERITIES)[number];

export interface Finding {
  /** Stable name of the condition, in lower case with hyphens: "kube-dns-few-ready". */
  readonly code: string;
  readonly severity: FindingSeverity;
  /** The component concerned, by its name in this tool: "kube-dns". Its row of the last matrix says what a failure costs. */
  readonly component?: string;
  /** One sentence, without a full stop: "1 of 2 kube-dns pods is ready". */
  readonly title: string;
  /** What was seen: objects, figures, messages. One line each. */
  readonly evidence: readonly string[];
  /** What to do, in one or two sentences, with the command. */
  readonly cure: string;
  /** What a failure of the component would cost, as measured last. The command adds it; conditions and probes do not. */
  readonly cost?: Cost;
}

/** The order in which findings are shown: the gravest first. */
export function bySeverity(a: Finding, b: Finding): number {
  return FINDING_SEVERITIES.indexOf(a.severity) - FINDING_SEVERITIES.indexOf(b.severity);
}

/** The row of the last matrix for a component, or the command that measures it. */
export type Cost =
  | {
      readonly known: true;
      readonly runId: string;
      /** When it was measured, ISO 8601. */
      readonly measuredAt: string;
      readonly severity: Severity;
      /** What the application and the function of the component did. */
      readonly behaviour: string;
    }
  | { readonly known: false; /** How to measure it. */ readonly measure: string };
