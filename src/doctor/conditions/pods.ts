/** Pods and workloads of kube-system: crash loops, what is not ready, restarts, what does not end. */
import type { Pod } from "../../kube/objects.js";
import {
  containersOf,
  type ContainerStatus,
  type Ended,
  isReady,
  isTerminating,
} from "../../kube/pod-state.js";
import { whyNotStarted } from "../../kube/why-not-started.js";
import { workloadState } from "../../kube/workload-state.js";
import { plural } from "../../common/figures.js";
import { condition, type Found } from "../condition.js";
import type { ClusterFacts, Workload } from "../facts.js";
import {
  componentOf,
  componentOfPod,
  nameOf,
  podKey,
  podsOf,
  serviceKey,
  servicesWithout,
  workloadKey,
  workloadOf,
  workloadsIn,
} from "../keys.js";
import { age, DAY, few, kubectl, replacePods, SETTLE_MS, since, unreadyFor } from "../words.js";

/** How a container ended last; undefined: it never did, or the kubelet has forgotten it. */
function lastEnd({ state, lastState }: ContainerStatus): Ended | undefined {
  return state?.terminated ?? lastState?.terminated;
}

function endWords(status: ContainerStatus, facts: ClusterFacts): string {
  const ended = lastEnd(status);
  const times = `container ${status.name} has restarted ${plural(status.restartCount, "time")}`;
  if (ended === undefined) return times;
  const ago = since(ended.finishedAt, facts);
  const when = ago === undefined ? "" : `, ${age(ago)} ago`;
  const message = (ended.message ?? "").trim().split("\n").at(-1) ?? "";
  return `${times}; last end${when}: ${ended.reason ?? "no reason"}, exit code ${ended.exitCode}${message === "" ? "" : `: ${message}`}`;
}

const where = ({ spec }: Pod): string => (spec?.nodeName === undefined ? "" : ` on ${spec.nodeName}`);

/** Pods by their workload, so that one cause on a hundred nodes is one finding; a pod without one is alone. */
function byWorkload(
  pods: readonly Pod[],
  facts: ClusterFacts,
): { readonly name: string; readonly pods: Pod[] }[] {
  const groups = new Map<string, Pod[]>();
  for (const pod of pods) {
    const workload = workloadOf(pod, facts);
    const name = workload === undefined ? `Pod ${nameOf(pod)}` : workloadKey(workload);
    groups.set(name, [...(groups.get(name) ?? []), pod]);
  }
  return [...groups].map(([name, members]) => ({ name, pods: members }));
}

/** What cannot work because none of these pods does. */
function explained(pods: readonly Pod[], facts: ClusterFacts): string[] {
  return [...pods.map(podKey), ...servicesWithout(pods, facts).map(serviceKey)];
}

/** A container that has failed this recently and is not ready is in a loop, also in the moment in which it runs. A choice. */
const LOOP_MS = 10 * 60_000;

function loops(pod: Pod, status: ContainerStatus, facts: ClusterFacts): boolean {
  if (status.state?.waiting?.reason === "CrashLoopBackOff") return true;
  const ended = lastEnd(status);
  const again = (pod.spec?.restartPolicy ?? "Always") === "Always" && !isTerminating(pod);
  return (
    again &&
    !status.ready &&
    ended !== undefined &&
    ended.exitCode !== 0 &&
    (since(ended.finishedAt, facts) ?? Infinity) < LOOP_MS
  );
}

/** Said by the finding of the crash loop: its pods need no further one. */
const isLooping = (pod: Pod, facts: ClusterFacts): boolean =>
  containersOf(pod).some((each) => loops(pod, each, facts));

