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
 * How long delete-pods spares the first replacement pods, ms. The kubelets need this time to end the old containers:
 * a churn of about ten new pods per second delays them (measured on two cores: a container kept running for eight
 * seconds). About the time that a pod with a readiness probe needs to become ready, so a flapping target gets no such
 * time: it would be ready again before it was down.
 */
const FIRST_PAUSE_MS = 1_000;

/**
 * Creates the attack that an experiment file asks for.
 *
 * @param options `companions`: the workloads that are scaled down before the target.
 */
export function createAttack(
  spec: AttackSpec,
  options: { readonly companions?: readonly Target[] } = {},
): Attack {
  const every = "every" in spec ? spec.every : undefined;
  const attack = continuous(spec, every === undefined ? FIRST_PAUSE_MS : 0);
  const { comesBack } = ATTACKS[spec.type];
  const repeated = every === undefined ? attack : flapping(attack, { every, comesBack });
  return afterCompanions(repeated, options.companions ?? []);
}

type Makers = {
  readonly [Name in AttackName]: (spec: Extract<AttackSpec, { type: Name }>, firstPause: number) => Attack;
};

const MAKERS: Makers = {
  none,
  "delete-pods": (spec, firstPause) => deletePods({ ...spec, firstPause }),
  "delete-workload": deleteWorkload,
  "scale-to-zero": scaleToZero,
  "static-pod": staticPod,
  "systemd-unit": systemdUnit,
};

function continuous(spec: AttackSpec, firstPause: number): Attack {
  // The compiler cannot infer that a spec and its maker have the same name.
  const make = MAKERS[spec.type] as (spec: AttackSpec, firstPause: number) => Attack;
  return make(spec, firstPause);
}
