import { differencesOf, imagesOf, type OwnPods } from "../../application/own-pods.js";
import { createAttack } from "../../attacks/all-attacks.js";
import type { ResolvedExperiment } from "../../components/resolve.js";
import { isControl } from "../../experiment/attacks.js";
import { PROBER_NAMESPACE } from "../../own/own-names.js";
import { functionProbes } from "../../probes/functions/all-function-checks.js";
import type { Sampling } from "../../evidence/facts.js";
import { samplingText } from "../../report/words.js";
import { type AnyTarget, isNodeTarget } from "../../targets/target.js";
import { ownName } from "../measuring/own-application.js";
import { foundWords } from "./dry-run-table.js";
import { ASSUMED, type Check, type PreflightOutcome, runsWords } from "./preflight.js";

/** The plan that --dry-run prints. Pure. */
export function planLines(
  options: { readonly file: string; readonly keepApp: boolean },
  {
    target,
    companions,
    missing,
    platform,
    checks,
    resolved,
    pods,
  }: PreflightOutcome & { readonly target: AnyTarget; readonly pods: OwnPods },
  sampling?: Sampling,
): string[] {
  const { keepApp } = options;
  const { experiment, attack } = resolved;
  const { baseline, window, recovery } = experiment.phases;
  const { existing, guestbook } = experiment.application;
  return [
    `dry run of ${options.file}: nothing was changed`,
    ...checks.map(({ name, detail, assumed }) => `  ${assumed === true ? "?" : "✓"} ${name}: ${detail}`),
    `platform: ${platform === undefined ? "none that is known by its nodes" : `${platform.name} (${platform.because})`}`,
    isNodeTarget(target)
      ? `target: ${target.name} on ${nodesOf(resolved, target.nodes)}`
      : `target: ${target.kind} ${target.namespace}/${target.name} (${target.count} desired)`,
    `found: ${foundWords(target)}, ${runsWords(target)}${checks.some(({ assumed }) => assumed) ? ` (${ASSUMED})` : ""}`,
    ...missing.map((each) => `companion not found, so nothing is scaled down before the target: ${each}`),
    `who restores it: ${target.ownerChain.join(" → ")}`,
    ...(existing === undefined
      ? [
          `would deploy: the guestbook into ${guestbook.namespace} (${imagesOf(pods).join(", ")}), one prober per node into ${PROBER_NAMESPACE}`,
          ...differencesOf(pods).map((line) => `differs from the public sample: ${line}`),
        ]
      : [
          `would use: the application ${ownName(existing)}, in whose namespace nothing is changed`,
          `would deploy: one prober per node into ${PROBER_NAMESPACE} (${pods.images.node})`,
        ]),
    ...pods.pullSecrets.map(
      ({ namespace: from, name }) =>
        `would copy: Secret ${from}/${name} into each namespace that the run creates`,
    ),
    `would measure: ${baseline / 1000} s of baseline, ${window / 1000} s of window, up to ${recovery / 1000} s of recovery, ${sampling === undefined ? `every ${experiment.probes.interval} ms` : `from ${samplingText(sampling)}, so that the application bears the requests`}`,
    functionLine(resolved),
    `attack ${attack.type}:`,
    ...createAttack(attack, { companions })
      .plan(target)
      .map((line) => `  - ${line}`),
    isControl(attack)
      ? "would restore: nothing"
      : isNodeTarget(target)
        ? `would restore: ${target.name} on its nodes; a timer on each node does it if the runner cannot`
        : `would restore: ${target.kind} ${target.name} from the journal, unless the cluster's own controllers restore it`,
    `would remove: ${[PROBER_NAMESPACE, ...(keepApp || guestbook === undefined ? [] : [guestbook.namespace])].join(", ")}`,
    `expected impact: ${resolved.expectedImpact ?? "none stated"}`,
  ];
}

/** "the node of the application's database (of a, b, c)". */
function nodesOf({ attack, experiment }: ResolvedExperiment, nodes: readonly string[]): string {
  const wanted = "nodes" in attack ? attack.nodes : "one";
  const which =
    experiment.application.existing === undefined
      ? "the node of the application's database"
      : "the node with most of the application's pods";
  if (wanted === "one") return `${which} (it runs on ${nodes.join(", ")})`;
  return (wanted === "all" ? nodes : wanted).join(", ");
}

function functionLine({ component }: ResolvedExperiment): string {
  if (component?.functionProbe === undefined) {
    const samples = component?.functionProbes ?? [];
    return `its own function: ${samples.length === 0 ? "no function check" : samples.join(", ")}`;
  }
  const { means, deadlineMs } = functionProbes[component.functionProbe];
  return `its own function: ${means} (deadline ${deadlineMs / 1000} s)`;
}

/** The refusal of preflight: every check that failed. Pure. */
export function refusal(refused: readonly Check[]): string {
  return [
    "preflight refused; nothing was changed:",
    ...refused.map((check) => `  ${check.name}: ${check.detail}`),
  ].join("\n");
}
