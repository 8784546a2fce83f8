/**
 * Foreign changes to the target's workload during the attack. The attack fights some of them anyway. Others change
 * what the measurement means, and end it. This file decides which is which.
 */
import { after as systemAfter, type Clock } from "../common/clock.js";
import { isDeepStrictEqual } from "node:util";
import { objectName } from "../common/object-name.js";
import type { RunEventBody } from "../evidence/events.js";
import { type AttackName, ATTACKS } from "../experiment/attacks.js";
import type { Deployment, KubeObject, Pod } from "../kube/objects.js";
import { controllerOf, isReady, isTerminating } from "../kube/pod-state.js";
import type { WatchEvent } from "../kube/watch.js";
import { lastWriterOf } from "../kube/written-by.js";
import { isOwnManager } from "../own/own-fields.js";
import type { Target } from "./target.js";

/** How long a workload may be gone before it counts as deleted, ms. `kubectl replace --force` takes a second or two. */
const GONE_FOR_GOOD_MS = 10_000;

const UNKNOWN_MANAGER = "an unknown field manager";

/** The parts of a workload's spec that are compared. */
interface Shape {
  readonly selector: unknown;
  readonly template: unknown;
  readonly replicas: number;
}

function shapeOf(object: KubeObject): Shape {
  const spec = (object as unknown as Deployment).spec;
  return { selector: spec?.selector, template: spec?.template, replicas: spec?.replicas ?? 1 };
}

/** What a new state of the workload means, and whether it stops the attack. undefined: no foreign change. Pure. */
function meaningOf(
  attack: AttackName,
  reference: Pick<Shape, "selector" | "template">,
  replicas: { readonly before: number; readonly now: number },
  object: KubeObject,
): { readonly what: string; readonly stops: boolean } | undefined {
  const now = shapeOf(object);
  if (!isDeepStrictEqual(now.selector, reference.selector))
    return { what: "now has another selector", stops: true };
  // The attack deletes it as soon as it is seen: what its pods would run does not matter.
  const { changes } = ATTACKS[attack];
  if (changes === "workload") return undefined;
  if (!isDeepStrictEqual(now.template, reference.template))
    return { what: "now has another pod template", stops: true };
  if (replicas.now === replicas.before) return undefined;
  if (changes === "replicas") {
    if (replicas.now === 0) return undefined;
    return { what: `was set to ${replicas.now} replicas, and the attack scales it down again`, stops: false };
  }
  // Without pods there is nothing to delete, and a control run takes nothing down: someone else caused this outage.
  return { what: `was set to ${replicas.now} replicas`, stops: changes === "nothing" || replicas.now === 0 };
}

export interface ForeignChangesOptions {
  readonly target: Target;
  readonly attack: AttackName;
  readonly emit: (body: RunEventBody) => void;
  /** Called once when the attack must stop, with the reason. */
  readonly onChanged: (message: string) => void;
  /** The name of another workload with the target's selector; undefined: none, or unknown. */
  readonly findNamesake: () => Promise<string | undefined>;
  /** Default: the machine's. */
  readonly after?: Clock["after"];
}

/** Detects foreign changes to the target from the beginning of the attack to its end. */
export class ForeignChanges {
  readonly #options: ForeignChangesOptions;
  /** The workload's shape when the attack began. */
  #reference: Shape;
  #uid: string;
  #replicas: number;
  #active = false;
  #stopped = false;
  #cancelGone: (() => void) | undefined;
  readonly #warned = new Set<string>();
  /** Workloads with the target's labels that existed before the attack. */
  readonly #neighbours = new Set<string>();

  constructor(options: ForeignChangesOptions) {
    this.#options = options;
    this.#reference = shapeOf(options.target.object);
    this.#uid = options.target.uid;
    this.#replicas = this.#reference.replicas;
  }

  /** The attack begins, or begins another interval: from now on every change that is not its own is foreign. */
  begin(workload: KubeObject | undefined): void {
    this.#active = true;
    if (workload === undefined) return;
    this.#replicas = shapeOf(workload).replicas;
    this.see({ type: "MODIFIED", object: workload });
  }

  /** The attack has ended: later changes belong to the release. */
  end(): void {
    this.#active = false;
    this.#cancelGone?.();
    this.#cancelGone = undefined;
  }

  /** Handles a change of the workload. */
  see({ type, object }: WatchEvent<KubeObject>): void {
    if (!this.#active) return;
    if (type === "DELETED" || isTerminating(object)) {
      this.#onGone(object);
      return;
    }
    const { attack } = this.#options;
    if (object.metadata.uid !== this.#uid) this.#onAnother(object);
    const replicas = { before: this.#replicas, now: shapeOf(object).replicas };
    this.#replicas = replicas.now;
    const meaning = meaningOf(attack, this.#reference, replicas, object);
    if (meaning === undefined) return;
    const by = lastWriterOf(object, isOwnManager) ?? UNKNOWN_MANAGER;
    const text = `${this.#name} ${meaning.what} (by ${by})`;
    if (meaning.stops) this.#stop(text);
    else this.#warn(text);
  }

  /** Handles a pod that has the target's labels and belongs to another workload. */
  seeStranger(pod: KubeObject): void {
    const owner = controllerOf(pod);
    if (owner === undefined) return;
    // The workload's name without the template's hash.
    const name = owner.kind === "ReplicaSet" ? owner.name.replace(/-[^-]+$/, "") : owner.name;
    const key = `${owner.kind} ${name}`;
    if (!this.#active) this.#neighbours.add(key);
    if (this.#neighbours.has(key) || !isReady(pod as unknown as Pod) || isTerminating(pod)) return;
    this.#stop(
      `pod ${pod.metadata.name} of ${owner.kind} ${owner.name} serves in place of ${this.#name}: ` +
        "it has the same labels and appeared after the attack began",
    );
  }

  get #name(): string {
    return objectName(this.#options.target);
  }

  #onGone(object: KubeObject): void {
    const { attack, after = systemAfter } = this.#options;
    // The attack deletes the workload itself: a deletion by someone else changes nothing.
    if (ATTACKS[attack].changes === "workload" || this.#cancelGone !== undefined) return;
    this.#uid = object.metadata.uid;
    this.#warn(`${this.#name} was deleted by someone else: the attack ${attack} does not delete it`);
    this.#cancelGone = after(GONE_FOR_GOOD_MS, () => void this.#goneForGood());
  }

  async #goneForGood(): Promise<void> {
    const namesake = await this.#options.findNamesake();
    if (this.#cancelGone === undefined) return;
    const since = `was not recreated within ${GONE_FOR_GOOD_MS / 1000} s after someone else deleted it`;
    this.#stop(
      namesake === undefined
        ? `${this.#name} ${since}`
        : `${this.#name} ${since}; ${namesake} has the same selector: was the workload renamed?`,
    );
  }

  #onAnother(object: KubeObject): void {
    this.#uid = object.metadata.uid;
    this.#cancelGone?.();
    this.#cancelGone = undefined;
    // The report lists who recreates the workload in the table of the fight.
    if (ATTACKS[this.#options.attack].changes === "workload") return;
    this.#warn(
      `${this.#name} was recreated by ${lastWriterOf(object) ?? UNKNOWN_MANAGER}; the attack continues`,
    );
  }

  #warn(text: string): void {
    if (this.#warned.has(text) || this.#stopped) return;
    this.#warned.add(text);
    this.#options.emit({ type: "warning", text });
  }

  #stop(text: string): void {
    if (this.#stopped || !this.#active) return;
    this.#stopped = true;
    this.end();
    this.#options.onChanged(text);
  }
}
