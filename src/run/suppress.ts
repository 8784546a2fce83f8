import { createAttack } from "../attacks/index.js";
import type { RunningAttack } from "../attacks/attack.js";
import { runningContainers } from "../cluster/runtime.js";
import { messageOf } from "../errors.js";
import type { Target } from "../target/target.js";
import type { TargetWatch } from "../target/target-watch.js";
import type { Collector } from "./collector.js";
import type { RunContext } from "./context.js";

/** How often the nodes' runtimes are asked what really runs, ms. */
const RUNTIME_EVERY_MS = 5_000;
const RUNTIME_TIMEOUT_MS = 5_000;
/** First question after the attack began: by then the first kill has had its effect. */
const RUNTIME_FIRST_MS = 3_000;
/** Sockets that are opened before the first kill. */
const WARM_SOCKETS = 4;
/** API servers close a socket that nothing was sent on; a request each so often keeps them open, ms. */
const KEEP_WARM_EVERY_MS = 20_000;
/** How often the live line is drawn anew, ms. */
const LIVE_EVERY_MS = 250;

export interface Measuring {
  readonly target: Target;
  readonly watch: TargetWatch;
  readonly collector: Collector;
  /** Ends the window early, beside the user's signal: the lock was lost, a watch died. */
  readonly abort: AbortSignal;
}

/**
 * The outage window: starts the attack, keeps it up for the window's time, asks the runtimes meanwhile, stops
 * it. The attack is stopped whatever happens.
 */
export async function suppress(context: RunContext, measuring: Measuring): Promise<RunningAttack> {
  const { clock, recorder, resolved, transport, view, interrupted } = context;
  const windowMs = resolved.experiment.phases.window;
  const attack = createAttack(resolved.attack);
  const stopped = AbortSignal.any([interrupted, measuring.abort]);
  await transport.warm(WARM_SOCKETS);
  recorder.emit({ type: "phase", phase: "window", state: "start" });
  view.phase("window", windowMs);
  measuring.collector.health.startCounting();
  const running = attack.start({
    transport,
    target: measuring.target,
    watch: measuring.watch,
    emit: recorder.emit,
    now: clock.now,
    setTimeout: (work, ms) => setTimeout(work, ms),
  });
  const end = clock.now() + windowMs;
  const ended = new AbortController();
  const sideWork = Promise.all([
    askRuntimes(context, measuring.target, ended.signal),
    keepWarm(context, ended.signal),
  ]);
  try {
    while (clock.now() < end && !stopped.aborted) {
      showLive(context, measuring, running.kills);
      await clock.sleep(Math.min(LIVE_EVERY_MS, end - clock.now()), stopped);
    }
    const { lastError } = running;
    if (lastError !== undefined)
      recorder.emit({ type: "warning", text: `a deletion did not go through: ${messageOf(lastError)}` });
  } finally {
    // First of all: nothing of the target is deleted after this line.
    await running.stop();
    recorder.emit({ type: "phase", phase: "window", state: "end" });
    ended.abort();
    await sideWork;
    view.phaseEnd("window");
  }
  return running;
}

/** One live line: probes, kills, endpoints. */
export function showLive(
  context: RunContext,
  measuring: Pick<Measuring, "watch" | "collector">,
  kills: number,
  note?: string,
): void {
  const { ok, failing } = measuring.collector.health.counts;
  context.view.live({
    ok,
    failing,
    kills,
    endpointsReady: measuring.watch.endpointsReady,
    ...(note === undefined ? {} : { note }),
  });
}

/** Asks every node's runtime, each so often, which containers of the target run. */
async function askRuntimes(context: RunContext, target: Target, signal: AbortSignal): Promise<void> {
  const { clock, nodeAccess } = context;
  if (nodeAccess === undefined) return;
  await clock.sleep(RUNTIME_FIRST_MS, signal);
  while (!signal.aborted) {
    const startedAt = clock.now();
    await askRuntimesOnce(context, target);
    await clock.sleep(Math.max(0, RUNTIME_EVERY_MS - (clock.now() - startedAt)), signal);
  }
}

/** One question to each node; the answer, or that there was none, becomes an event. */
export async function askRuntimesOnce(context: RunContext, target: Target): Promise<void> {
  const { nodes, nodeAccess, recorder } = context;
  if (nodeAccess === undefined) return;
  await Promise.all(
    nodes.map(async (node) => {
      const name = node.metadata.name;
      try {
        const running = await runningContainers(nodeAccess, name, target, RUNTIME_TIMEOUT_MS);
        recorder.emit({ type: "runtime", node: name, running });
      } catch (error) {
        recorder.emit({
          type: "runtime",
          node: name,
          running: [],
          error: messageOf(error).split("\n")[0] ?? "",
        });
      }
    }),
  );
}

async function keepWarm(context: RunContext, signal: AbortSignal): Promise<void> {
  for (;;) {
    await context.clock.sleep(KEEP_WARM_EVERY_MS, signal);
    if (signal.aborted) return;
    // Only a convenience for the next deletion: one that fails is no event of the run.
    await context.transport.warm(WARM_SOCKETS).catch(() => undefined);
  }
}
