/** A workload of kube-system that a probe sets wrong, to see it set right again. */

import { components } from "./all-components.js";
import type { FunctionProbeName } from "./functions.js";

export interface Corrected {
  readonly resource: "apps/deployments" | "apps/daemonsets";
  readonly labels: Readonly<Record<string, string>>;
  /** Names that it is known by. */
  readonly knownAs: readonly string[];
}

/** Of the probes that set something wrong. */
export const CORRECTED: Partial<Readonly<Record<FunctionProbeName, Corrected>>> = {
  "dns-is-scaled": corrected("kube-dns", "apps/deployments", { "k8s-app": "kube-dns" }),
  "fluentd-is-scaled": corrected("fluentd", "apps/daemonsets", { "k8s-app": "fluentd-gcp" }),
};

export function corrected(
  component: "kube-dns" | "fluentd",
  resource: Corrected["resource"],
  labels: Readonly<Record<string, string>>,
): Corrected {
  const knownAs = components[component].find
    .filter((find) => find.how === "workload" && find.labels["k8s-app"] === labels["k8s-app"])
    .flatMap((find) => find.knownAs);
  return { resource, labels, knownAs };
}

/** What a probe sets wrong; undefined: nothing. */
export function correctedBy(probe: FunctionProbeName | undefined): Corrected | undefined {
  return probe === undefined ? undefined : CORRECTED[probe];
}
