import { resourcePath, EVENTS } from "../../kube/api.js";
import { functionFacts } from "../../components/functions.js";

import { MANAGED_BY, MANAGED_BY_LABEL, type Manifest } from "../../own/manifest.js";
import { createCanary, runNames, canaryNeeds, MAKE } from "./canary.js";
import type { FunctionCheck } from "./function-check.js";
import { attempt, CheckTime, seconds } from "./attempt.js";
import { onItsWayMs, Sink, type SinkAnswer, sinkNeeds } from "./sink.js";

const FACTS = functionFacts("events-arrive");
const EVERY_MS = 300;
const FOLLOW_UP_MS = 5_000;

/** event-exporter: a new Event reaches the sink. */
export const eventsArrive: FunctionCheck = {
  ...FACTS,
  needs: (canaries) => [...sinkNeeds(), ...canaryNeeds(canaries, MAKE, "events")],
  async prepare(context) {
    const { transport, clock, namespace } = context;
    const sink = await Sink.find(context);
    const names = runNames(context, "event");
    const collection = resourcePath(EVENTS, namespace);
    return {
      async look(signal) {
        const check = new CheckTime(clock, FACTS.deadlineMs, signal);
        const name = names.next();
        const created = await attempt(
          createCanary(transport, collection, event(namespace, name), check.call()),
        );
        if ("not" in created)
          return { present: false, evidence: `Event ${name} could not be created: ${created.not}` };
        const sentMs = check.tookMs;
        const arrived = await check.until(EVERY_MS, async () => {
          const answer = await sink.events(name, check);
          const entry = arrivedEvent(answer, name);
          return entry === undefined
            ? { not: "it has not arrived" }
            : { done: onItsWayMs(check.tookMs - sentMs, answer, entry) };
        });
        return "not" in arrived
          ? {
              present: false,
              evidence: `Event ${name} after ${seconds(check.tookMs)}: ${arrived.not}`,
              pendingId: name,
            }
          : { present: true, evidence: `Event ${name} arrived after ${seconds(arrived.done)}` };
      },
      async followUp(name) {
        const check = new CheckTime(clock, FOLLOW_UP_MS);
        const arrived = await check.until(EVERY_MS, async () => {
          const entry = arrivedEvent(await sink.events(name, check), name);
          return entry === undefined ? { not: "still missing" } : { done: "arrived late" };
        });
        return {
          arrived: !("not" in arrived),
          evidence: `Event ${name}: ${"not" in arrived ? arrived.not : arrived.done}`,
        };
      },
    };
  },
};

function arrivedEvent(answer: SinkAnswer, name: string): SinkAnswer["entries"][number] | undefined {
  return answer.entries.find(({ message }) => message?.includes(name) === true);
}

/** An Event about the canaries' namespace. The API requires an Event to be in the namespace of its object. */
function event(namespace: string, name: string): Manifest & Readonly<Record<string, unknown>> {
  // The only wall-clock times: they are for people, and nothing is computed from them.
  const now = new Date().toISOString().replace(/\.\d+Z$/, "Z");
  return {
    apiVersion: "v1",
    kind: "Event",
    metadata: { name, namespace, labels: { [MANAGED_BY_LABEL]: MANAGED_BY } },
    involvedObject: { apiVersion: "v1", kind: "Namespace", name: namespace, namespace },
    type: "Normal",
    reason: "ChaosCanary",
    message: `kube-system chaos checks whether this arrives: ${name}`,
    source: { component: MANAGED_BY },
    firstTimestamp: now,
    lastTimestamp: now,
    count: 1,
  };
}
