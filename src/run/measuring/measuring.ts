import { messageOf } from "../../common/errors.js";
import { runningContainers } from "../../nodes/runtime.js";
import type { TargetMonitor } from "../../targets/monitor.js";
import type { TargetWatch } from "../../targets/target-watch.js";
import type { AnyTarget, Target } from "../../targets/target.js";
import type { RunContext } from "../context.js";
import type { AbortWatch } from "./abort-when.js";
import type { Collector } from "./collector.js";
import type { FunctionLooks } from "./function-checks.js";

export interface Measuring {
  readonly target: AnyTarget;
  /** Nodes that are attacked; empty where the target is a workload. */
  readonly nodes: readonly string[];
  readonly watch: TargetMonitor;
  /** What is suppressed before the target. */
  readonly companions: readonly { readonly target: Target; readonly watch: TargetWatch }[];
  readonly collector: Collector;
  /** Looks at the component's own function, where it has a probe of its own. */
  readonly looks?: FunctionLooks;
  /** Ends the window early, beside the user's signal: the lock was lost, a watch died. */
  readonly abort: AbortSignal;
  /** The experiment's own conditions that end the window early, where it has any. */
  readonly abortWhen?: AbortWatch;
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
export async function askRuntimes(context: RunContext, target: Target, signal: AbortSignal): Promise<void> {
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

/** How often the nodes' runtimes are asked what really runs, ms. */
export const RUNTIME_EVERY_MS = 5000;

export const RUNTIME_TIMEOUT_MS = 5000;

/** First question after the attack began: by then the first kill has had its effect. */
export const RUNTIME_FIRST_MS = 3000;
