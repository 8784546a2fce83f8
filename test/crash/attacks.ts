/** The attacks during which the runner is killed, as experiment files with short phases. */
import type { Phase } from "./phases.js";

/** One way to take one component down. */
export interface AttackKind {
  /** Column of the table. */
  readonly column: string;
  /** Name of the experiment. */
  readonly name: string;
  readonly target: string;
  readonly attack: string;
  /** Seconds; the minimum that the checks of an experiment file allow, or a little more. */
  readonly windowS: number;
  /** Whether the fault is on a node: its undo takes longer to record. */
  readonly onNode: boolean;
  /** Whether the API server is the target: everything afterwards takes minutes. */
  readonly slow: boolean;
}

const COREDNS = "{ kind: Deployment, name: coredns }";

function kind(
  column: string,
  name: string,
  [target, attack]: readonly [string, string],
  windowS: number,
): AttackKind {
  const onNode = /static-pod|systemd-unit/.test(attack);
  return { column, name, target, attack, windowS, onNode, slow: target.includes("kube-apiserver") };
}

const component = (name: string): string => `{ component: ${name} }`;
const onAll = (type: string): string => `{ type: ${type}, nodes: all }`;
const onOne = (type: string): string => `{ type: ${type}, nodes: one }`;

/** Workloads by kind and name, not by component: the function check of a component would need a longer window. */
export const ATTACKS: readonly AttackKind[] = [
  kind("delete-workload", "dns-workload", [COREDNS, "{ type: delete-workload }"], 4),
  kind("delete-pods", "dns-pods", [COREDNS, "{ type: delete-pods }"], 4),
  kind("scale-to-zero", "dns-scaled", [COREDNS, "{ type: scale-to-zero }"], 4),
  kind("static-pod", "scheduler", [component("kube-scheduler"), onAll("static-pod")], 8),
  kind("static-pod", "controllers", [component("kube-controller-manager"), onAll("static-pod")], 8),
  kind("systemd-unit", "kubelet", [component("kubelet"), onOne("systemd-unit")], 15),
  kind("systemd-unit", "runtime", [component("container-runtime"), onOne("systemd-unit")], 15),
  kind("flapping", "dns-flaps", [COREDNS, "{ type: delete-workload, every: 4s }"], 9),
  kind(
    "flapping",
    "kubelet-flaps",
    [component("kubelet"), "{ type: systemd-unit, nodes: one, every: 4s }"],
    15,
  ),
  kind(
    "kube-proxy",
    "proxy-workload",
    ["{ kind: DaemonSet, name: kube-proxy }", "{ type: delete-workload }"],
    4,
  ),
];

/** Slow, therefore rare: it replaces the scheduler's attack in every second round. */
export const API_SERVER = kind(
  "static-pod",
  "apiserver",
  [component("kube-apiserver"), onAll("static-pod")],
  8,
);

/** Columns of the table, each once. */
export const COLUMNS: readonly string[] = [...new Set(ATTACKS.map(({ column }) => column))];

/** The text of the experiment file. Its low thresholds never end the short run before it is killed. */
export function experimentText(kindOf: AttackKind): string {
  return `apiVersion: kube-system-chaos/v1
kind: Experiment
metadata: { name: crash-${kindOf.name} }
target: ${kindOf.target}
attack: ${kindOf.attack}
phases: { baseline: 2s, window: ${kindOf.windowS}s, recovery: ${kindOf.slow ? "7m" : "2m"} }
probes: { external: false }
thresholds: { baselineAvailability: 0.5, suppression: 0.5 }
`;
}

/**
 * How long a phase usually takes, ms, measured on the lab's cluster. Delays are drawn from it; if the phase was
 * shorter and the signal missed it, the point is drawn again.
 */
export function usualMs(phase: Phase, attack: AttackKind, mode: "full" | "keep"): number {
  const usual: Readonly<Record<Phase, number>> = {
    preflight: 250,
    lock: 7,
    deploy: mode === "full" ? 12_000 : 8_500,
    baseline: 2_000,
    record: attack.onNode ? 100 : 7,
    window: attack.windowS * 1_000,
    release: attack.onNode ? 300 : 20,
    recovery: 4_000,
    teardown: 6_500,
    report: 80,
  };
  return usual[phase];
}
