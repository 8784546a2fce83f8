import type { StudyClaim } from "../analysis/result.js";
import type { Attack, ExperimentFile } from "../experiment/schema.js";
import type { ProbeName } from "../probes/sample.js";

/** What is known of a kube-system component, once, for every command. */
export interface ComponentDefinition {
  readonly name: string;
  /** What it does, in one sentence. */
  readonly role: string;
  /** How its workload is found: by label, because its name differs between distributions. */
  readonly find: {
    readonly namespace: string;
    readonly kinds: readonly ("Deployment" | "DaemonSet")[];
    readonly labels: Readonly<Record<string, string>>;
    /** Names that it is known by, for messages. */
    readonly knownAs: readonly string[];
  };
  readonly defaultAttack: Attack;
  /** Probes that show the component's own function. */
  readonly functionProbes: readonly ProbeName[];
  readonly expectedImpact: NonNullable<ExperimentFile["expectation"]>["impact"];
  readonly study: StudyClaim;
}
