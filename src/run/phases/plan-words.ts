/** The parts of a plan as sentences: what the run restores, and which rights it needs. Pure. */
import { objectName } from "../../common/object-name.js";
import type { ResolvedExperiment } from "../../components/resolve.js";
import { ATTACKS, isControl } from "../../experiment/attacks.js";
import { resourceWords } from "../../kube/permission.js";
import { ADDON_MODE_LABEL } from "../../own/own-names.js";
import { HEAL_AFTER_MS } from "../../safety/restore/healed.js";
import { wantedCount } from "../../targets/find-workload.js";
import { type AnyTarget, isNodeTarget, type Target } from "../../targets/target.js";
import type { AskedRight } from "./preflight.js";
import { ADDON_MANAGER_LIMIT_MS } from "./release.js";

/** What the release and the end of the run restore, in their order: one sentence each. */
export function undoWords(
  { attack }: Pick<ResolvedExperiment, "attack">,
  target: AnyTarget,
  companions: readonly Target[],
): string[] {
  if (isControl(attack)) return ["nothing: a control run changes nothing"];
  if (isNodeTarget(target)) {
    const what =
      target.kind === "StaticPod"
        ? `move the manifest of ${target.name} back`
        : `start ${target.unit ?? target.name}`;
    return [
      `${what} on each attacked node; a timer on the node does it after ${HEAL_AFTER_MS / 1000} s without the runner`,
    ];
  }
  return [workloadWords(attack.type, target), ...companions.map((each) => replicasWords(each))];
}

function workloadWords(attack: ResolvedExperiment["attack"]["type"], target: Target): string {
  const { changes } = ATTACKS[attack];
  if (changes === "replicas") return replicasWords(target);
  const name = objectName(target);
  if (changes === "pods") return `its controller recreates the pods; ${name} is recreated if it is gone`;
  const recreate = `recreate ${name} from the journal`;
  return target.object.metadata.labels?.[ADDON_MODE_LABEL] === undefined
    ? `${recreate}, unless someone else recreates it`
    : `wait up to ${ADDON_MANAGER_LIMIT_MS / 1000} s for addon-manager, then ${recreate}`;
}

function replicasWords(target: Target): string {
  return `scale ${objectName(target)} back to ${wantedCount(target.kind, target.object)}`;
}

/** Rights to the same objects: "get, update apps/deployments coredns". */
export interface RightsLine {
  /** undefined: of the whole cluster. */
  readonly namespace: string | undefined;
  readonly words: string;
  readonly granted: boolean;
}

/** The rights by namespace, the verbs of the same objects on one line; a missing one has its purpose. */
export function rightsLines(rights: readonly AskedRight[]): RightsLine[] {
  const lines = new Map<string, { right: AskedRight; verbs: string[]; whys: Set<string> }>();
  for (const right of rights) {
    const key = JSON.stringify([right.namespace, resourceWords(right), right.name, right.granted]);
    const line = lines.get(key) ?? { right, verbs: [], whys: new Set<string>() };
    line.verbs.push(right.verb);
    line.whys.add(right.why);
    lines.set(key, line);
  }
  const all = [...lines.values()].map(({ right, verbs, whys }) => {
    const what = `${resourceWords(right)}${right.name === undefined ? "" : ` ${right.name}`}: ${verbs.join(", ")}`;
    const words = right.granted ? what : `${what} (missing; for ${[...whys].join("; ")})`;
    return { namespace: right.namespace, words, granted: right.granted };
  });
  const namespaces = [...new Set(all.map(({ namespace }) => namespace))];
  return namespaces.flatMap((namespace) => all.filter((line) => line.namespace === namespace));
}

/** "52 needed, all granted", "52 needed, 2 missing: delete pods in kube-system; …". */
export function rightsSummary(rights: readonly AskedRight[] | undefined): string {
  if (rights === undefined) return "unknown: asking for them is forbidden";
  const missing = rights.filter(({ granted }) => !granted);
  if (missing.length === 0) return `${rights.length} needed, all granted`;
  const names = rightsLines(missing).map(
    ({ namespace, words }) => `${words}${namespace === undefined ? "" : ` in ${namespace}`}`,
  );
  return `${rights.length} needed, ${missing.length} missing: ${names.join("; ")}`;
}
