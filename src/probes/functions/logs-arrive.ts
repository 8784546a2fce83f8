import { functionFacts } from "../../components/functions.js";
import type { FunctionContext, FunctionCheck, Observation } from "./function-check.js";
import { runNames } from "./canary.js";
import { Probers } from "./from-probers.js";
import { attempt, Look, seconds } from "./attempt.js";
import { onItsWayMs, Sink, type SinkAnswer, sinkNeeds } from "./sink.js";

const FACTS = functionFacts("logs-arrive");
const EVERY_MS = 300;
const FOLLOW_UP_MS = 5_000;

/** fluentd: what a container prints on any node reaches the sink. */
export const logsArrive: FunctionCheck = {
  ...FACTS,
  needs: sinkNeeds,
  async prepare(context) {
    const sink = await Sink.find(context);
    const probers = await Probers.find(context);
    const lines = new LogLines(context, probers, sink);
    return {
      look: async (signal) => await lines.look(new Look(context.clock, FACTS.deadlineMs, signal)),
      followUp: async (id) => await lines.followUp(id, new Look(context.clock, FOLLOW_UP_MS)),
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

  async look(look: Look): Promise<Observation> {
    await this.#probers.refresh(look);
    const id = this.#ids.next();
    const { printed, notAsked } = await this.#print(id, look);
    const aside = notAsked.length === 0 ? "" : `; not asked: ${notAsked.join(", ")}`;
    if (printed.size === 0) return { present: false, evidence: `${id}: no prober printed a line${aside}` };
    this.#printed.set(id, [...printed.keys()]);
    const arrived = new Map<string, number>();
    const all = await look.until(EVERY_MS, async () => {
      const answer = await this.#sink.logs(id, look);
      for (const [node, sentMs] of printed) {
        const entry = arrivedLine(answer, id, node);
        if (entry !== undefined && !arrived.has(node))
          arrived.set(node, onItsWayMs(look.tookMs - sentMs, answer, entry));
      }
      const missing = [...printed.keys()].filter((node) => !arrived.has(node));
      return missing.length === 0 ? { done: true } : { not: `none from ${missing.join(", ")}` };
    });
    const delays = [...arrived].map(([node, ms]) => `${node} after ${seconds(ms)}`).join(", ");
    const counted = `${id}: ${arrived.size} of ${printed.size} lines arrived${delays === "" ? "" : ` (${delays})`}`;
    if (!("not" in all)) return { present: true, evidence: `${counted}${aside}` };
    return { present: false, evidence: `${counted}; ${all.not}${aside}`, pendingId: id };
  }

  async followUp(id: string, look: Look): Promise<{ arrived: boolean; evidence: string }> {
    const nodes = this.#printed.get(id) ?? [];
    let there: readonly string[] = [];
    const seen = await look.until(EVERY_MS, async () => {
      const answer = await this.#sink.logs(id, look);
      there = nodes.filter((node) => arrivedLine(answer, id, node) !== undefined);
      return there.length === nodes.length ? { done: true } : { not: "the others have not" };
    });
    const counted = `${id}: ${there.length} of ${nodes.length} lines have arrived by now`;
    const names = there.length === 0 ? "" : ` (${there.join(", ")})`;
    return {
      arrived: nodes.length > 0 && !("not" in seen),
      evidence: `${counted}${names}`,
    };
  }

  /** When each node's line was printed, ms of the look; which probers did not answer, and why. */
  async #print(id: string, look: Look): Promise<{ printed: Map<string, number>; notAsked: string[] }> {
    const printed = new Map<string, number>();
    const notAsked: string[] = [];
    await Promise.all(
      this.#probers.known.map(async (prober) => {
        const done = await attempt(this.#probers.print(prober, lineOf(id, prober.node), look));
        if ("not" in done) notAsked.push(`${prober.node} (${done.not})`);
        else printed.set(prober.node, look.tookMs);
      }),
    );
    return { printed: new Map([...printed].sort()), notAsked };
  }
}

/** With an end to the node's name: "worker" is the beginning of "worker2". */
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
