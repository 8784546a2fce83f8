import { messageOf } from "../../common/errors.js";
import { runningContainers } from "../../nodes/runtime.js";
import type { TargetMonitor } from "../../targets/monitor.js";
import type { TargetWatch } from "../../targets/target-watch.js";
import type { Target } from "../../targets/target.js";
import type { RunContext } from "../context.js";
import type { AbortWatch } from "./abort-when.js";
import type { Collector } from "./collector.js";
import type { FunctionChecks } from "./function-checks.js";

/** What a run measures with, from the deployment on. */
export interface Measuring {
  /** Nodes that are attacked; empty where the target is a workload. */
  readonly nodes: readonly string[];
  readonly watch: TargetMonitor;
  /** What is suppressed before the target. */
  readonly companions: readonly { readonly target: Target; readonly watch: TargetWatch }[];
  /** Looks at the component's own function, where it has a probe of its own. */
  readonly looks?: FunctionChecks;
  /** The experiment's own conditions that end the window early, where it has any. */
  readonly abortWhen?: AbortWatch;
}

/** What the live line tells of: a run's state has it. */
interface Live {
  readonly context: Pick<RunContext, "view">;
  readonly collector: Pick<Collector, "health">;
  readonly measuring: Pick<Measuring, "watch">;
}

/** One live line: probes, kills, endpoints. */
export function showLive({ context, collector, measuring }: Live, kills: number, note?: string): void {
  const { ok, failing } = collector.health.counts;
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
const RUNTIME_EVERY_MS = 5000;

const RUNTIME_TIMEOUT_MS = 5000;

/** First question after the attack began: by then the first kill has had its effect. */
const RUNTIME_FIRST_MS = 3000;
