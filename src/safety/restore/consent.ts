/**
 * A journal from the cluster is restored only after the user has seen what it would change: anyone who can write Secrets
 * there may have written it (docs/safety.md, "Threat model").
 */
import { RefusedError } from "../../common/errors.js";
import type { Deployment, KubeObject } from "../../kube/objects.js";
import type { Transport } from "../../kube/transport.js";
import { planOf } from "../journal/describe.js";
import { isNodeUndo, type JournalState, type NodeUndo } from "../journal/journal.js";
import { restoreDiff } from "./diff.js";
import type { RestoreOptions } from "./options.js";

/** @throws RefusedError when the user does not consent to the plan, which is printed. */
export async function consentTo(
  { open: { runId, host }, pending }: JournalState,
  transport: Transport,
  { view, yes = false, ask }: Pick<RestoreOptions, "view" | "yes" | "ask">,
): Promise<void> {
  const plan: string[] = [];
  for (const entry of [...pending].reverse()) {
    const { undo } = entry;
    // No command is run on a node before the consent.
    if (isNodeUndo(undo)) plan.push(planOf(undo), `  ${wayTo(undo)}`);
    else plan.push(...(await restoreDiff([entry], { transport, allowCommands: false, foreign: true })));
    if (undo.action === "restore-workload") plan.push(`  in ${placeOf(undo.path)}: ${powersOf(undo.object)}`);
  }
  view.result(
    [
      `run ${runId} of ${host}, from its copy in the cluster, would undo:`,
      ...plan.map((each) => `  ${each}`),
    ],
    { runId, host, plan },
  );
  if (yes || (await ask?.(`Restore run ${runId} as listed above?`)) === true) return;
  throw new RefusedError(
    `cannot restore run ${runId} without your consent: its journal comes from the cluster, and anyone who can write Secrets ` +
      "in kube-system-chaos can change it. Nothing was changed. Check the list above, then add --yes",
  );
}

/** The namespace in the URL path of an object: the copy is checked for it to be that of the object. */
function placeOf(path: string): string {
  return `namespace ${/\/namespaces\/([^/]+)\//.exec(path)?.[1] ?? "unknown"}`;
}

function wayTo({ node, access, ...undo }: NodeUndo): string {
  const what = undo.action === "start-unit" ? [undo.unit, ...undo.also].join(" ") : undo.manifest;
  const env =
    access.type === "engine" ? Object.entries(access.env).map(([key, value]) => `${key}=${value} `) : [];
  const by = {
    engine: () => `through ${env.join("")}${(access as { command: string }).command}`,
    command: () => `through the command ${(access as { argv: readonly string[] }).argv.join(" ")}`,
    pod: () => "through the privileged pod",
  }[access.type]();
  return `${what} on ${node}, ${by}`;
}

/** What the pods of a workload may do: a changed copy would show here. Pure. */
export function powersOf(object: KubeObject): string {
  const pod = (object as Deployment).spec?.template?.spec as PodSpec | undefined;
  const containers = [...(pod?.initContainers ?? []), ...(pod?.containers ?? [])];
  const powers = [
    ...(containers.some((each) => each.securityContext?.privileged === true) ? ["privileged"] : []),
    ...(["hostNetwork", "hostPID", "hostIPC"] as const).filter((each) => pod?.[each] === true),
    ...(pod?.volumes ?? []).flatMap(({ hostPath }) =>
      hostPath === undefined ? [] : [`host path ${hostPath.path}`],
    ),
  ];
  return [
    `images ${containers.map(({ image }) => image ?? "none").join(", ") || "none"}`,
    `ServiceAccount ${pod?.serviceAccountName ?? "default"}`,
    ...powers,
  ].join("; ");
}

interface Container {
  readonly image?: string;
  readonly securityContext?: { readonly privileged?: boolean };
}

interface PodSpec {
  readonly containers?: readonly Container[];
  readonly initContainers?: readonly Container[];
  readonly volumes?: readonly { readonly hostPath?: { readonly path: string } }[];
  readonly serviceAccountName?: string;
  readonly hostNetwork?: boolean;
  readonly hostPID?: boolean;
  readonly hostIPC?: boolean;
}
