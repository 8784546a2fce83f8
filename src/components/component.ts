import type { ComponentName, ProbeName, TargetKind } from "../experiment/names.js";
import type { Attack, ExperimentFile } from "../experiment/schema.js";
import type { FunctionCheckName } from "./functions.js";
import type { PlatformName } from "./platforms.js";

/**
 * A Deployment or DaemonSet, found by labels: its name differs between distributions and versions. When none of a
 * component's label sets has a workload that runs, the usual names are tried.
 */
export interface FindWorkload {
  readonly how: "workload";
  readonly namespace: string;
  readonly kinds: readonly ("Deployment" | "DaemonSet")[];
  readonly labels: Readonly<Record<string, string>>;
  /** Its usual names. */
  readonly knownAs: readonly string[];
  /** The only platform that has this form. Default: any, and the form is looked for everywhere. */
  readonly on?: PlatformName;
}

/** Static pods, found by the labels of their mirror pods. The kubelet of each node runs them from a manifest file. */
export interface FindStaticPod {
  readonly how: "static-pod";
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Possible paths of the manifest on a node, most common first. */
  readonly manifests: readonly string[];
  readonly knownAs: readonly string[];
  readonly on?: PlatformName;
}

/** A systemd unit on every node. */
export interface FindUnit {
  readonly how: "systemd-unit";
  /** Possible names of the unit, most common first. */
  readonly units: readonly string[];
  readonly knownAs: readonly string[];
  readonly on?: PlatformName;
}

export type Find = FindWorkload | FindStaticPod | FindUnit;

/** The kinds of target that each way of finding can return. */
export const KINDS_OF: Readonly<Record<Find["how"], readonly TargetKind[]>> = {
  workload: ["Deployment", "DaemonSet"],
  "static-pod": ["StaticPod"],
  "systemd-unit": ["SystemdUnit"],
};

/** The definition of a kube-system component, for every command. */
export interface ComponentDefinition {
  readonly name: ComponentName;
  /** What it does, in one sentence. */
  readonly role: string;
  /**
   * How to find it on each platform. The first form of which instances run counts: GKE has a DaemonSet kube-proxy that
   * wants no pods, and static pods.
   */
  readonly find: readonly Find[];
  /** The attack if the experiment does not name one. */
  readonly defaultAttack: Attack;
  /** Used if the file names no attack and the default one does not fit the form that was found (static pods on GKE). */
  readonly otherAttacks?: readonly Attack[];
  /** Components that scale or repair it, so that they must be attacked before it, outermost first. */
  readonly suppressFirst?: readonly ComponentName[];
  /** Probes whose samples show the component's own function. */
  readonly functionProbes: readonly ProbeName[];
  /** The check of the component's own function, if samples do not show it. */
  readonly functionProbe?: FunctionCheckName;
  /** While it is down, the API server does not answer. */
  readonly carriesApi?: true;
  /** The maximum window, ms: after a longer one the API server recovers late. */
  readonly longestWindowMs?: number;
  readonly expectedImpact: NonNullable<ExperimentFile["expectation"]>["impact"] | null;
  /** null: not in the study's table. */
  readonly study: StudyClaim | null;
}

/** What the study says about a component, and whether it was observed or only expected (はず). */
export interface StudyClaim {
  /** Name of the row in the study's table. */
  readonly name: string;
  readonly type: string;
  /** The study's 数: the number of instances. */
  readonly count: number;
  readonly behaviour: { readonly en: string; readonly ja: string };
  /** The impact of that behaviour on the application. */
  readonly impact: "outage" | "none";
  readonly impactVerified: boolean;
  /** What the study says about the component's own function. */
  readonly functionLost: boolean;
  readonly functionVerified: boolean;
}
