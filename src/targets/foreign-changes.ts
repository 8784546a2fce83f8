/**
 * What somebody else does to the target's workload while it is under attack. Some of it is what the attack fights
 * anyway; some of it makes the measurement mean something else, and ends it. What each is, is decided here.
 */
import { after as systemAfter, type Clock } from "../common/clock.js";
import { isDeepStrictEqual } from "node:util";
import { objectName } from "../common/object-name.js";
import type { RunEventBody } from "../evidence/events.js";
import { type AttackName, ATTACKS } from "../experiment/attacks.js";
import type { Deployment, KubeObject, Pod } from "../kube/objects.js";
import { isReady, isTerminating } from "../kube/pod-state.js";
import type { WatchEvent } from "../kube/watch.js";
import { lastWriterOf } from "../kube/written-by.js";
import { MANAGED_BY } from "../own/manifest.js";
import type { Target } from "./target.js";

/** A workload that is replaced (`kubectl replace --force`) is gone for a second or two; after this it is gone, ms. */
const GONE_FOR_GOOD_MS = 10_000;

/** The parts of a workload's spec by which one is told from another. */
interface Shape {
  readonly selector: unknown;
  readonly template: unknown;
  readonly replicas: number;
}

function shapeOf(object: KubeObject): Shape {
  const spec = (object as unknown as Deployment).spec;
  return { selector: spec?.selector, template: spec?.template, replicas: spec?.replicas ?? 1 };
}

/** What a new state of the workload means, and whether the run can go on. Pure. */
function meaningOf(
  attack: AttackName,
  reference: Pick<Shape, "selector" | "template">,
  replicas: { readonly before: number; readonly now: number },
  object: KubeObject,
): { readonly what: string; readonly stops: boolean } | undefined {
  const now = shapeOf(object);
  if (!isDeepStrictEqual(now.selector, reference.selector))
    return { what: "has another selector now", stops: true };
  // One that is deleted again the moment it is seen: what it would have run does not matter.
  const { changes } = ATTACKS[attack];
  if (changes === "workload") return undefined;
  if (!isDeepStrictEqual(now.template, reference.template))
    return { what: "has another pod template now", stops: true };
  if (replicas.now === replicas.before) return undefined;
  if (changes === "replicas") {
    if (replicas.now === 0) return undefined;
    return { what: `was set to ${replicas.now} replicas, and is scaled down again`, stops: false };
  }
  // Without pods there is nothing to delete, and a control run takes nothing down: this is somebody else's outage.
  return { what: `was set to ${replicas.now} replicas`, stops: changes === "nothing" || replicas.now === 0 };
}

export interface ForeignChangesOptions {
  readonly target: Target;
  readonly attack: AttackName;
  readonly emit: (body: RunEventBody) => void;
  /** Called once: the run must not go on; why. */
  readonly onChanged: (message: string) => void;
  /** Another workload with the target's selector, named; undefined: there is none, or it cannot be told. */
  readonly findNamesake: () => Promise<string | undefined>;
  /** Default: the machine's. */
  readonly after?: Clock["after"];
}

/** Follows what others do to the target from the attack's beginning to its end. */
export class ForeignChanges {
  readonly #options: ForeignChangesOptions;
  /** As it was when the attack began. */
  #reference: Shape;
  #uid: string;
  #replicas: number;
  #active = false;
  #stopped = false;
  #cancelGone: (() => void) | undefined;
  readonly #told = new Set<string>();
  /** Workloads with the target's labels that were there before the attack. */
  readonly #neighbours = new Set<string>();

  constructor(options: ForeignChangesOptions) {
    this.#options = options;
    this.#reference = shapeOf(options.target.object);
    this.#uid = options.target.uid;
    this.#replicas = this.#reference.replicas;
  }

  /** The attack begins (or strikes again): from now on every change that is not its own is somebody else's. */
  begin(workload: KubeObject | undefined): void {
    this.#active = true;
    if (workload === undefined) return;
    this.#replicas = shapeOf(workload).replicas;
    this.see({ type: "MODIFIED", object: workload });
  }

  /** The attack has stopped: what happens now is the release. */
  end(): void {
    this.#active = false;
    this.#cancelGone?.();
    this.#cancelGone = undefined;
  }

  /** A change of the workload. */
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
    const by = lastWriterOf(object, MANAGED_BY) ?? "somebody";
    const text = `${this.#name} ${meaning.what} (by ${by})`;
    if (meaning.stops) this.#stop(text);
    else this.#tell(text);
  }

  /** A pod with the target's labels that is not the target's. */
  seeStranger(pod: KubeObject): void {
    const owner = (pod.metadata.ownerReferences ?? []).find((each) => each.controller === true);
    if (owner === undefined) return;
    // The workload's own name, whatever the template's hash.
    const name = owner.kind === "ReplicaSet" ? owner.name.replace(/-[^-]+$/, "") : owner.name;
    const key = `${owner.kind} ${name}`;
    if (!this.#active) this.#neighbours.add(key);
    if (this.#neighbours.has(key) || !isReady(pod as unknown as Pod) || isTerminating(pod)) return;
    this.#stop(
      `pod ${pod.metadata.name} of ${owner.kind} ${owner.name} serves in the place of ${this.#name}: ` +
        "it has the same labels, and came after the attack began",
    );
  }

  get #name(): string {
    return objectName(this.#options.target);
  }

  #onGone(object: KubeObject): void {
    const { attack, after = systemAfter } = this.#options;
    // Its end is the attack's own work, or as good as that.
    if (ATTACKS[attack].changes === "workload" || this.#cancelGone !== undefined) return;
    this.#uid = object.metadata.uid;
    this.#tell(`${this.#name} was deleted by somebody else: the attack ${attack} does not delete it`);
    this.#cancelGone = after(GONE_FOR_GOOD_MS, () => void this.#goneForGood());
  }

  async #goneForGood(): Promise<void> {
    const namesake = await this.#options.findNamesake();
    if (this.#cancelGone === undefined) return;
    const since = `was not back ${GONE_FOR_GOOD_MS / 1000} s after somebody else had deleted it`;
    this.#stop(
      namesake === undefined
        ? `${this.#name} ${since}`
        : `${this.#name} ${since}; ${namesake} has the same selector: was it renamed?`,
    );
  }

  #onAnother(object: KubeObject): void {
    this.#uid = object.metadata.uid;
    this.#cancelGone?.();
    this.#cancelGone = undefined;
    // Who brings it back is what the fight is about: the report has a table of it.
    if (ATTACKS[this.#options.attack].changes === "workload") return;
    this.#tell(`${this.#name} was made anew by ${lastWriterOf(object) ?? "somebody"}: the attack goes on`);
  }

  #tell(text: string): void {
    if (this.#told.has(text) || this.#stopped) return;
    this.#told.add(text);
    this.#options.emit({ type: "warning", text });
  }

  #stop(text: string): void {
    if (this.#stopped || !this.#active) return;
    this.#stopped = true;
    this.end();
    this.#options.onChanged(text);
  }
}
