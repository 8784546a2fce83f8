import { GUESTBOOK_IMAGES } from "../application/guestbook.js";
import { createAttack } from "../attacks/index.js";
import type { ResolvedExperiment } from "../experiment/resolve.js";
import { PROBER_NAMESPACE } from "../probes/prober-manifests.js";
import type { Target } from "../target/target.js";
import type { Check } from "./preflight.js";

/** What a run would do, for --dry-run. Pure. */
export function planLines(
  options: { readonly file: string; readonly resolved: ResolvedExperiment; readonly keepApp: boolean },
  target: Target,
  checks: readonly Check[],
): string[] {
  const { resolved, keepApp } = options;
  const { experiment, attack } = resolved;
  const { baseline, window, recovery } = experiment.phases;
  const namespace = experiment.application.guestbook.namespace;
  return [
    `dry run of ${options.file}: nothing was touched`,
    ...checks.map((check) => `  ✓ ${check.name}: ${check.detail}`),
    `target: ${target.kind} ${target.namespace}/${target.name} (${target.count} wanted)`,
    `who restores it: ${target.ownerChain.join(" → ")}`,
    `would deploy: the guestbook into ${namespace} (${Object.values(GUESTBOOK_IMAGES).join(", ")}), a prober a node into ${PROBER_NAMESPACE}`,
    `would measure: ${baseline / 1000} s of baseline, ${window / 1000} s of window, up to ${recovery / 1000} s of recovery, every ${experiment.probes.interval} ms`,
    `attack ${attack.type}:`,
    ...createAttack(attack)
      .plan(target)
      .map((line) => `  - ${line}`),
    attack.type === "none"
      ? "would restore: nothing"
      : `would restore: ${target.kind} ${target.name} from the journal, where the cluster's own restorer does not`,
    `would remove: ${PROBER_NAMESPACE}${keepApp ? "" : `, ${namespace}`}`,
    `expected impact: ${resolved.expectedImpact ?? "none stated"}`,
  ];
}

/** Why preflight refuses: every check that failed. Pure. */
export function refusal(refused: readonly Check[]): string {
  return [
    "preflight refused; nothing was touched:",
    ...refused.map((check) => `  ${check.name}: ${check.detail}`),
  ].join("\n");
}
