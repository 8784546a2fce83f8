/** What a run that is not restored leaves behind, in words, and the commands that undo it. Pure. */
import { ATTACKS } from "../experiment/attacks.js";
import type { Deployment } from "../kube/objects.js";
import { commandLine } from "../nodes/access.js";
import { MANAGED_BY, MANAGED_BY_LABEL } from "../own/manifest.js";
import { kindsMadeIn } from "../own/namespaces.js";
import { describeUndo } from "../safety/journal/describe.js";
import { isNodeUndo, type NodeUndo, type Undo, type WorkloadUndo } from "../safety/journal/journal.js";
import { kubectlLine, type Where } from "../safety/restore/connection.js";
import { quoted } from "../common/shell-word.js";

interface Place {
  /** How kubectl reaches the cluster; empty: by the user's current kubeconfig and context. */
  readonly where: Where;
  /** The file with the workload as it was before the run. */
  readonly file: string;
  /** The journal came from the cluster: a command that it names is not shown, because it may be anyone's. */
  readonly foreign: boolean;
}

/** What may be left of one change, then the commands that undo it. */
export function byHand(entry: Undo, place: Place): string[] {
  const line = (...words: string[]): string => `  ${kubectlLine(place.where, words)}`;
  if (isNodeUndo(entry)) return onNode(entry, place.foreign);
  if (entry.action === "restore-workload")
    return [`${describeUndo(entry)} may be missing or changed:`, ...workload(entry, place.file, line)];
  const { kind, name, namespace } = entry.object;
  if (entry.action === "remove")
    return [
      `${describeUndo(entry)} may still exist:`,
      line(
        ...(namespace === undefined ? [] : ["-n", namespace]),
        ...["delete", kind.toLowerCase(), "-l", selectorOf(entry.labels)],
        `--field-selector=metadata.name=${name}`,
      ),
    ];
  const kinds = kindsMadeIn(name).map(({ resource }) => resource);
  return [
    `Namespace ${name} may contain objects of the run:`,
    line("-n", name, "delete", kinds.join(","), "-l", `${MANAGED_BY_LABEL}=${MANAGED_BY}`),
  ];
}

/** By its labels, too: an object of the same name may be someone else's by now, or always was. */
function selectorOf(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .join(",");
}

function workload(
  { object, collection, onlyReplicas }: WorkloadUndo,
  file: string,
  line: (...words: string[]) => string,
): string[] {
  if (onlyReplicas !== true) return [line("apply", "--server-side", "--force-conflicts", "-f", file)];
  const namespace = object.metadata.namespace ?? collection.split("/").at(-2) ?? "kube-system";
  const name = `${(object.kind ?? "Deployment").toLowerCase()}/${object.metadata.name}`;
  const replicas = (object as Deployment).spec?.replicas ?? 1;
  return [line("-n", namespace, "scale", name, `--replicas=${replicas}`)];
}

function onNode(entry: NodeUndo, foreign: boolean): string[] {
  const { node, timer } = entry;
  const [what, argv] =
    entry.action === "start-unit"
      ? [`${entry.unit} on ${node} may be stopped:`, start(entry)]
      : [`${entry.manifest} on ${node} may be missing:`, ["mv", "-n", entry.heldAt, entry.manifest]];
  return [
    what,
    ...[argv, ["systemctl", "stop", `${timer}.timer`]].map((each) => `  ${through(entry, each, foreign)}`),
  ];
}

function start({ unit, also, attack }: Extract<NodeUndo, { action: "start-unit" }>): string[] {
  const own = attack !== undefined && Object.hasOwn(ATTACKS, attack) ? ATTACKS[attack].onUnit : undefined;
  return own === undefined
    ? ["systemctl", "start", unit, ...also]
    : ["sh", "-c", own.undo, "undo", unit, ...also];
}

function through({ node, access }: NodeUndo, argv: readonly string[], foreign: boolean): string {
  if (foreign || access.type === "pod") return `on ${node}: ${argv.map(quoted).join(" ")}`;
  if (access.type === "command") return commandLine(access.argv, node, argv).map(quoted).join(" ");
  const env = Object.entries(access.env).map(([key, value]) => `${key}=${quoted(value)} `);
  return `${env.join("")}${[access.command, "exec", node, ...argv].map(quoted).join(" ")}`;
}
