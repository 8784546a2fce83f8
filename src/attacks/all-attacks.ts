import { type AttackName, ATTACKS } from "../experiment/attacks.js";
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
  const { comesBack } = ATTACKS[spec.type];
  const repeated = every === undefined ? attack : flapping(attack, { every, comesBack });
  return afterCompanions(repeated, options.companions ?? []);
}

type Makers = { readonly [Name in AttackName]: (spec: Extract<AttackSpec, { type: Name }>) => Attack };

const MAKERS: Makers = {
  none,
  "delete-pods": (spec) => deletePods({ ...spec, hold: HOLD_MS }),
  "delete-workload": deleteWorkload,
  "scale-to-zero": scaleToZero,
  "static-pod": staticPod,
  "systemd-unit": systemdUnit,
};

function continuous(spec: AttackSpec): Attack {
  // The compiler does not follow that a spec and its maker have the same name.
  const make = MAKERS[spec.type] as (spec: AttackSpec) => Attack;
  return make(spec);
}
