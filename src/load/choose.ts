import { UsageError } from "../common/errors.js";
import type { ResolvedExperiment } from "../components/resolve.js";
import { ALIASES } from "../experiment/aliases.js";
import { COMPONENTS } from "../experiment/names.js";
import { nearest } from "../strict-yaml/near.js";
import { escapeInvisible } from "../strict-yaml/quote.js";

/** A loaded experiment. */
export interface Loaded {
  readonly file: string;
  readonly resolved: ResolvedExperiment;
}

export interface Choice {
  /** Only these experiments, by name; empty: all. */
  readonly only: readonly string[];
  readonly skip: readonly string[];
  /** Run every experiment with the attack none. */
  readonly control: boolean;
}

/** Applies --only, --skip and --control; sorts by the study's table. Pure. @throws UsageError for an unknown name or an empty choice. */
export function choose(loaded: readonly Loaded[], { only, skip, control }: Choice): Loaded[] {
  const names = loaded.map(({ resolved }) => resolved.experiment.metadata.name);
  const unknown = [...only, ...skip].filter((name) => !names.includes(name));
  if (unknown.length > 0)
    throw new UsageError(
      `unknown experiment: ${unknown.map((name) => withHint(name, names)).join(", ")}. Given experiments: ${names.join(", ")}`,
    );
  const chosen = loaded.filter(({ resolved }) => {
    const { name } = resolved.experiment.metadata;
    return (only.length === 0 || only.includes(name)) && !skip.includes(name);
  });
  if (chosen.length === 0)
    throw new UsageError("--only and --skip leave no experiment to run: name others, or omit one of them");
  return inOrder(control ? chosen.map(asControl) : chosen);
}

export function withHint(name: string, names: readonly string[]): string {
  const near = nearest(name, names, ALIASES);
  return `${escapeInvisible(name)}${near === undefined ? "" : ` (did you mean ${near}?)`}`;
}

/** Attacks nothing and expects no impact. */
function asControl({ file, resolved }: Loaded): Loaded {
  return { file, resolved: { ...resolved, attack: { type: "none" }, expectedImpact: "none" } };
}

/** In the order of the study's table. Experiments without a component come last, in the given order. */
function inOrder(loaded: readonly Loaded[]): Loaded[] {
  const rank = ({ resolved }: Loaded): number =>
    resolved.component === undefined ? COMPONENTS.length : COMPONENTS.indexOf(resolved.component.name);
  return [...loaded].sort((a, b) => rank(a) - rank(b));
}
