import { ChaosError } from "../../common/errors.js";
import { isControl, COMPANION_ATTACK } from "../../experiment/attacks.js";
import type { TargetMonitor } from "../../targets/monitor.js";
import { NodeTargetWatch } from "../../targets/node-target-watch.js";
import { TargetWatch } from "../../targets/target-watch.js";
import { isNodeTarget, type Target } from "../../targets/target.js";
import { AbortWatch } from "./abort-when.js";
import { ApplicationWatch, watchedObjects } from "./application-watch.js";
import type { Collector } from "./collector.js";
import type { RunContext } from "../context.js";
import type { RunState } from "../run-state.js";

/** Interval at which the watches re-list everything, ms: the longest time that a silent watch can miss a change. */
const RESYNC_MS = 2_000;

/** A watch and its start. */
interface Watched<T> {
  readonly watch: T;
  readonly started: { readonly synced: Promise<void>; readonly done: Promise<void> };
}

/** @throws ChaosError when the target on nodes is to be attacked and there is no access to the nodes. */
export function watchTarget(state: RunState, nodes: readonly string[]): Watched<TargetMonitor> {
  const { target, transport, recorder, nodeAccess } = state.context;
  if (!isNodeTarget(target)) return watchWorkload(state, target);
  if (nodeAccess === undefined && !isControl(state.context.resolved.attack))
    throw new ChaosError(
      `cannot attack ${target.name}: it runs on nodes, and there is no node access. Name a way with --node-access`,
    );
  const watch = new NodeTargetWatch({
    transport,
    target,
    attacked: nodes,
    attack: state.context.resolved.attack.type,
    access: nodeAccess,
    emit: recorder.emit,
    signal: state.abort.signal,
  });
  return { watch, started: watch.start() };
}

/** Watches a workload. A foreign change ends the window. */
export function watchWorkload(state: RunState, target: Target): Watched<TargetWatch> {
  const { recorder, transport, resolved } = state.context;
  // Companions are scaled down before any type of attack.
  const attack = target === state.context.target ? resolved.attack.type : COMPANION_ATTACK;
  const watch = new TargetWatch({
    transport,
    target,
    emit: recorder.emit,
    signal: state.abort.signal,
    resyncMs: RESYNC_MS,
    foreign: { attack, onChanged: (message) => state.changed("target-changed", message) },
  });
  return { watch, started: watch.start() };
}

/** Watches the application that is measured. A foreign change ends the window. */
export function watchApplication(state: RunState): {
  readonly synced: Promise<void>;
  readonly done: Promise<void>;
} {
  const { transport, clock, recorder, resolved } = state.context;
  const { application } = resolved.experiment;
  return new ApplicationWatch({
    transport,
    clock,
    ...watchedObjects(application),
    signal: state.abort.signal,
    onChange: (message) => state.changed("application-changed", message),
    onNote: (resource, what) => recorder.emit({ type: "watch", resource, what }),
  }).start();
}

/** The conditions that end the window early, if the experiment has any. */
export function abortWatch(context: RunContext, { health }: Collector): AbortWatch | undefined {
  const { resolved, transport, clock, recorder } = context;
  const { abortWhen: conditions, probes } = resolved.experiment;
  if (conditions === undefined || conditions.length === 0) return undefined;
  const { emit } = recorder;
  return new AbortWatch({ conditions, health, intervalMs: probes.interval, transport, clock, emit });
}
