import { isControl } from "../experiment/attacks.js";
import { components } from "./all-components.js";
import type { ComponentDefinition } from "./component.js";
import type { Attack, Experiment } from "../experiment/schema.js";

/** An experiment with everything that its component adds to the file. */
export interface ResolvedExperiment {
  readonly experiment: Experiment;
  /** undefined: the target is a workload by kind and name. */
  readonly component: ComponentDefinition | undefined;
  readonly attack: Attack;
  readonly expectedImpact: "outage" | "degraded" | "function lost" | "none" | null;
}

/** Adds the component's default attack and expectation to what the file says. */
export function resolveExperiment(experiment: Experiment): ResolvedExperiment {
  const component = "component" in experiment.target ? components[experiment.target.component] : undefined;
  // A workload that no component describes is taken the way the study did.
  const attack = experiment.attack ??
    component?.defaultAttack ?? { type: "delete-workload", gracePeriod: 1000 };
  const expectedImpact =
    experiment.expectation?.impact ?? (isControl(attack) ? "none" : (component?.expectedImpact ?? null));
  return { experiment, component, attack, expectedImpact };
}
