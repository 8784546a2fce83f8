import type { Attack as AttackSpec } from "../experiment/schema.js";
import type { Target } from "../targets/target.js";
import type { Attack } from "./attack.js";
import { afterCompanions } from "./companion-attacks.js";
import { deletePods } from "./delete-pods.js";
import { deleteWorkload } from "./delete-workload.js";
import { flapping } from "./flapping.js";
import { none } from "./none.js";
import { scaleToZero } from "./scale-to-zero.js";
import { staticPod } from "./static-pod.js";
import { systemdUnit } from "./systemd-unit.js";

/**
 * How long delete-pods lets the first replacements be, ms: the kubelets have to end what served first, and a
 * churn of some ten new pods a second keeps them from it (on two cores a container ran on for eight seconds).
 * Shorter than a pod with a readiness probe takes to become ready.
 */
const HOLD_MS = 1_000;

/**
 * The attack that an experiment file asks for.
 *
 * @param options `companions`: what is scaled down before the target.
 */
export function createAttack(
  spec: AttackSpec,
  options: { readonly companions?: readonly Target[] } = {},
): Attack {
  const attack = continuous(spec);
  const every = "every" in spec ? spec.every : undefined;
  const repeated =
    every === undefined ? attack : flapping(attack, { every, comesBack: spec.type === "delete-pods" });
  return afterCompanions(repeated, options.companions ?? []);
}

function continuous(spec: AttackSpec): Attack {
  switch (spec.type) {
    case "none":
      return none();
    case "delete-pods":
      return deletePods({ ...spec, hold: HOLD_MS });
    case "delete-workload":
      return deleteWorkload(spec);
    case "scale-to-zero":
      return scaleToZero();
    case "static-pod":
      return staticPod();
    case "systemd-unit":
      return systemdUnit();
  }
}
