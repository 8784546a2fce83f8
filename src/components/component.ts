import type { ComponentName, ProbeName, TargetKind } from "../experiment/names.js";
import type { Attack, ExperimentFile } from "../experiment/schema.js";
import type { FunctionCheckName } from "./functions.js";

/** A Deployment or DaemonSet, found by its labels: its name differs between distributions and versions. */
export interface FindWorkload {
  readonly how: "workload";
  readonly namespace: string;
  readonly kinds: readonly ("Deployment" | "DaemonSet")[];
  readonly labels: Readonly<Record<string, string>>;
  /** Names that it is known by, for messages. */
  readonly knownAs: readonly string[];
}

/** Static pods, found by their mirror pods' labels; the kubelet of each node keeps them alive from a file. */
export interface FindStaticPod {
  readonly how: "static-pod";
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Where the manifest may be on a node, best known first. */
  readonly manifests: readonly string[];
  readonly knownAs: readonly string[];
}

/** A systemd unit on every node. */
export interface FindUnit {
  readonly how: "systemd-unit";
  /** Names that the unit may have, best known first. */
  readonly units: readonly string[];
  readonly knownAs: readonly string[];
}

export type Find = FindWorkload | FindStaticPod | FindUnit;

/** The kinds of target that a way of finding may bring. */
export const KINDS_OF: Readonly<Record<Find["how"], readonly TargetKind[]>> = {
  workload: ["Deployment", "DaemonSet"],
  "static-pod": ["StaticPod"],
  "systemd-unit": ["SystemdUnit"],
};

/** What is known of a kube-system component, once, for every command. */
export interface ComponentDefinition {
  readonly name: ComponentName;
  /** What it does, in one sentence. */
  readonly role: string;
  /** How it is found, on GKE, kubeadm and kind, and elsewhere: the first that finds something counts. */
  readonly find: readonly Find[];
  /** How it is taken down where the file does not say; one for each way in which it may be found. */
  readonly defaultAttack: Attack;
  /** Where it was found as something that the default attack cannot take (a static pod on GKE, say). */
  readonly otherAttacks?: readonly Attack[];
  /** What scales or repairs it and has to be suppressed before it, outermost first. */
  readonly suppressFirst?: readonly ComponentName[];
  /** Probes of the application's layers that show the component's own function. */
  readonly functionProbes: readonly ProbeName[];
  /** The probe of the component's own function, where it takes more than a sample of a layer. */
  readonly functionProbe?: FunctionCheckName;
  /** Nothing can be asked through the API server while it is down. */
  readonly carriesApi?: true;
  /** The longest window that it may be given, ms: the API server comes back late from a longer one. */
  readonly longestWindowMs?: number;
  readonly expectedImpact: NonNullable<ExperimentFile["expectation"]>["impact"] | null;
  /** null: not in the study's table. */
  readonly study: StudyClaim | null;
}

/** The study's word on a component: what the slide says, and whether it was seen there or only supposed (はず). */
export interface StudyClaim {
  /** The row's name in the study's table. */
  readonly name: string;
  readonly type: string;
  /** The study's 数: how many there were. */
  readonly count: number;
  readonly behaviour: { readonly en: string; readonly ja: string };
  /** The impact on the application that the behaviour amounts to. */
  readonly impact: "outage" | "none";
  readonly impactVerified: boolean;
  /** What the study said of the component's own function. */
  readonly functionLost: boolean;
  readonly functionVerified: boolean;
}
