import { functionFacts } from "../../components/functions.js";
import type { FunctionContext, FunctionCheck, Observation } from "./function-check.js";
import { runNames } from "./canary.js";
import { Probers } from "./from-probers.js";
import { attempt, CheckTime, seconds } from "./attempt.js";
import { onItsWayMs, Sink, type SinkAnswer, sinkNeeds } from "./sink.js";

const FACTS = functionFacts("logs-arrive");
const EVERY_MS = 300;
const FOLLOW_UP_MS = 5_000;

/** The log agent (fluentd in the study): a line that a container prints on any node reaches the sink. */
export const logsArrive: FunctionCheck = {
  ...FACTS,
  needs: sinkNeeds,
  async prepare(context) {
    const sink = await Sink.find(context);
    const probers = await Probers.find(context);
    const lines = new LogLines(context, probers, sink);
    return {
      look: async (signal) => await lines.check(new CheckTime(context.clock, FACTS.deadlineMs, signal)),
      followUp: async (id) => await lines.followUp(id, new CheckTime(context.clock, FOLLOW_UP_MS)),
    };
  },
};

class LogLines {
  readonly #probers: Probers;
  readonly #sink: Sink;
  readonly #ids;
  /** Nodes whose probers printed the line of an id. */
  readonly #printed = new Map<string, readonly string[]>();

  constructor(context: FunctionContext, probers: Probers, sink: Sink) {
    this.#probers = probers;
    this.#sink = sink;
    this.#ids = runNames(context, "log");
  }

  async check(check: CheckTime): Promise<Observation> {
    await this.#probers.refresh(check);
    const id = this.#ids.next();
    const { printed, notAsked } = await this.#print(id, check);
    const suffix = notAsked.length === 0 ? "" : `; not asked: ${notAsked.join(", ")}`;
    if (printed.size === 0) return { present: false, evidence: `${id}: no prober printed a line${suffix}` };
    this.#printed.set(id, [...printed.keys()]);
    const arrived = new Map<string, number>();
    const all = await check.until(EVERY_MS, async () => {
      const answer = await this.#sink.logs(id, check);
      for (const [node, sentMs] of printed) {
        const entry = arrivedLine(answer, id, node);
        if (entry !== undefined && !arrived.has(node))
          arrived.set(node, onItsWayMs(check.tookMs - sentMs, answer, entry));
      }
      const missing = [...printed.keys()].filter((node) => !arrived.has(node));
      return missing.length === 0 ? { done: true } : { not: `none from ${missing.join(", ")}` };
    });
    const delays = [...arrived].map(([node, ms]) => `${node} after ${seconds(ms)}`).join(", ");
    const counted = `${id}: ${arrived.size} of ${printed.size} lines arrived${delays === "" ? "" : ` (${delays})`}`;
    if (!("not" in all)) return { present: true, evidence: `${counted}${suffix}` };
    return { present: false, evidence: `${counted}; ${all.not}${suffix}`, pendingId: id };
  }

  async followUp(id: string, check: CheckTime): Promise<{ arrived: boolean; evidence: string }> {
    const nodes = this.#printed.get(id) ?? [];
    let found: readonly string[] = [];
    const seen = await check.until(EVERY_MS, async () => {
      const answer = await this.#sink.logs(id, check);
      found = nodes.filter((node) => arrivedLine(answer, id, node) !== undefined);
      return found.length === nodes.length ? { done: true } : { not: "some are missing" };
    });
    const counted = `${id}: ${found.length} of ${nodes.length} lines have arrived so far`;
    const names = found.length === 0 ? "" : ` (${found.join(", ")})`;
    return {
      arrived: nodes.length > 0 && !("not" in seen),
      evidence: `${counted}${names}`,
    };
  }

  /** When each node's line was printed, ms since the start of the check; which probers did not answer, and why. */
  async #print(id: string, check: CheckTime): Promise<{ printed: Map<string, number>; notAsked: string[] }> {
    const printed = new Map<string, number>();
    const notAsked: string[] = [];
    await Promise.all(
      this.#probers.known.map(async (prober) => {
        const done = await attempt(this.#probers.print(prober, lineOf(id, prober.node), check));
        if ("not" in done) notAsked.push(`${prober.node} (${done.not})`);
        else printed.set(prober.node, check.tookMs);
      }),
    );
    return { printed: new Map([...printed].sort()), notAsked };
  }
}

/** The dot ends the node's name: "worker" is a prefix of "worker2". */
function lineOf(id: string, node: string): string {
  return `${id} on node ${node}.`;
}

function arrivedLine(
  answer: SinkAnswer,
  id: string,
  node: string,
): SinkAnswer["entries"][number] | undefined {
  return answer.entries.find(({ text }) => text?.includes(lineOf(id, node)) === true);
}
