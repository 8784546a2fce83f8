/** `chaos doctor --probe`: what probers on every schedulable node find that no object in the API shows. */
import { withConnection } from "../kube/connect.js";
import {
  fromWords,
  LAYERS,
  type LayerName,
  type LayerState,
  nodesIn,
  type NodeState,
} from "../run/probing/layers.js";
import { type ProbingOptions, type ServicesSeen, withProbers } from "../run/probing/probing.js";
import { bySeverity, type Finding } from "./finding.js";

export interface ProbeOptions extends Omit<ProbingOptions, "purpose" | "durationMs" | "permissions"> {
  /** How long it measures, ms. Default: 10 s, or 40 samples of each layer. */
  readonly measureMs?: number;
}

/** What the probers saw. */
export interface Probed {
  readonly layers: readonly LayerState[];
  readonly services: ServicesSeen;
  readonly notProbed: readonly { readonly node: string; readonly why: string }[];
  readonly external: string | false;
}

const MEASURE_MS = 10_000;
const FEWEST_SAMPLES = 40;

/** Starting the probers and the Service, measuring, and removing them takes a minute; pulling an image more. */
const DURATION_MS = 10 * 60_000;

/**
 * Deploys the probers, measures for some seconds, removes them, and says what is wrong. Takes the lock of a run.
 *
 * @throws as `withProbers`.
 */
export async function probeFindings(options: ProbeOptions): Promise<Finding[]> {
  const { handle, toolVersion, interrupted: signal, external } = options;
  const userAgent = `kube-system-chaos/${toolVersion} (doctor)`;
  const { kubeconfigPath, context } = handle;
  return await withConnection({ kubeconfigPath, context, userAgent, signal }, async (connection) => {
    const probing = { ...options, purpose: "probe", durationMs: DURATION_MS } as const;
    return await withProbers(connection, probing, async (probers) => {
      const { layers } = await probers.measure(
        options.measureMs ?? Math.max(MEASURE_MS, FEWEST_SAMPLES * probers.intervalMs),
      );
      const services = await probers.services();
      return findingsOf({ layers, services, notProbed: probers.notProbed, external });
    });
  });
}

/** The findings, the gravest first. Pure. */
export function findingsOf(probed: Probed): Finding[] {
  const of = (layer: LayerName): LayerState | undefined =>
    probed.layers.find((state) => state.layer === layer);
  const insideBad = namesInside(of("dns-internal"), of("dns-search"));
  const all = [
    ...insideBad,
    ...socketsThatStayOpen(of("dns-same-socket"), of("dns-internal")),
    ...podNetwork(of("tcp-pod")),
    ...servicesNotReached(of("tcp-service"), of("http-service"), of("tcp-pod")),
    ...servicesNotFollowed(probed.services),
    // A DNS that does not answer at all does not answer for names outside, either.
    ...(insideBad.some(({ severity }) => severity === "error")
      ? []
      : namesOutside(of("dns-external"), probed)),
    ...notMeasured(probed),
  ];
  return all.sort(bySeverity);
}

/** The figures of the nodes in a state, one line each. */
function evidenceOf(state: LayerState, ...of: readonly NodeState[]): string[] {
  const lines = state.nodes
    .filter(({ state: is }) => of.includes(is))
    .map(({ node, figures }) => `${LAYERS[state.layer].what} from ${node}: ${figures}`);
  return state.together === undefined ? lines : [...lines, `from all nodes together: ${state.together}`];
}

/** Whether it fails from some nodes, or in so few samples of each that only all together show it. */
const fails = (state: LayerState | undefined): state is LayerState =>
  state !== undefined && (state.together !== undefined || nodesIn(state, "failing").length > 0);

const isSlow = (state: LayerState | undefined): state is LayerState =>
  state !== undefined && !fails(state) && nodesIn(state, "slow").length > 0;

/** "from 1 of 3 nodes (kind-worker)"; "now and then": only all together show it. */
function where(state: LayerState, ...of: readonly NodeState[]): string {
  const names = nodesIn(state, ...of);
  return names.length === 0 ? "now and then" : fromWords(names, state.nodes.length);
}

/** Whether only some nodes are concerned, so that what runs on them is to blame. */
const isPartial = (state: LayerState, ...of: readonly NodeState[]): boolean => {
  const count = nodesIn(state, ...of).length;
  return count > 0 && count < state.nodes.length;
};

const HEAL_DNS =
  "`chaos heal kube-dns` replaces its pods one at a time. If it stays: kubectl -n kube-system logs -l k8s-app=kube-dns";
const healProxy = (nodes: readonly string[]): string =>
  `\`chaos heal kube-proxy\` replaces its pods one at a time. If it stays: look at the network and the resources of ${nodes.join(", ")}`;

function namesInside(internal: LayerState | undefined, search: LayerState | undefined): Finding[] {
  const [bad, code] = fails(internal)
    ? [internal, "names-inside-failing"]
    : fails(search)
      ? [search, "names-inside-failing"]
      : isSlow(internal)
        ? [internal, "names-inside-slow"]
        : isSlow(search)
          ? [search, "names-inside-slow"]
          : [];
  if (bad === undefined || code === undefined) return [];
  const state = code === "names-inside-slow" ? "slow" : "failing";
  const partial = isPartial(bad, state);
  return [
    {
      code,
      severity: state === "failing" ? "error" : "warning",
      component: partial ? "kube-proxy" : "kube-dns",
      title: `${LAYERS[bad.layer].what} ${state === "failing" ? "fail" : "are slow"} ${where(bad, state)}`,
      evidence: evidenceOf(bad, state),
      cure: partial ? healProxy(nodesIn(bad, state)) : HEAL_DNS,
    },
  ];
}

