import type { Attack } from "./schema.js";
import type { AnyTarget } from "../targets/target.js";

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
