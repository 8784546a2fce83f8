import type { StudyClaim } from "../components/component.js";
import type { FunctionCheckName } from "../components/functions.js";
import type { ProbeName, Severity } from "../experiment/names.js";
import type { ObjectRef } from "./events.js";

/** Version 2 adds `ownFunction`, `story`, `companions` and more of `suppression`. */
export const RESULT_SCHEMA_VERSION = 2;

/** From how many workers is sampled, and how often. */
export interface Sampling {
  readonly workers: number;
  /** The workers that could be sampled. */
  readonly of: number;
  readonly intervalMs: number;
  /** The interval that the experiment asks for, ms. */
  readonly askedMs: number;
}

/** What a result depends on besides the component: two runs are comparable if these are alike. null: unknown. */
export interface Environment {
  /** The server's version. */
  readonly kubernetes: string;
  readonly platform: string | null;
  /** "kindnet (DaemonSet kindnet)". */
  readonly cni: string | null;
  /** "kube-proxy, iptables", or what is there instead of it. */
  readonly serviceProxy: string | null;
  /** "coredns v1.12.0". */
  readonly dns: string | null;
  /** Distinct values of all nodes, sorted. */
  readonly kernels: readonly string[];
  readonly runtimes: readonly string[];
  readonly osImages: readonly string[];
  readonly architectures: readonly string[];
  /** "v1", "v2": of the workers that are sampled; empty: unknown. */
  readonly cgroups: readonly string[];
  readonly ipFamilies: readonly string[];
  readonly nodes: number;
  readonly apiServers: number | null;
  /** What could not be read, and why. */
  readonly notRead: readonly string[];
}

/** The thresholds of the experiment, with defaults: shares from 0 to 1, a factor, and a time, ms. */
interface RunThresholds {
  readonly baselineAvailability: number;
  readonly outageBelow: number;
  readonly degradedBelow: number;
  readonly slowFactor: number;
  readonly slowFrom: number;
  readonly suppression: number;
}

/** Facts of a run that are not time series: `run.json`. The runner writes them when it learns them. */
export interface RunFacts {
  /** 1: from a version without function checks; has no `functionProbe`. */
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
    readonly thresholds: RunThresholds;
    readonly expectedImpact: Exclude<Severity, "inconclusive"> | null;
  };
  readonly cluster: {
    readonly provider: string;
    readonly context: string;
    /** uid of the namespace kube-system: identifies the cluster. */
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
  /** Absent in runs of older versions. */
  readonly environment?: Environment;
  /** What was measured; absent in runs of older versions: the guestbook. */
  readonly application?: {
    readonly kind: "guestbook" | "existing";
    /** The guestbook's namespace, or "NAMESPACE/SERVICE". */
    readonly name: string;
    /** Of an existing application: "POST api:80/orders through dns". */
    readonly write?: string;
    readonly read?: string;
  };
  /** Which guestbook ran and from which images; absent in runs of older versions: the public sample. */
  readonly guestbook?: {
    readonly kind: "sample" | "equivalent";
    readonly images: Readonly<Record<string, string>>;
    /** What differs from the public sample's images, in words; empty: nothing does. */
    readonly differences: readonly string[];
  };
  /** undefined before preflight has found it. */
  readonly target?: {
    readonly component: string | null;
    /** The attacked nodes; absent: the target is a workload. */
    readonly nodes?: readonly string[];
    readonly object: ObjectRef;
    /** Deployment, DaemonSet, … */
    readonly type: string;
    /** Desired replicas before the run: the measured 数. */
    readonly count: number;
    readonly images: readonly string[];
    /** "Pod → ReplicaSet → Deployment → addon-manager". */
    readonly ownerChain: readonly string[];
    readonly services: readonly ObjectRef[];
  };
  /** Probes whose samples show the component's own function; empty if a function check does. */
  readonly functionProbes: readonly ProbeName[];
  /** The check of its own function; null: the samples show it, or nothing does. */
  readonly functionProbe: {
    readonly name: FunctionCheckName;
    /** What "present" means, in one sentence. */
    readonly means: string;
    readonly deadlineMs: number;
    /** The check may disturb the application, so it runs before the baseline and after the window. */
    readonly disturbs: boolean;
  } | null;
  readonly study: StudyClaim | null;
  /** The worker nodes that are sampled. */
  readonly sources: readonly string[];
  /** How the samples are limited on a large cluster; absent: every worker, as often as the experiment asks. */
  readonly sampling?: Sampling;
  /** Probes that were not measured, with the reason. */
  readonly notMeasured: readonly { readonly probe: ProbeName; readonly reason: string }[];
  /** Substitute images among the images of this run. `victim`: the target itself uses one. */
  readonly standIns: readonly {
    readonly image: string;
    readonly description: string;
    readonly victim: boolean;
  }[];
}
