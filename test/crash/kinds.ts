/**
 * Points of another kind: the surroundings change in the window. A node's container restarts, the runner's machine has
 * booted again, or the cluster refuses what the restore must create. Pure.
 */
import { ATTACKS, type AttackKind } from "./attacks.js";
import type { Point } from "./plan.js";

export const KINDS = [
  /** A node's container restarts in the window; the runner continues. */
  "restart",
  /** Runner and watchdog are killed, then a node's container restarts. */
  "restart after kill",
  /** Runner and watchdog are killed; the restore runs after another boot of its machine. */
  "other boot",
  /** Runner and watchdog are killed, and an admission policy refuses what the restore must create, until it is removed. */
  "policy after kill",
  /** The same policy is added in the window; the runner continues, and ends without having restored everything. */
  "policy",
] as const;
export type Kind = (typeof KINDS)[number];

export interface KindPoint extends Point {
  readonly kind: Kind;
}

/** Workloads that `delete-workload` deletes: only their restore creates something. */
const CREATED = ["dns-workload", "dns-flaps", "proxy-workload"];

const ON: Readonly<Record<Kind, readonly string[]>> = {
  restart: ATTACKS.map(({ name }) => name).filter((name) => name !== "kubelet-flaps"),
  "restart after kill": ATTACKS.map(({ name }) => name),
  "other boot": ["dns-workload", "dns-scaled", "kubelet", "scheduler"],
  "policy after kill": CREATED,
  policy: ["dns-workload"],
};

/** One point for each kind and attack, the short ones first. */
const SHORT: readonly (readonly [Kind, string])[] = [["restart after kill", "kubelet"]];

const ALL = [
  ...SHORT,
  ...KINDS.flatMap((kind) => ON[kind].map((name) => [kind, name] as const)).filter(
    ([kind, name]) => !SHORT.some(([shortKind, shortName]) => shortKind === kind && shortName === name),
  ),
];

/** The window must not end before the surroundings have changed, s. */
const WINDOW_S = 20;
/** From the start of the window, ms: the target is down by then. */
const DELAY_MS = 3_000;

/** All points, or only those of the short form. */
export function kindPoints(short: boolean): KindPoint[] {
  return (short ? SHORT : ALL).map(([kind, name], index) => ({
    kind,
    seed: 0,
    number: index + 1,
    signal: "SIGKILL",
    attack: attackNamed(name),
    phase: "window",
    delayMs: DELAY_MS,
    secondAfterMs: 0,
    mode: "keep",
    restorer: { by: "restore" },
  }));
}

function attackNamed(name: string): AttackKind {
  const found = ATTACKS.find((attack) => attack.name === name);
  if (found === undefined) throw new Error(`unknown attack: ${name}`);
  return { ...found, windowS: Math.max(found.windowS, WINDOW_S) };
}
