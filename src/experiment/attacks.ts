/**
 * The attacks as data, one row each; every other room reads these rows. The parameters of an attack stand in schema.ts,
 * what it does in attacks/.
 */
import { TARGET_KINDS, type TargetKind } from "./names.js";
import type { Attack } from "./schema.js";

export type AttackName = Attack["type"];

/** A right that the attack itself needs, beside those to watch and to restore its target. */
interface AttackRight {
  readonly verbs: readonly string[];
  /** "workload": the target, by its name; nodes: every node; others: those in the target's namespace. */
  readonly to: "workload" | "pods" | "apps/replicasets" | "nodes";
  /** Only for a target of this kind. Default: for each kind that it fits. */
  readonly only?: TargetKind;
  /** What the right is for, in a Role's comment. Default: "the attack NAME". */
  readonly why?: string;
}

export interface AttackRow {
  /** The kinds of target that it can take down. */
  readonly fits: readonly TargetKind[];
  /**
   * What it changes, and so what is restored: of a workload the whole of it (whoever deletes it first may restore it),
   * its replicas only (so what scales the target is scaled down before it), or nothing but its pods; on a node what
   * the journal's entry for that kind of target undoes; nothing: the control run.
   */
  readonly changes: "nothing" | "pods" | "replicas" | "workload" | "node";
  /** Whether its controller brings the target back by itself; where not, the runner does between two kills. */
  readonly comesBack: boolean;
  readonly rights: readonly AttackRight[];
  /**
   * On a systemd unit that it takes down without stopping it: two pieces of shell text for the node; "$1" is the unit.
   * `state` prints "active" while the unit works, and another word while it does not; `undo` is safe to repeat, and
   * leaves it active ("$@": the unit, and what systemd stops with it). Default: systemd's ActiveState, and a start.
   */
  readonly onUnit?: { readonly state: string; readonly undo: string };
  /** Name of what it does in events and results, and the words of reports ("NAME stopped"). Default: a deletion. */
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

/** What a kill did other than delete an object. */
export type KillAction = ActionOf<(typeof ROWS)[AttackName]>;

/** By which whatever would undo an attack on replicas is taken down before the target. */
export const COMPANION_ATTACK: AttackName = "scale-to-zero";

/** Whether it is a control run, in which nothing is taken down. */
export function isControl(attack: { readonly type: string } | undefined): boolean {
  return attack?.type === "none";
}

/** The attacks that can take a target of a kind down. */
export function fittingAttacks(kind: TargetKind): readonly AttackName[] {
  const names = Object.keys(ROWS) as AttackName[];
  return names.filter((name) => !isControl({ type: name }) && fits(name, kind));
}

/** Whether an attack can take a target of a kind down; none takes nothing down, and fits all. */
export function fits(attack: AttackName, kind: TargetKind): boolean {
  return ATTACKS[attack].fits.includes(kind);
}

/** Whether an attack leaves the workload itself alone: then its spec is its owner's word all the while. */
export function leavesSpecAlone(attack: AttackName): boolean {
  const { changes } = ATTACKS[attack];
  return changes !== "workload" && changes !== "replicas";
}

/** "coredns scaled to 0": what a kill did, for a report. */
export function killWords(action: KillAction, name: string): string {
  const words = Object.values(ATTACKS).find(({ kill }) => kill?.action === action)?.kill?.words;
  return (words ?? `NAME: ${action}`).replace("NAME", () => name);
}