export const crashLoops = condition({
  looksAt: "crash loops",
  needs: ["pods"],
  judge: (facts): Found[] => {
    const looping = facts.pods.filter((pod) => isLooping(pod, facts));
    return byWorkload(looping, facts).map(({ name, pods }) => {
      const [first] = pods as [Pod];
      const component = componentOfPod(first, facts);
      const { namespace = "" } = first.metadata;
      const of = name.startsWith("Pod ")
        ? name.slice(4)
        : `${pods.length === 1 ? "a pod" : `${pods.length} pods`} of ${name}`;
      return {
        finding: {
          code: "crash-loop",
          severity: "error",
          ...(component === undefined ? {} : { component }),
          title: `${of} ${pods.length === 1 ? "crashes" : "crash"} again and again`,
          evidence: few(
            pods.flatMap((pod) =>
              containersOf(pod)
                .filter((each) => loops(pod, each, facts))
                .map((each) => `${nameOf(pod)}${where(pod)}: ${endWords(each, facts)}`),
            ),
          ),
          cure: `${kubectl(facts, "-n", namespace, "logs", first.metadata.name, "--previous")} says why it ended. If the node was the cause, a new pod helps: ${replacePods(facts, component, first)}`,
        },
        about: pods.map(podKey),
        explains: explained(pods, facts),
      };
    });
  },
});

/** What is only starting is no finding for this long: a large image, a slow start-up probe. A choice. */
const STARTING_MS = 5 * 60_000;

/** Why a pod is not ready, if that is worth a finding. */
function trouble(pod: Pod, facts: ClusterFacts): string | undefined {
  const { phase } = pod.status ?? {};
  // Finished Jobs, and evicted pods that their controllers have replaced.
  if (isReady(pod) || isTerminating(pod) || phase === "Succeeded" || phase === "Failed") return undefined;
  const why = whyNotStarted({ ...pod, kind: "Pod" }, [], [pod], facts.events ?? []);
  if (why === undefined) return undefined;
  const limitMs = why.cause === "starting" ? STARTING_MS : SETTLE_MS;
  return why.final || unreadyFor(pod, facts) > limitMs
    ? `${why.reason}; not ready for ${age(unreadyFor(pod, facts))}. ${why.advice}`
    : undefined;
}

/** How long ago a workload's status has changed, ms: while it does, a roll-out may be under way. */
function unchangedFor({ object: { metadata } }: Workload, facts: ClusterFacts): number {
  const ages = (metadata.managedFields ?? []).flatMap(({ subresource, time }) =>
    subresource === "status" ? (since(time, facts) ?? []) : [],
  );
  return ages.length === 0 ? Infinity : Math.min(...ages);
}

/** A workload that is short of ready pods. */
function shortOf(workload: Workload, facts: ClusterFacts): Found[] {
  const { wanted, ready, isSeen } = workloadState(workload.kind, workload.object);
  if (!isSeen || ready >= wanted) return [];
  const pods = podsOf(workload, facts).filter((pod) => !isReady(pod));
  const troubles = pods.flatMap((pod) => trouble(pod, facts) ?? []);
  const isMissing = wanted - ready > pods.length;
  if (troubles.length === 0 && (!isMissing || unchangedFor(workload, facts) < SETTLE_MS)) return [];
  const whole = whyNotStarted(
    { ...workload.object, kind: workload.kind },
    facts.replicaSets ?? [],
    facts.pods ?? [],
    facts.events ?? [],
  );
  const lines = [
    ...troubles,
    ...(isMissing && whole !== undefined ? [`${whole.reason}. ${whole.advice}`] : []),
  ];
  const component = componentOf(workload, facts);
  const name = workloadKey(workload);
  return [
    {
      finding: {
        code: "not-ready",
        severity: ready === 0 ? "error" : "warning",
        ...(component === undefined ? {} : { component }),
        title: `${name} has ${ready} of ${wanted} pods ready`,
        evidence: few(lines),
        cure: `If a new pod can help (a node that has recovered, a full disk that was emptied): ${replacePods(facts, component, pods[0])}`,
      },
      about: isMissing ? [name] : pods.map(podKey),
      explains: [name, ...explained(pods, facts)],
    },
  ];
}

export const workloadsNotReady = condition({
  looksAt: "Deployments and DaemonSets short of ready pods",
  needs: ["deployments", "daemonSets", "pods", "replicaSets"],
  judge: (facts) => workloadsIn(facts).flatMap((workload) => shortOf(workload, facts)),
});

