import type { Attack as AttackSpec } from "../experiment/schema.js";
import type { Attack } from "./attack.js";
import { deletePods } from "./delete-pods.js";
import { deleteWorkload } from "./delete-workload.js";
import { none } from "./none.js";

/** The attack that an experiment file asks for. */
export function createAttack(spec: AttackSpec): Attack {
  switch (spec.type) {
    case "none":
      return none();
    case "delete-pods":
      return deletePods(spec);
    case "delete-workload":
      return deleteWorkload(spec);
  }
}
