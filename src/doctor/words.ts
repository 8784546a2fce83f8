/** Words that several conditions use. Pure. */
import { quoted } from "../common/shell-word.js";
import type { ComponentName } from "../experiment/names.js";
import type { Pod } from "../kube/objects.js";
import { reasonOf } from "../kube/pod-state.js";
import type { ClusterFacts } from "./facts.js";
import { nameOf } from "./keys.js";

/** What has lasted less than this may be on its way: a restart, a roll-out, a new node. A choice. */
export const SETTLE_MS = 60_000;

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

/** A duration as kubectl shows it: "85s", "5m36s", "20h", "2d3h", "53d" (HumanDuration of apimachinery/pkg/util/duration). */
export function age(ms: number): string {
  const [seconds, minutes, hours, days] = [SECOND, MINUTE, HOUR, DAY].map((unit) =>
    Math.floor(ms / unit),
  ) as [number, number, number, number];
  const rest = (value: number, of: number, unit: string): string =>
    value % of === 0 ? "" : `${value % of}${unit}`;
  if (seconds < 0) return "0s";
  if (minutes < 2) return `${seconds}s`;
  if (minutes < 10) return `${minutes}m${rest(seconds, 60, "s")}`;
  if (minutes < 180) return `${minutes}m`;
  if (hours < 8) return `${hours}h${rest(minutes, 60, "m")}`;
  if (hours < 48) return `${hours}h`;
  if (days < 8) return `${days}d${rest(hours, 24, "h")}`;
  if (days < 2 * 365) return `${days}d`;
  return `${Math.floor(days / 365)}y`;
}

/** ms since an RFC 3339 time; undefined: there is none. */
export function since(time: string | undefined, { nowMs }: Pick<ClusterFacts, "nowMs">): number | undefined {
  const ms = Date.parse(time ?? "");
  return Number.isNaN(ms) ? undefined : nowMs - ms;
}

/** How long a pod has not been ready, ms; from its creation if it never was. */
export function unreadyFor({ metadata, status }: Pod, facts: Pick<ClusterFacts, "nowMs">): number {
  const ready = status?.conditions?.find(({ type }) => type === "Ready");
  return since(ready?.lastTransitionTime ?? metadata.creationTimestamp, facts) ?? Number.POSITIVE_INFINITY;
}

const MOST = 5;

/** At most five lines, and how many more there are. */
export function few(lines: readonly string[]): string[] {
  return lines.length <= MOST ? [...lines] : [...lines.slice(0, MOST), `and ${lines.length - MOST} more`];
}

/** `kubectl …` for this cluster. */
export function kubectl({ place }: Pick<ClusterFacts, "place">, ...words: readonly string[]): string {
  const { kubeconfigPath, context } = place;
  const where = [
    ...(kubeconfigPath === undefined ? [] : ["--kubeconfig", kubeconfigPath]),
    ...(context === "" ? [] : ["--context", context]),
  ];
  return `\`${["kubectl", ...where, ...words].map(quoted).join(" ")}\``;
}

/** `chaos …` for this cluster. */
export function chaos({ place }: Pick<ClusterFacts, "place">, ...words: readonly string[]): string {
  const { kubeconfigPath, context } = place;
  const where = [
    ...(context === "" ? [] : ["--context", context]),
    ...(kubeconfigPath === undefined ? [] : ["--kubeconfig", kubeconfigPath]),
  ];
  return `\`${["chaos", ...words, ...where].map(quoted).join(" ")}\``;
}

/** A static pod's object is owned by its node: the kubelet runs the pod from a file. */
function isStatic({ metadata }: Pod): boolean {
  return (metadata.ownerReferences ?? []).some(({ kind }) => kind === "Node");
}

/** The note's cure: the pod is replaced by its controller, which must not be deleted. */
export function replacePods(
  facts: ClusterFacts,
  component: ComponentName | undefined,
  pod: Pod | undefined,
): string {
  if (pod !== undefined && isStatic(pod))
    return `restart its container on ${pod.spec?.nodeName ?? "its node"} with \`crictl stop\`: it is a static pod, and deleting its object does not stop it`;
  if (component !== undefined) return `${chaos(facts, "heal", component)} replaces its pods one at a time`;
  if (pod === undefined) return "delete its pods, one at a time, and never their controller";
  const { namespace = "", name } = pod.metadata;
  return `${kubectl(facts, "-n", namespace, "delete", "pod", name)} replaces it: delete the pod, never its controller`;
}

/** "kube-system/coredns-abc on worker: CrashLoopBackOff …". */
export function podLine(pod: Pod): string {
  return `${nameOf(pod)}${pod.spec?.nodeName === undefined ? "" : ` on ${pod.spec.nodeName}`}: ${reasonOf(pod)}`;
}
