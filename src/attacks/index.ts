import type { Attack as AttackSpec } from "../experiment/schema.js";
import type { Attack } from "./attack.js";
import { deletePods } from "./delete-pods.js";
import { deleteWorkload } from "./delete-workload.js";
import { none } from "./none.js";

/**
 * How long delete-pods lets the first replacements be, ms: the kubelets have to end what served first, and a
 * churn of some ten new pods a second keeps them from it (on two cores a container ran on for eight seconds).
 * Shorter than a pod with a readiness probe takes to become ready.
 */
const HOLD_MS = 1_000;

/** The attack that an experiment file asks for. */
export function createAttack(spec: AttackSpec): Attack {
  switch (spec.type) {
    case "none":
      return none();
    case "delete-pods":
      return deletePods({ ...spec, hold: HOLD_MS });
    case "delete-workload":
      return deleteWorkload(spec);
  }
}
