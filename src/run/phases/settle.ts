import type { Clock } from "../../common/clock.js";
import { pollUntil } from "../../common/clock.js";
import { messageOf } from "../../common/errors.js";
import { DAEMONSETS, DEPLOYMENTS, list, NODES, PODS, resourcePath } from "../../kube/api.js";
import type { DaemonSet, Deployment, KubeObject, Node, Pod } from "../../kube/objects.js";
import { isReady } from "../../kube/pod-state.js";
import type { Transport } from "../../kube/transport.js";
import { daemonSetState, deploymentState } from "../../kube/workload-state.js";

/** After an etcd outage the API server may take minutes: the kubelet's restart back-off alone is up to 5 minutes, ms. */
export const SETTLE_LIMIT_MS = 7 * 60_000;
const POLL_MS = 1_000;

/** After a poll, this many times as long as it took without one: on a large cluster the lists are long. */
const REST_AFTER_POLL = 4;

/** Good polls in a row: a pod that is about to be reported missing must not pass as settled. */
const GOOD_IN_A_ROW = 3;

interface ApiService extends KubeObject {
  readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
}

/** What has not settled; empty: everything has. Pure. */
export function unsettled(state: {
  readonly nodes: readonly Node[];
  readonly deployments: readonly Deployment[];
  readonly daemonSets: readonly DaemonSet[];
  readonly pods: readonly Pod[];
  readonly apiServices: readonly ApiService[];
}): string[] {
  const isTrue = (
    conditions: readonly { type: string; status: string }[] | undefined,
    type: string,
  ): boolean => (conditions ?? []).some((each) => each.type === type && each.status === "True");
  return [
    ...state.nodes
      .filter((node) => !isTrue(node.status?.conditions, "Ready"))
      .map((node) => `node ${node.metadata.name} is not Ready`),
    ...[
      ...state.deployments.map((live) => ({
        ...deploymentState(live),
        name: live.metadata.name,
        isCounted: true,
      })),
      ...state.daemonSets.map((live) => ({
        ...daemonSetState(live),
        name: live.metadata.name,
        isCounted: live.status?.desiredNumberScheduled !== undefined,
      })),
    ]
      .filter(({ ready, wanted, isCounted }) => !isCounted || ready !== wanted)
      .map(({ name, ready, wanted }) => `${name} ${ready}/${wanted}`),
    ...state.pods
      .filter((pod) => pod.metadata.deletionTimestamp === undefined && pod.status?.phase !== "Succeeded")
      .filter((pod) => !isReady(pod))
      .map((pod) => `pod ${pod.metadata.name} is not ready`),
    ...state.apiServices
      .filter(({ status }) => !isTrue(status?.conditions, "Available"))
      .map(({ metadata }) => `API ${metadata.name} is not available`),
  ];
}

/**
 * Waits until the cluster has settled after a run: nodes Ready, every workload and pod of kube-system ready, every
 * aggregated API available, in several polls in a row.
 *
 * @returns what has not settled when the time is up; empty: everything has.
 */
export async function settle(
  transport: Transport,
  clock: Clock,
  options: {
    readonly limitMs: number;
    readonly signal: AbortSignal;
    readonly note: (text: string) => void;
    /** Entries to ignore: they had not settled before the first run. */
    readonly ignored?: readonly string[];
  },
): Promise<readonly string[]> {
  let last: readonly string[] = ["not checked"];
  let good = 0;
  let tookMs = 0;
  const { limitMs, signal } = options;
  await pollUntil(clock, { everyMs: POLL_MS, limitMs, signal }, async () => {
    await clock.sleep(Math.max(0, tookMs * REST_AFTER_POLL - POLL_MS), signal);
    const startedMs = clock.now();
    last = (await look(transport)).filter((each) => options.ignored?.includes(each) !== true);
    tookMs = clock.now() - startedMs;
    good = last.length === 0 ? good + 1 : 0;
    options.note(last.slice(0, 3).join(", "));
    return good >= GOOD_IN_A_ROW ? true : undefined;
  });
  return good >= GOOD_IN_A_ROW ? [] : last;
}

/** What has not settled now; the API server itself if it does not answer. */
export async function look(transport: Transport): Promise<readonly string[]> {
  try {
    const [nodes, deployments, daemonSets, pods, apiServices] = await Promise.all([
      list<Node>(transport, resourcePath(NODES)),
      list<Deployment>(transport, resourcePath(DEPLOYMENTS, "kube-system")),
      list<DaemonSet>(transport, resourcePath(DAEMONSETS, "kube-system")),
      list<Pod>(transport, resourcePath(PODS, "kube-system")),
      list<ApiService>(transport, "/apis/apiregistration.k8s.io/v1/apiservices"),
    ]);
    return unsettled({
      nodes: nodes.items,
      deployments: deployments.items,
      daemonSets: daemonSets.items,
      pods: pods.items,
      apiServices: apiServices.items,
    });
  } catch (error) {
    // The API server is what may not have settled.
    return [messageOf(error)];
  }
}
