import { differencesOf, imagesOf, type OwnPods } from "../../application/own-pods.js";
import { createAttack } from "../../attacks/all-attacks.js";
import type { ResolvedExperiment } from "../../components/resolve.js";
import { PROBER_NAMESPACE } from "../../own/own-names.js";
import { functionProbes } from "../../probes/functions/all-function-checks.js";
import type { Sampling } from "../../evidence/facts.js";
import { samplingText } from "../../report/words.js";
import { type AnyTarget, isNodeTarget } from "../../targets/target.js";
import { hanging } from "../../ui/wrap.js";
import { ownName } from "../measuring/own-application.js";
import { planRow, rowLines } from "./dry-run-table.js";
import { rightsLines, rightsSummary } from "./plan-words.js";
import { ASSUMED, type Check, type PreflightOutcome } from "./preflight.js";
import { phaseWords } from "./run-duration.js";

/** The plan that --dry-run prints, at most 100 columns wide. Pure. */
export function planLines(
  options: { readonly file: string; readonly keepApp: boolean },
  outcome: PreflightOutcome & { readonly target: AnyTarget; readonly pods: OwnPods },
  sampling?: Sampling,
): string[] {
  const { target, companions, missing, platform, checks, resolved, pods, rights } = outcome;
  const { experiment, attack } = resolved;
  const { existing, guestbook } = experiment.application;
  const refused = checks.some(({ ok }) => !ok);
  const line = (head: string, text: string): string[] => hanging(`  ${head.padEnd(10)}`, text);
  const interval =
    sampling === undefined
      ? `every ${experiment.probes.interval} ms`
      : `from ${samplingText(sampling)}, so that the application bears the requests`;
  return [
    `dry run of ${options.file}: nothing was changed`,
    ...checks.flatMap(({ name, ok, detail, assumed }) =>
      hanging(`  ${!ok ? "✗" : assumed === true ? "?" : "✓"} `, `${name}: ${detail}`),
    ),
    ...hanging(
      "platform: ",
      platform === undefined ? "none that is known by its nodes" : `${platform.name} (${platform.because})`,
    ),
    refused ? "the plan, once what is marked with ✗ is mended:" : "the plan:",
    ...rowLines(planRow(options.file, outcome), createAttack(attack, { companions }).plan(target)),
    ...(isNodeTarget(target) ? line("nodes", nodesOf(resolved, target.nodes)) : []),
    ...(checks.some(({ assumed }) => assumed) ? line("", ASSUMED) : []),
    ...missing.flatMap((each) =>
      line("", `companion not found, so nothing is scaled down before the target: ${each}`),
    ),
    ...(existing === undefined
      ? [
          ...line(
            "deploys",
            `the guestbook into ${guestbook.namespace}, one prober per node into ${PROBER_NAMESPACE}`,
          ),
          ...line("images", imagesOf(pods).join(", ")),
          ...differencesOf(pods).flatMap((each) => line("", `differs from the public sample: ${each}`)),
        ]
      : [
          ...line("uses", `the application ${ownName(existing)}, in whose namespace nothing is changed`),
          ...line("deploys", `one prober per node into ${PROBER_NAMESPACE}`),
          ...line("images", pods.images.node),
        ]),
    ...pods.pullSecrets.flatMap(({ namespace: from, name }) =>
      line("copies", `Secret ${from}/${name} into each namespace that the run creates`),
    ),
    ...line("measures", `${phaseWords(resolved)}, ${interval}`),
    ...line("function", functionWords(resolved)),
    ...line(
      "removes",
      [PROBER_NAMESPACE, ...(options.keepApp || guestbook === undefined ? [] : [guestbook.namespace])].join(
        ", ",
      ),
    ),
    ...line("expects", resolved.expectedImpact ?? "no impact is stated"),
    ...allRights(rights),
  ];
}

/** Every right, by namespace; the missing ones marked. */
function allRights(rights: PreflightOutcome["rights"]): string[] {
  if (rights === undefined) return hanging("rights: ", rightsSummary(rights));
  const lines = rightsLines(rights);
  const missing = rights.filter(({ granted }) => !granted).length;
  const namespaces = [...new Set(lines.map(({ namespace }) => namespace))];
  return [
    `rights: ${rights.length} needed, ${missing === 0 ? "all granted" : `${missing} missing`}`,
    ...namespaces.flatMap((namespace) => [
      `  ${namespace === undefined ? "of the whole cluster" : `in ${namespace}`}`,
      ...lines
        .filter((each) => each.namespace === namespace)
        .flatMap(({ words, granted }) => hanging(`    ${granted ? "✓" : "✗"} `, words)),
    ]),
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

function functionWords({ component }: ResolvedExperiment): string {
  if (component?.functionProbe === undefined) {
    const samples = component?.functionProbes ?? [];
    return samples.length === 0 ? "no function check" : samples.join(", ");
  }
  const { means, deadlineMs } = functionProbes[component.functionProbe];
  return `${means} (deadline ${deadlineMs / 1000} s)`;
}

/** What to do, for checks whose detail is a list of facts. */
function adviceFor({ name, detail }: Check): string | undefined {
  if (name === "permissions") return "`chaos rbac EXPERIMENT` prints Roles that grant them";
  if (name !== "target" || !/\bfound none/.test(detail)) return undefined;
  return "If it runs under another name, add target.name; `chaos init` writes the experiments that fit this cluster";
}

/** The refusal of preflight: every check that failed. Pure. */
export function refusal(refused: readonly Check[]): string {
  return [
    "preflight refused; nothing was changed:",
    ...refused.flatMap((check) => {
      const advice = adviceFor(check);
      return [`  ${check.name}: ${check.detail}`, ...(advice === undefined ? [] : [`    ${advice}`])];
    }),
  ].join("\n");
}
