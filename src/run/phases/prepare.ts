import { podSource } from "../../application/own-pods.js";
import { within } from "../../common/clock.js";
import { messageOf } from "../../common/errors.js";
import { othersOf } from "../../safety/dead-man/dead-man-preflight.js";
import { deployDeadMan } from "../../safety/dead-man/deploy-dead-man.js";
import { isNodeTarget } from "../../targets/target.js";
import { watchStory } from "../measuring/cluster-story.js";
import { FunctionChecks } from "../measuring/function-checks.js";
import { readCgroups, untilAnswered } from "../measuring/probers.js";
import { abortWatch, watchApplication, watchTarget, watchWorkload } from "../measuring/watches.js";
import type { RunState } from "../run-state.js";
import { attackedNodes } from "./attacked-nodes.js";
import { deploy } from "./deploy.js";
import { mayConclude } from "./known-inconclusive.js";
import { lookAtNodes } from "./look-at-nodes.js";
import { rehearse, warmUp } from "./warm-up.js";

/** Limit for the first list of all watches, ms. Once every probe is good, they have normally finished it long ago. */
const SYNC_LIMIT_MS = 30_000;

/** Everything before the baseline. @returns false when the run must not continue; an event says why. */
export async function prepare(state: RunState): Promise<boolean> {
  const { context, collector, stop } = state;
  const { view, clock, interrupted } = context;
  try {
    await lookAtNodes(state);
    if (interrupted.aborted) return false;
    await deploy(context);
    if (interrupted.aborted) return false;
    const nodes = await chooseNodes(state);
    const watching = watchTarget(state, nodes);
    state.follow(watching.started.done);
    state.follow(watchStory(context, nodes, state.abort.signal));
    const application = watchApplication(state);
    state.follow(application.done);
    const companions = context.companions.map((target) => {
      const watch = watchWorkload(state, target);
      state.follow(watch.started.done);
      return { target, ...watch };
    });
    await collector.start(nodes);
    const notMeasured = [...state.facts.notMeasured, ...collector.notMeasured];
    state.facts = { ...state.facts, sources: collector.sources, notMeasured };
    await addCgroups(state);
    const functionChecks = await prepareChecks(state, nodes);
    if (!mayConclude(state)) return false;
    // By now the journal names every namespace that the dead-man's switch may have to remove.
    if (context.deadMan) await setDeadMan(state, nodes);
    const abortWhen = abortWatch(context, collector);
    state.measuring = {
      nodes,
      watch: watching.watch,
      companions,
      ...(functionChecks === undefined ? {} : { functionChecks }),
      ...(abortWhen === undefined ? {} : { abortWhen }),
    };
    await view.step("wait until every probe is good", async (note) => await warmUp(state, note));
    const synced = [application, ...[watching, ...companions].map(({ started }) => started)];
    await within(
      clock,
      { limitMs: SYNC_LIMIT_MS, what: "not every watch has finished its first list", signal: stop },
      Promise.all(synced.map(async (each) => await each.synced)),
    );
    if (stop.aborted) return false;
    await rehearse(state);
    return !stop.aborted && mayConclude(state);
  } finally {
    await state.writeFacts();
  }
}

/** The probers see which version of control groups their nodes have. */
async function addCgroups(state: RunState): Promise<void> {
  const { environment } = state.facts;
  if (environment === undefined) return;
  const { transport, clock, interrupted: signal } = state.context;
  const { sources } = state.facts;
  const cgroups = await untilAnswered({ clock, signal }, async () => await readCgroups(transport, sources));
  state.facts = { ...state.facts, environment: { ...environment, cgroups } };
}

/** Chooses the attacked nodes of a node target and adds them to the facts. */
async function chooseNodes(state: RunState): Promise<readonly string[]> {
  const { target } = state.context;
  if (!isNodeTarget(target)) return [];
  const nodes = await attackedNodes(state.context, target);
  if (state.facts.target !== undefined)
    state.facts = { ...state.facts, target: { ...state.facts.target, nodes } };
  return nodes;
}

/** @throws ChaosError when the switch does not become ready: then the attack must not start. */
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
    pods,
  } = state.context;
  state.deadMan = await view.step(
    "deploy the dead-man's switch",
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
        pods: podSource(pods),
        note,
        signal: interrupted,
      }),
  );
  const { remark } = state.deadMan ?? {};
  if (remark !== undefined) recorder.emit({ type: "warning", text: remark });
}

/** If the function cannot be checked, the state has the reason. */
async function prepareChecks(state: RunState, nodes: readonly string[]): Promise<FunctionChecks | undefined> {
  try {
    return await state.context.view.step(
      "set up the check of the component's own function",
      async () =>
        await FunctionChecks.prepare(state.context, state.context.target, nodes, state.collector.sources),
    );
  } catch (error) {
    state.noFunctionCheck = `the check of it cannot be set up: ${messageOf(error)}`;
    return undefined;
  }
}
