import { messageOf } from "../../common/errors.js";
import { usableNodes } from "../../nodes/left-out.js";
import { runningContainers } from "../../nodes/runtime.js";
import type { TargetMonitor } from "../../targets/monitor.js";
import type { TargetWatch } from "../../targets/target-watch.js";
import type { Target } from "../../targets/target.js";
import type { RunContext } from "../context.js";
import type { AbortWatch } from "./abort-when.js";
import type { Collector } from "./collector.js";
import type { FunctionChecks } from "./function-checks.js";

/** The measuring parts of a run, from the deployment on. */
export interface Measuring {
  /** The attacked nodes; empty if the target is a workload. */
  readonly nodes: readonly string[];
  readonly watch: TargetMonitor;
  /** Workloads that are suppressed before the target. */
  readonly companions: readonly { readonly target: Target; readonly watch: TargetWatch }[];
  /** Checks of the component's own function, if it has one. */
  readonly functionChecks?: FunctionChecks;
  /** The experiment's conditions that end the window early, if it has any. */
  readonly abortWhen?: AbortWatch;
}

/** The parts of a run's state that the live line shows. */
interface Live {
  readonly context: Pick<RunContext, "view" | "clock">;
  readonly collector: Pick<Collector, "health" | "lanes">;
  readonly measuring: Pick<Measuring, "watch">;
}

/** The live view: writes, lanes of all probes, kills, endpoints. */
export function showLive({ context, collector, measuring }: Live, kills: number, note?: string): void {
  const { ok, failing } = collector.health.counts;
  context.view.live({
    ok,
    failing,
    kills,
    endpointsReady: measuring.watch.endpointsReady,
    lanes: collector.lanes.at(context.clock.now()),
    ...(note === undefined ? {} : { note }),
  });
}

/** Repeatedly asks every node's container runtime which containers of the target run. */
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

/** Asks each node once. The answer, or its absence, becomes an event. */
export async function askRuntimesOnce(context: RunContext, target: Target): Promise<void> {
  const { nodes, nodeAccess, recorder } = context;
  if (nodeAccess === undefined) return;
  await Promise.all(
    usableNodes(nodes).map(async (node) => {
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

/** How often the nodes' container runtimes are asked, ms. */
const RUNTIME_EVERY_MS = 5000;

const RUNTIME_TIMEOUT_MS = 5000;

/** Delay of the first request after the attack starts, ms: by then the first kill has had its effect. */
const RUNTIME_FIRST_MS = 3000;
