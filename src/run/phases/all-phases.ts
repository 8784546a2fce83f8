/** What a run does, in order, once preflight has let it pass. */
import { isNodeTarget } from "../../targets/target.js";
import { askRuntimesOnce } from "../measuring/measuring.js";
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
/** After a signal, or a failure, no further step towards harm is taken. */
const goesOn = ({ halted, context }: RunState): boolean => !halted && !context.interrupted.aborted;

export const PHASES: readonly Phase[] = [
  { name: "lock", due: always, run: lockForRun },
  { name: "deploy", due: always, failure: "deploy-failed", run: prepare },
  {
    name: "baseline",
    due: goesOn,
    failure: "attack-failed",
    limitMs: ({ context }) => context.resolved.experiment.phases.baseline,
    before: targetIsReady,
    run: measureBaseline,
  },
  { name: "record", due: goesOn, failure: "attack-failed", before: baselineIsGood, run: recordUndo },
  {
    name: "window",
    due: goesOn,
    failure: "attack-failed",
    limitMs: ({ context }) => context.resolved.experiment.phases.window,
    before: readyToHarm,
    run: attackInWindow,
  },
  {
    name: "function",
    due: ({ harm }) => harm?.attackRuns === true,
    failure: "attack-failed",
    limitMs: ({ measuring }) => measuring.looks?.deadlineMs ?? 0,
    before: endWindow,
    run: checkOutsideTheWindow,
  },
  // From here on no signal changes anything: what was harmed is put back.
  {
    name: "release",
    due: ({ harm }) => harm !== undefined,
    failure: "attack-failed",
    before: endOutage,
    run: async (state) => {
      const { target, resolved } = state.context;
      state.putBack = await release(state.context, { target, attack: resolved.attack }, state.pending);
      return true;
    },
  },
  {
    name: "recovery",
    due: ({ putBack }) => putBack !== undefined,
    failure: "attack-failed",
    limitMs: ({ context }) => context.resolved.experiment.phases.recovery,
    run: async (state) => {
      const healthy = state.harm !== undefined && (await recover(state, state.harm));
      state.whole = state.putBack === true && healthy;
      return true;
    },
  },
  {
    name: "teardown",
    due: always,
    before: async (state) => {
      const { target } = state.context;
      if (state.putBack !== undefined && !isNodeTarget(target)) await askRuntimesOnce(state.context, target);
      await state.endMeasuring();
      return true;
    },
    run: async (state) => {
      state.whole = (await cleanUp(state)) && state.whole;
      return true;
    },
  },
];
