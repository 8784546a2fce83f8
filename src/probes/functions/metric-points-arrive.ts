import { ChaosError } from "../../common/errors.js";
import { functionFacts } from "../../components/functions.js";
import type { FunctionCheck } from "./function-check.js";
import { CheckTime, preparation, seconds } from "./attempt.js";
import { Sink, type SinkMetrics, sinkNeeds } from "./sink.js";

const FACTS = functionFacts("metric-points-arrive");
const EVERY_MS = 500;
/** Two intervals of an agent that sends once a minute, plus a margin. */
const PREPARE_LIMIT_MS = 150_000;

/** The metrics agent (heapster in the study): metric points of each node reach the sink. */
export const metricPointsArrive: FunctionCheck = {
  ...FACTS,
  needs: sinkNeeds,
  async prepare(context) {
    const { clock } = context;
    const sink = await Sink.find(context);
    const nodes = await nodesOf(sink, preparation(context, PREPARE_LIMIT_MS));
    return {
      async look(signal) {
        const check = new CheckTime(clock, FACTS.deadlineMs, signal);
        let startedAt: number | undefined;
        let ages = "";
        const fresh = await check.until(EVERY_MS, async () => {
          const tookMs = check.tookMs;
          const metrics = await sink.metrics(check);
          // The start of the check in the sink's clock. A point received before it does not count.
          startedAt ??= metrics.now - (check.tookMs + tookMs) / 2;
          const since = startedAt;
          ages = nodes.map((node) => `${node} ${ageOf(metrics, node)}`).join(", ");
          const missing = nodes.filter((node) => (metrics.byNode[node]?.receivedAt ?? -Infinity) <= since);
          return missing.length === 0 ? { done: true } : { not: `no new point of ${missing.join(", ")}` };
        });
        const age = ages === "" ? "" : `; age of the newest point: ${ages}`;
        const after = seconds(check.tookMs);
        return "not" in fresh
          ? { present: false, evidence: `after ${after}: ${fresh.not}${age}` }
          : { present: true, evidence: `a new point of ${nodes.length} nodes within ${after}${age}` };
      },
    };
  },
};

/** The nodes that send points. @throws ChaosError when there are none. */
async function nodesOf(sink: Sink, check: CheckTime): Promise<string[]> {
  const found = await check.until(1_000, async () => {
    const nodes = Object.keys((await sink.metrics(check)).byNode).sort();
    return nodes.length === 0 ? { not: "the sink has no points of any node" } : { done: nodes };
  });
  if ("not" in found) throw new ChaosError(`no metric points arrive: ${found.not}`);
  return found.done;
}

function ageOf(metrics: SinkMetrics, node: string): string {
  const point = metrics.byNode[node];
  return point === undefined ? "none" : seconds(metrics.now - point.receivedAt);
}