/**
 * A client that keeps its socket stays with the DNS pod that the kernel's connection tracking chose: it fails when that
 * pod is broken or gone, while each new socket may reach another one (kubernetes/kubernetes issue 125467).
 */
function socketsThatStayOpen(socket: LayerState | undefined, internal: LayerState | undefined): Finding[] {
  if (!fails(socket) || internal === undefined) return [];
  const failing = nodesIn(socket, "failing").filter((node) => !nodesIn(internal, "failing").includes(node));
  if (failing.length === 0) return [];
  return [
    {
      code: "same-socket-failing",
      severity: "error",
      component: "kube-proxy",
      title: `look-ups on a socket that stays open fail ${fromWords(failing, socket.nodes.length)}, while those on new sockets work`,
      evidence: [...evidenceOf(socket, "failing"), ...evidenceOf(internal, "good")],
      cure: "The kernel still sends this socket's packets to one DNS pod. Restart the clients that keep their socket, or remove the entries on these nodes: conntrack -D -p udp --dport 53. If one DNS pod is broken, `chaos heal kube-dns` replaces it",
    },
  ];
}

function podNetwork(pod: LayerState | undefined): Finding[] {
  if (!fails(pod)) return [];
  return [
    {
      code: "pod-network-failing",
      severity: "error",
      title: `a pod cannot be reached by its address ${where(pod, "failing")}`,
      evidence: evidenceOf(pod, "failing"),
      cure: "No Service is involved: look at the network plugin's pods on these nodes (kubectl -n kube-system get pods -o wide), and at routes and firewalls between the nodes",
    },
  ];
}

function servicesNotReached(
  tcp: LayerState | undefined,
  http: LayerState | undefined,
  pod: LayerState | undefined,
): Finding[] {
  const bad = fails(tcp) ? tcp : fails(http) ? http : undefined;
  if (bad === undefined) return [];
  const podFails = pod === undefined ? [] : nodesIn(pod, "failing");
  const failing = nodesIn(bad, "failing").filter((node) => !podFails.includes(node));
  if (failing.length === 0 && bad.together === undefined) return [];
  return [
    {
      code: "service-unreachable",
      severity: "error",
      component: "kube-proxy",
      title: `a Service cannot be reached ${failing.length === 0 ? "now and then" : fromWords(failing, bad.nodes.length)}, while its pod can`,
      evidence: [...evidenceOf(bad, "failing"), ...(pod === undefined ? [] : evidenceOf(pod, "good"))],
      cure: healProxy(failing.length === 0 ? ["the nodes"] : failing),
    },
  ];
}

function servicesNotFollowed({ problem, runs, follows }: ServicesSeen): Finding[] {
  if (problem !== undefined)
    return [
      runs
        ? {
            code: "new-service-unreachable",
            severity: "error",
            component: "kube-proxy",
            title: "a new Service does not answer from every node, although its pod runs",
            evidence: [problem],
            cure: healProxy(["the nodes that are named"]),
          }
        : {
            code: "new-pod-not-running",
            severity: "error",
            title: "a new Deployment gets no running pod",
            evidence: [problem],
            cure: "See the findings about kube-controller-manager, kube-scheduler and kubelet, and the pod's events: kubectl get events --all-namespaces",
          },
    ];
  if (follows === undefined || follows.present) return [];
  return [
    {
      code: "service-not-followed",
      severity: "error",
      component: "kube-proxy",
      title:
        "kube-proxy does not follow: a new Service, or one whose pod was replaced, is not reached from every node",
      evidence: follows.evidence.split(" | "),
      cure: healProxy(["the nodes that are named"]),
    },
  ];
}

function namesOutside(outside: LayerState | undefined, { external }: Probed): Finding[] {
  if (outside === undefined || external === false) return [];
  const state = fails(outside) ? "failing" : isSlow(outside) ? "slow" : undefined;
  if (state === undefined) return [];
  return [
    {
      code: `names-outside-${state}`,
      severity: "warning",
      component: "kube-dns",
      title: `the name ${external}, outside the cluster, ${state === "failing" ? "does not resolve" : "resolves slowly"} ${where(outside, state)}`,
      evidence: evidenceOf(outside, state),
      cure:
        state === "failing"
          ? "Your cluster may be air-gapped: name a host that it should resolve with `--external NAME`, or omit the check with `--external none`. Otherwise look at the servers to which kube-dns forwards (the nodes' /etc/resolv.conf)"
          : "Look at the servers to which kube-dns forwards (the nodes' /etc/resolv.conf)",
    },
  ];
}

function notMeasured({ notProbed, layers }: Probed): Finding[] {
  const late = layers.find((state) => nodesIn(state, "unknown").length > 0);
  const unknown = late === undefined ? [] : nodesIn(late, "unknown");
  return [
    ...(notProbed.length === 0
      ? []
      : [
          {
            code: "no-prober",
            severity: "warning" as const,
            title: `no prober runs on ${notProbed.map(({ node }) => node).join(", ")}`,
            evidence: [...new Set(notProbed.map(({ why }) => why))],
            cure: "Mend what the evidence names: the application's new pods would not start there, either",
          },
        ]),
    ...(late === undefined || unknown.length === 0
      ? []
      : [
          {
            code: "not-measured",
            severity: "warning" as const,
            title: `too few samples ${fromWords(unknown, late.nodes.length)}: the probers were too late themselves`,
            evidence: evidenceOf(late, "unknown"),
            cure: "The nodes are short of CPU, or the machine under them is. Free some, and repeat",
          },
        ]),
  ];
}
