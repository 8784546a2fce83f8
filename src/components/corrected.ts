import { components } from "./all-components.js";
import { FUNCTION_CHECKS, type FunctionFacts, type FunctionCheckName } from "./functions.js";

/** A workload of kube-system that a function check sets wrong, to see the component correct it. */
export interface Corrected extends NonNullable<FunctionFacts["corrects"]> {
  /** Its usual names. */
  readonly knownAs: readonly string[];
}

/** The workload that a check sets wrong; undefined: none. */
export function correctedBy(check: FunctionCheckName | undefined): Corrected | undefined {
  const corrects = check === undefined ? undefined : FUNCTION_CHECKS[check].corrects;
  if (corrects === undefined) return undefined;
  const knownAs = components[corrects.component].find
    .filter((find) => find.how === "workload" && find.labels["k8s-app"] === corrects.labels["k8s-app"])
    .flatMap((find) => find.knownAs);
  return { ...corrects, knownAs };
}
