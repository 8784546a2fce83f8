import { within } from "../../common/clock.js";
import { messageOf } from "../../common/errors.js";
import { othersOf } from "../../safety/dead-man/dead-man-preflight.js";
import { deployDeadMan } from "../../safety/dead-man/deploy-dead-man.js";
import { isNodeTarget } from "../../targets/target.js";
import { watchStory } from "../measuring/cluster-story.js";
import { FunctionChecks } from "../measuring/function-checks.js";
import { abortWatch, watchApplication, watchTarget, watchWorkload } from "../measuring/watches.js";
import type { RunState } from "../run-state.js";
import { attackedNodes } from "./attacked-nodes.js";
import { deploy } from "./deploy.js";
import { rehearse, warmUp } from "./warm-up.js";

/** By the time that every probe is good, each watch has long listed once, ms. */
const SYNC_LIMIT_MS = 30_000;

/** Everything before the baseline. @returns false when the run must not go on; why is an event. */
export async function prepare(state: RunState): Promise<boolean> {
  const { context, collector, stop } = state;
  const { view, clock, interrupted } = context;
  try {
    await deploy(context);
    if (interrupted.aborted) return false;
    const nodes = await chooseNodes(state);
    const watching = watchTarget(state, nodes);
    state.follow(watching.started.done);
    state.follow(watchStory(context, state.abort.signal));
    const application = watchApplication(state);
    state.follow(application.done);
    const companions = context.companions.map((target) => {
      const watch = watchWorkload(state, target);
      state.follow(watch.started.done);
      return { target, ...watch };
    });
    await collector.start();
    state.facts = { ...state.facts, sources: collector.sources };
    const looks = await prepareChecks(state, nodes);
    // By now the journal names every namespace that the switch may have to clear away.
    if (context.deadMan) await setDeadMan(state, nodes);
    const abortWhen = abortWatch(context, collector);
    state.measuring = {
      nodes,
      watch: watching.watch,
      companions,
      ...(looks === undefined ? {} : { looks }),
      ...(abortWhen === undefined ? {} : { abortWhen }),
    };
    await view.step("wait until every probe is good", async (note) => await warmUp(state, note));
    const synced = [application, ...[watching, ...companions].map(({ started }) => started)];
    await within(
      clock,
      { limitMs: SYNC_LIMIT_MS, what: "not every watch has listed once", signal: stop },
      Promise.all(synced.map(async (each) => await each.synced)),
    );
    if (stop.aborted) return false;
    return (await rehearse(state)) && !stop.aborted;
  } finally {
    await state.writeFacts();
  }
}

/** The nodes that are attacked, where the target is one of nodes; they become facts of the run. */
async function chooseNodes(state: RunState): Promise<readonly string[]> {
  const { target } = state.context;
  if (!isNodeTarget(target)) return [];
  const nodes = await attackedNodes(state.context, target);
  if (state.facts.target !== undefined)
    state.facts = { ...state.facts, target: { ...state.facts.target, nodes } };
  return nodes;
}

/** @throws ChaosError when it does not become ready: then nothing may be harmed. */
async function setDeadMan(state: RunState, attacked: readonly string[]): Promise<void> {
  const {
    runId,
    transport,
    clock,
    journal,
    made,
    nodes,
    resolved,
    recorder,
    view,
    interrupted,
    target,
    companions,
  } = state.context;
  state.deadMan = await view.step(
    "set the dead-man's switch up",
    async (note) =>
      await deployDeadMan({
        runId,
        userAgent: `kube-system-chaos/${state.facts.toolVersion} (dead-man ${runId})`,
        transport,
        clock,
        journal,
        made,
        nodes,
        target,
        others: othersOf(companions, resolved.component?.functionProbe),
        attacked,
        note,
        signal: interrupted,
      }),
  );
  const { remark } = state.deadMan ?? {};
  if (remark !== undefined) recorder.emit({ type: "warning", text: remark });
}

/** A function that cannot be looked at leaves its cell open; what the application sees is measured all the same. */
async function prepareChecks(state: RunState, nodes: readonly string[]): Promise<FunctionChecks | undefined> {
  try {
    return await state.context.view.step(
      "set up the probe of the component's own function",
      async () => await FunctionChecks.prepare(state.context, state.context.target, nodes),
    );
  } catch (error) {
    const text = `the component's own function is not measured: ${messageOf(error)}`;
    state.context.recorder.emit({ type: "warning", text });
    state.context.view.warn(text);
    return undefined;
  }
}
