/**
 * The attacks as data, one row each. The parameters of an attack are in schema.ts, its implementation is in attacks/.
 */
import { TARGET_KINDS, type TargetKind } from "./names.js";
import type { Attack } from "./schema.js";

export type AttackName = Attack["type"];

/** A right that the attack itself needs, besides the rights to watch and restore its target. */
interface AttackRight {
  readonly verbs: readonly string[];
  /** "workload": the target, by name; "nodes": every node; otherwise: all objects of this kind in the target's namespace. */
  readonly to: "workload" | "pods" | "apps/replicasets" | "nodes";
  /** Only for a target of this kind. Default: each kind in `fits`. */
  readonly only?: TargetKind;
  /** Purpose of the right, for the comment in a Role. Default: "the attack NAME". */
  readonly why?: string;
}

export interface AttackRow {
  /** The kinds of target that it can attack. */
  readonly fits: readonly TargetKind[];
  /**
   * What it changes, and so what the run restores. "workload": the whole workload; "replicas": only its replicas (so the
   * workloads that scale the target are scaled down first); "pods": only its pods; "node": what the journal entry for that
   * kind of target undoes; "nothing": the control run.
   */
  readonly changes: "nothing" | "pods" | "replicas" | "workload" | "node";
  /** Whether the target's controller restores it. If not, the runner restores it between two kills. */
  readonly comesBack: boolean;
  readonly rights: readonly AttackRight[];
  /**
   * For an attack on a systemd unit that does not stop it: two shell scripts for the node; "$1" is the unit. `state`
   * prints "active" while the unit works, and another word otherwise. `undo` is idempotent and leaves the unit active
   * ("$@": the unit, and the units that systemd stops with it). Default: systemd's ActiveState, and a start.
   */
  readonly onUnit?: { readonly state: string; readonly undo: string };
  /** Name of the action in events and results, and its phrase in reports ("NAME stopped"). Default: a deletion. */
  readonly kill?: { readonly action: string; readonly words: string };
}

const ROWS = {
  none: { fits: TARGET_KINDS, changes: "nothing", comesBack: false, rights: [] },
  "delete-workload": {
    fits: ["Deployment", "DaemonSet"],
    changes: "workload",
    comesBack: false,
    rights: [
      { verbs: ["delete"], to: "pods" },
      { verbs: ["delete"], to: "workload" },
      { verbs: ["delete"], to: "apps/replicasets", only: "Deployment" },
    ],
  },
  "delete-pods": {
    fits: ["Deployment", "DaemonSet"],
    changes: "pods",
    comesBack: true,
    rights: [{ verbs: ["delete"], to: "pods" }],
  },
  "scale-to-zero": {
    fits: ["Deployment"],
    changes: "replicas",
    comesBack: false,
    rights: [{ verbs: ["patch"], to: "workload" }],
    kill: { action: "scaled", words: "NAME scaled to 0" },
  },
  "static-pod": {
    fits: ["StaticPod"],
    changes: "node",
    comesBack: false,
    rights: [],
    kill: { action: "manifest-moved", words: "manifest of NAME moved away" },
  },
  "systemd-unit": {
    fits: ["SystemdUnit"],
    changes: "node",
    comesBack: false,
    rights: [{ verbs: ["get"], to: "nodes", why: "`chaos restore`: whether the node is Ready again" }],
    kill: { action: "unit-stopped", words: "NAME stopped" },
  },
} as const satisfies Readonly<Record<AttackName, AttackRow>>;

export const ATTACKS: Readonly<Record<AttackName, AttackRow>> = ROWS;

type ActionOf<Row> = Row extends { readonly kill: { readonly action: infer Action } } ? Action : never;

/** An action of a kill other than deleting an object. */
export type KillAction = ActionOf<(typeof ROWS)[keyof typeof ROWS]>;

/** The attack on companions: workloads that would undo an attack on the target's replicas. */
export const COMPANION_ATTACK: AttackName = "scale-to-zero";

/** Whether it is a control run, which attacks nothing. */
export function isControl(attack: { readonly type: string } | undefined): boolean {
  return attack?.type === "none";
}

/** The attacks that fit a kind of target. */
export function fittingAttacks(kind: TargetKind): readonly AttackName[] {
  const names = Object.keys(ROWS) as AttackName[];
  return names.filter((name) => !isControl({ type: name }) && fits(name, kind));
}

/** Whether an attack fits a kind of target. "none" fits every kind. */
export function fits(attack: AttackName, kind: TargetKind): boolean {
  return ATTACKS[attack].fits.includes(kind);
}

/** Whether an attack leaves the workload's spec unchanged: then every change of the spec is by its owner. */
export function leavesSpecAlone(attack: AttackName): boolean {
  const { changes } = ATTACKS[attack];
  return changes !== "workload" && changes !== "replicas";
}

/** The phrase for a kill in reports: "coredns scaled to 0". */
export function killWords(action: KillAction, name: string): string {
  const words = Object.values(ATTACKS).find(({ kill }) => kill?.action === action)?.kill?.words;
  return (words ?? `NAME: ${action}`).replace("NAME", () => name);
}
