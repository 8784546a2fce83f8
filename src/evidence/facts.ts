/** 2: `ownFunction`, `story`, `companions`, and of `suppression` `timesDown`, `fight` and `blows` are there. */

import type { StudyClaim } from "../components/component.js";
import type { FunctionCheckName } from "../components/functions.js";
import type { ProbeName, Severity } from "../experiment/names.js";
import type { Thresholds } from "../experiment/schema.js";
import type { ObjectRef } from "./events.js";

export const RESULT_SCHEMA_VERSION = 2;

/** Facts of a run that were not measured over time: `run.json`. Written by the runner as it learns them. */
export interface RunFacts {
  /** 1: written before there were function probes; has no `functionProbe`. */
  readonly schemaVersion: 1 | typeof RESULT_SCHEMA_VERSION;
  readonly runId: string;
  /** ISO 8601, wall clock of the runner at time 0. */
  readonly startedAt: string;
  /** Version of this tool. */
  readonly toolVersion: string;
  readonly experiment: {
    readonly name: string;
    readonly title: string;
    readonly file: string;
    /** As resolved: every default filled in, ms for durations. */
    readonly attack: { readonly type: string } & Readonly<Record<string, unknown>>;
    readonly phases: { readonly baseline: number; readonly window: number; readonly recovery: number };
    readonly probes: { readonly interval: number; readonly timeout: number; readonly goodInARow: number };
    readonly thresholds: Thresholds;
    readonly expectedImpact: Exclude<Severity, "inconclusive"> | null;
  };
  readonly cluster: {
    readonly provider: string;
    readonly context: string;
    /** uid of the namespace kube-system: what identifies a cluster. */
    readonly uid: string;
    readonly version: string;
    readonly nodes: readonly {
      readonly name: string;
      readonly role: string;
      readonly kubelet: string;
      readonly runtime: string;
      readonly os: string;
      readonly kernel: string;
    }[];
  };
  /** undefined until preflight has found it. */
  readonly target?: {
    readonly component: string | null;
    /** Nodes that are attacked; absent: the target is a workload. */
    readonly nodes?: readonly string[];
    readonly object: ObjectRef;
    /** Deployment, DaemonSet, … */
    readonly type: string;
    /** Wanted replicas before the run: the measured 数. */
    readonly count: number;
    readonly images: readonly string[];
    /** "Pod → ReplicaSet → Deployment → addon-manager". */
    readonly ownerChain: readonly string[];
    readonly services: readonly ObjectRef[];
  };
  /** Samples of layers that show the component's own function; empty where a function probe does. */
  readonly functionProbes: readonly ProbeName[];
  /** The probe of its own function; null: the samples show it, or nothing does. */
  readonly functionProbe: {
    readonly name: FunctionCheckName;
    /** What "present" means, in a sentence. */
    readonly means: string;
    readonly deadlineMs: number;
    /** Looked at before the baseline and after the window, because the look may disturb the application. */
    readonly disturbs: boolean;
  } | null;
  readonly study: StudyClaim | null;
  /** Worker nodes with a prober. */
  readonly sources: readonly string[];
  /** Probes that were not measured, with the reason. */
  readonly notMeasured: readonly { readonly probe: ProbeName; readonly reason: string }[];
  /** Stand-ins among the images that this run touched. `victim`: the target itself is one. */
  readonly standIns: readonly {
    readonly image: string;
    readonly description: string;
    readonly victim: boolean;
  }[];
}
