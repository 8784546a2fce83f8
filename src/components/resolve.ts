import { fits, isControl } from "../experiment/attacks.js";
import type { TargetKind } from "../experiment/names.js";
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

/**
 * The same, with another of the component's attacks if the file names none and the usual one does not fit the form that
 * was found: kube-proxy is a static pod on GKE. Pure.
 */
export function fitted(resolved: ResolvedExperiment, kind: TargetKind): ResolvedExperiment {
  const { experiment, component, attack } = resolved;
  if (experiment.attack !== undefined || fits(attack.type, kind)) return resolved;
  const other = component?.otherAttacks?.find(({ type }) => fits(type, kind));
  return other === undefined ? resolved : { ...resolved, attack: other };
}
