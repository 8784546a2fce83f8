import type { Find } from "../components/component.js";
import type { AnyTarget } from "../targets/target.js";
import type { Attack } from "./schema.js";

const FITTING: Readonly<Record<AnyTarget["kind"], readonly Attack["type"][]>> = {
  Deployment: ["delete-workload", "delete-pods", "scale-to-zero"],
  DaemonSet: ["delete-workload", "delete-pods"],
  StaticPod: ["static-pod"],
  SystemdUnit: ["systemd-unit"],
};

/** The attacks that can take a target of a kind down. */
export function fittingAttacks(kind: AnyTarget["kind"]): readonly Attack["type"][] {
  return FITTING[kind];
}

/** Whether an attack can take a target of a kind down; none takes nothing down, and fits all. Pure. */
export function fits(attack: Attack["type"], kind: AnyTarget["kind"]): boolean {
  return attack === "none" || FITTING[kind].includes(attack);
}

/** Whether an attack leaves the workload itself alone: then what its spec says is its owner's word all the while. */
export function leavesSpecAlone(attack: Attack["type"]): boolean {
  return attack !== "delete-workload" && attack !== "scale-to-zero";
}

/** Attacks that fit each way in which a component may be found. */
export const ATTACKS_OF: Readonly<Record<Find["how"], readonly string[]>> = {
  workload: ["delete-pods", "delete-workload", "scale-to-zero"],
  "static-pod": ["static-pod"],
  "systemd-unit": ["systemd-unit"],
};
