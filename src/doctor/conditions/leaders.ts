/**
 * The leaders of kube-scheduler and kube-controller-manager: their Lease, and whether their work is done. A process that
 * renews its Lease and does nothing else looks healthy everywhere but here.
 */
import type { KubeObject, Lease, Pod } from "../../kube/objects.js";
import { isTerminating } from "../../kube/pod-state.js";
import { condition, type Found } from "../condition.js";
import type { ClusterFacts } from "../facts.js";
import { nameOf, podKey, workKey, workloadKey, workloadsIn } from "../keys.js";
import { age, few, kubectl, SETTLE_MS, since } from "../words.js";

type Leader = "kube-scheduler" | "kube-controller-manager";
const LEADERS: readonly Leader[] = ["kube-scheduler", "kube-controller-manager"];

/** The default duration of these Leases, s (DefaultLeaseDuration of component-base/config/v1alpha1/defaults.go). */
const DURATION_S = 15;
/** A renewal may be late: the API server may just have been away. A choice. */
const SLACK_MS = 15_000;

function leaseOf({ leases = [] }: ClusterFacts, leader: Leader): Lease | undefined {
  return leases.find(({ metadata }) => metadata.name === leader);
}

/** ms since the last renewal, and whether that is too long; undefined: there is no Lease. */
function renewal(
  facts: ClusterFacts,
  leader: Leader,
): { readonly agoMs: number; readonly late: boolean; readonly holder: string } | undefined {
  const spec = leaseOf(facts, leader)?.spec;
  const agoMs = since(spec?.renewTime, facts);
  if (spec === undefined || agoMs === undefined) return undefined;
  const limitMs = (spec.leaseDurationSeconds ?? DURATION_S) * 1000 + SLACK_MS;
  return { agoMs, late: agoMs > limitMs, holder: spec.holderIdentity ?? "" };
}

function cureOf(leader: Leader, facts: ClusterFacts): string {
  const { pods = [] } = facts;
  const pod = pods.find(({ metadata }) => metadata.labels?.["component"] === leader);
  return pod === undefined
    ? `Its pods are not visible here: on a managed cluster, ask the provider; else restart ${leader} where it runs`
    : `Restart its container on the node (\`crictl ps --name ${leader}\`, \`crictl stop ID\`): another instance, or the new one, becomes the leader. ${kubectl(facts, "-n", "kube-system", "logs", pod.metadata.name)} may say why it stopped working`;
}

export const noLeader = condition({
  looksAt: "the Leases of kube-scheduler and kube-controller-manager",
  needs: ["leases"],
  judge: (facts): Found[] =>
    LEADERS.flatMap((leader) => {
      const found = renewal(facts, leader);
      // Embedded ones may run without an election, and leave an old Lease behind.
      if (found?.late !== true || isEmbedded(facts)) return [];
      return [
        {
          finding: {
            code: "no-leader",
            severity: "error",
            component: leader,
            title: `${leader} has no leader: nobody has renewed its Lease for ${age(found.agoMs)}`,
            evidence: [`Lease kube-system/${leader}, last held by ${found.holder || "nobody"}`],
            cure: cureOf(leader, facts),
          },
          about: [`Lease ${leader}`],
          explains: [workKey(leader)],
        },
      ];
    }),
});

function isEmbedded({ platform }: ClusterFacts): boolean {
  return platform?.name === "k3s" || platform?.name === "MicroK8s";
}

function idle(
  leader: Leader,
  facts: ClusterFacts,
  work: {
    readonly title: string;
    readonly evidence: readonly string[];
    readonly explains: readonly string[];
  },
): Found[] {
  if (work.evidence.length === 0) return [];
  const found = renewal(facts, leader);
  const lease =
    found === undefined
      ? `there is no Lease kube-system/${leader}, or it cannot be read`
      : `its Lease was renewed ${age(found.agoMs)} ago by ${found.holder}`;
  return [
    {
      finding: {
        code: "leader-idle",
        severity: "error",
        component: leader,
        title: work.title,
        evidence: [lease, ...few(work.evidence)],
        cure: cureOf(leader, facts),
      },
      about: [workKey(leader)],
      explains: work.explains,
    },
  ];
}

/** A scheduler that has tried sets the condition PodScheduled, also when no node fits (pkg/scheduler/schedule_one.go). */
function isIgnored({ metadata, spec, status }: Pod, facts: ClusterFacts): boolean {
  const isDefault = (spec?.schedulerName ?? "default-scheduler") === "default-scheduler";
  const tried = status?.conditions?.some(({ type }) => type === "PodScheduled") ?? false;
  const gated = (spec?.schedulingGates ?? []).length > 0;
  const waited = since(metadata.creationTimestamp, facts) ?? 0;
  return isDefault && !tried && !gated && !isTerminating({ metadata }) && waited > SETTLE_MS;
}

export const schedulerIdle = condition({
  looksAt: "whether kube-scheduler does its work",
  needs: ["unscheduled"],
  judge: (facts) => {
    const waiting = facts.unscheduled.filter((pod) => isIgnored(pod, facts));
    return idle("kube-scheduler", facts, {
      title: `kube-scheduler has not looked at ${waiting.length} ${waiting.length === 1 ? "pod" : "pods"} for over ${age(SETTLE_MS)}`,
      evidence: waiting.map(
        (pod) =>
          `pod ${nameOf(pod)} has no node and no condition PodScheduled, ${age(since(pod.metadata.creationTimestamp, facts) ?? 0)} after its creation`,
      ),
      explains: waiting.map(podKey),
    });
  },
});

/** ms since the last write to something else than the status; a controller that follows has at most this much delay. */
function changedAgo({ managedFields = [] }: KubeObject["metadata"], facts: ClusterFacts): number {
  const ages = managedFields.flatMap(({ subresource, time }) =>
    subresource === "status" ? [] : (since(time, facts) ?? []),
  );
  return ages.length === 0 ? 0 : Math.min(...ages);
}

export const controllerManagerIdle = condition({
  looksAt: "whether kube-controller-manager does its work",
  needs: ["deployments", "daemonSets", "namespaces"],
  judge: (facts) => {
    const behind = workloadsIn(facts).flatMap((workload) => {
      const { metadata, status } = workload.object;
      const observed = status?.observedGeneration ?? 0;
      const changed = changedAgo(metadata, facts);
      return observed < (metadata.generation ?? 0) && changed > SETTLE_MS
        ? [{ workload, observed, changed }]
        : [];
    });
    // The namespace controller says at once why a namespace cannot go (pkg/controller/namespace/deletion/status_condition_utils.go).
    const stuck = facts.namespaces.filter(
      ({ metadata, status }) =>
        isTerminating({ metadata }) &&
        (since(metadata.deletionTimestamp, facts) ?? 0) > SETTLE_MS &&
        (status?.conditions ?? []).length === 0,
    );
    return idle("kube-controller-manager", facts, {
      title: "kube-controller-manager does not follow changes",
      evidence: [
        ...behind.map(
          ({ workload, observed, changed }) =>
            `${workloadKey(workload)} was changed ${age(changed)} ago: generation ${workload.object.metadata.generation}, observed ${observed}`,
        ),
        ...stuck.map(
          ({ metadata }) =>
            `namespace ${metadata.name} was deleted ${age(since(metadata.deletionTimestamp, facts) ?? 0)} ago, and nothing says what it waits for`,
        ),
      ],
      explains: behind.map(({ workload }) => workloadKey(workload)),
    });
  },
});