export const podsNotReady = condition({
  looksAt: "pods without a Deployment or DaemonSet that are not ready",
  needs: ["pods"],
  judge: (facts): Found[] =>
    facts.pods
      .filter((pod) => workloadOf(pod, facts) === undefined && !isLooping(pod, facts))
      .flatMap((pod) => {
        const line = trouble(pod, facts);
        if (line === undefined) return [];
        const component = componentOfPod(pod, facts);
        return [
          {
            finding: {
              code: "not-ready",
              severity: "error",
              ...(component === undefined ? {} : { component }),
              title: `Pod ${nameOf(pod)} is not ready`,
              evidence: [line],
              cure: `If a new start can help: ${replacePods(facts, component, pod)}`,
            },
            about: [podKey(pod)],
            explains: explained([pod], facts),
          },
        ];
      }),
});

/**
 * One look sees no growth. At least this many restarts, the last of them recent, is taken for it: every node that was
 * restarted once, and every upgrade, leaves a 1. Both are choices.
 */
const RESTARTS = 3;
const RECENT_MS = 60 * 60_000;

/** After a reboot, containerd reports 255 and "Unknown" for all that ran (kubernetes/kubernetes, pkg/kubelet/kuberuntime). */
function byNode(ended: Ended, pod: Pod, facts: ClusterFacts): boolean {
  if (ended.reason === "Unknown") return true;
  const node = facts.nodes?.find(({ metadata }) => metadata.name === pod.spec?.nodeName);
  const became = node?.status?.conditions?.find(({ type }) => type === "Ready")?.lastTransitionTime;
  const gap = Date.parse(became ?? "") - Date.parse(ended.finishedAt ?? "");
  // The node became ready again after the end, within the minutes that a node needs to boot.
  return gap > 0 && gap < 10 * 60_000;
}

export const restarts = condition({
  looksAt: "restarts",
  needs: ["pods"],
  judge: (facts): Found[] => {
    const growing = facts.pods.flatMap((pod) =>
      containersOf(pod).flatMap((status) => {
        const ended = lastEnd(status);
        const ago = since(ended?.finishedAt, facts);
        if (status.restartCount < RESTARTS || ended === undefined || ago === undefined || ago > DAY)
          return [];
        return isLooping(pod, facts) || byNode(ended, pod, facts) ? [] : [{ pod, status, ago }];
      }),
    );
    return byWorkload([...new Set(growing.map(({ pod }) => pod))], facts).map(({ name, pods }) => {
      const mine = growing.filter(({ pod }) => pods.includes(pod));
      const isRecent = mine.some(({ ago }) => ago < RECENT_MS);
      const [first] = pods as [Pod];
      const component = componentOfPod(first, facts);
      const { namespace = "" } = first.metadata;
      return {
        finding: {
          code: "restarts",
          severity: isRecent ? "warning" : "info",
          ...(component === undefined ? {} : { component }),
          title: `${name}: containers have restarted at least ${RESTARTS} times, the last time within ${isRecent ? "an hour" : "a day"}`,
          evidence: few(
            mine.map(({ pod, status }) => `${nameOf(pod)}${where(pod)}: ${endWords(status, facts)}`),
          ),
          cure: `${kubectl(facts, "-n", namespace, "logs", first.metadata.name, "--previous")} says why. Look at the node's memory and CPU, too. Until the cause is found: ${replacePods(facts, component, first)}`,
        },
        about: pods.map(podKey),
      };
    });
  },
});

/** Longer than any grace period in kube-system. A choice. */
const ENDING_MS = 5 * 60_000;

export const podsNotEnding = condition({
  looksAt: "pods that do not end",
  needs: ["pods"],
  judge: (facts): Found[] =>
    facts.pods.flatMap((pod) => {
      const late = since(pod.metadata.deletionTimestamp, facts);
      if (late === undefined || late < ENDING_MS) return [];
      const component = componentOfPod(pod, facts);
      return [
        {
          finding: {
            code: "pod-not-ending",
            severity: "warning",
            ...(component === undefined ? {} : { component }),
            title: `Pod ${nameOf(pod)} should have ended ${age(late)} ago`,
            evidence: [
              `deleted, and still there${where(pod)}${(pod.metadata.finalizers ?? []).length === 0 ? "" : `; finalizers: ${pod.metadata.finalizers?.join(", ")}`}`,
            ],
            cure: "Look at the kubelet and the container runtime of its node: they end pods. Delete it with --force only if the node is gone",
          },
          about: [podKey(pod)],
        },
      ];
    }),
});
