import { isControl } from "../experiment/attacks.js";
import { components } from "./all-components.js";
import type { ComponentDefinition } from "./component.js";
import type { Attack, Experiment } from "../experiment/schema.js";

/** An experiment with the defaults of its component. */
export interface ResolvedExperiment {
  readonly experiment: Experiment;
  /** undefined: the target is a workload by kind and name. */
  readonly component: ComponentDefinition | undefined;
  readonly attack: Attack;
  readonly expectedImpact: "outage" | "degraded" | "function lost" | "none" | null;
}

/** Adds the component's default attack and expectation where the file has none. */
export function resolveExperiment(experiment: Experiment): ResolvedExperiment {
  const component = "component" in experiment.target ? components[experiment.target.component] : undefined;
  // The study's attack is the default for a workload without a component.
  const attack = experiment.attack ??
    component?.defaultAttack ?? { type: "delete-workload", gracePeriod: 1000 };
  const expectedImpact =
    experiment.expectation?.impact ?? (isControl(attack) ? "none" : (component?.expectedImpact ?? null));
  return { experiment, component, attack, expectedImpact };
}
