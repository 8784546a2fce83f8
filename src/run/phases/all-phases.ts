/** The phases of a run after preflight, in order. */
import { isNodeTarget } from "../../targets/target.js";
import { askRuntimesOnce } from "../measuring/measuring.js";
import { API_AWAY_LIMIT_MS } from "../giving-up.js";
import type { RunState } from "../run-state.js";
import { baselineIsGood, measureBaseline, targetIsReady } from "./baseline.js";
import { lockForRun } from "./lock.js";
import type { Phase } from "./phase.js";
import { prepare } from "./prepare.js";
import { recordUndo } from "./record-undo.js";
import { recover } from "./recovery.js";
import { release } from "./release.js";
import { cleanUp } from "./tear-down.js";
import { attackInWindow, endOutage, endWindow, checkOutsideTheWindow, readyToHarm } from "./window.js";

const always = (): boolean => true;
/** After a signal or a failure, no further step towards the attack is taken. */
const notStopped = ({ halted, context }: RunState): boolean => !halted && !context.interrupted.aborted;

export const PHASES: readonly Phase[] = [
  { name: "lock", due: always, run: lockForRun },
  { name: "deploy", due: notStopped, failure: "deploy-failed", run: prepare },
  {
    name: "baseline",
    due: notStopped,
    failure: "attack-failed",
    limitMs: ({ context }) => context.resolved.experiment.phases.baseline,
    before: targetIsReady,
    run: measureBaseline,
  },
  { name: "record", due: notStopped, failure: "attack-failed", before: baselineIsGood, run: recordUndo },
  {
    name: "window",
    due: notStopped,
    failure: "attack-failed",
    limitMs: ({ context }) => context.resolved.experiment.phases.window,
    before: readyToHarm,
    run: attackInWindow,
  },
  {
    name: "function",
    due: ({ harm }) => harm?.attackRuns === true,
    failure: "attack-failed",
    limitMs: ({ measuring }) => measuring.functionChecks?.deadlineMs ?? 0,
    before: endWindow,
    run: checkOutsideTheWindow,
  },
  // From here on no signal stops the run: the damage is always undone.
  {
    name: "release",
    due: ({ harm }) => harm !== undefined,
    failure: "attack-failed",
    before: endOutage,
    run: async (state) => {
      const { target, resolved } = state.context;
      state.released = await release(state.context, { target, attack: resolved.attack }, state.pending);
      // The node is as before, and the API server on it may need the whole recovery to come back.
      if (state.released && resolved.component?.carriesApi === true)
        state.context.givingUp?.end(Math.max(API_AWAY_LIMIT_MS, resolved.experiment.phases.recovery));
      return true;
    },
  },
  {
    name: "recovery",
    due: ({ released }) => released !== undefined,
    failure: "attack-failed",
    limitMs: ({ context }) => context.resolved.experiment.phases.recovery,
    run: async (state) => {
      const healthy = state.harm !== undefined && (await recover(state, state.harm));
      state.whole = state.released === true && healthy;
      return true;
    },
  },
  {
    name: "teardown",
    due: always,
    before: async (state) => {
      const { target, givingUp } = state.context;
      if (state.harm === undefined) givingUp?.end();
      if (state.released !== undefined && !isNodeTarget(target)) await askRuntimesOnce(state.context, target);
      await state.endMeasuring();
      return true;
    },
    run: async (state) => {
      state.whole = (await cleanUp(state)) && state.whole;
      return true;
    },
  },
];
