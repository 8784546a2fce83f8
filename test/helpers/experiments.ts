/** Experiments as a file would give them, after their component's defaults. */
import { resolveExperiment, type ResolvedExperiment } from "../../src/components/resolve.js";
import { type ExperimentFile, experimentSchema } from "../../src/experiment/schema.js";

/** An experiment on kube-dns, with these changes to its file. */
export function experiment(change: Partial<ExperimentFile> = {}): ResolvedExperiment {
  return resolveExperiment(
    experimentSchema.parse({
      apiVersion: "kube-system-chaos/v1",
      kind: "Experiment",
      metadata: { name: "x" },
      target: { component: "kube-dns" },
      ...change,
    }),
  );
}
