import { get, PODS, resourcePath } from "../../kube/api.js";
import type { Pod } from "../../kube/objects.js";
import { canaryPod, createCanary, Leftovers, podsAreAdmitted, runNames, stateOf } from "./canary.js";
import type { FunctionProbe } from "./function-check.js";
import { attempt, Look, seconds } from "./attempt.js";

const DEADLINE_MS = 5_000;
const EVERY_MS = 100;

/** kube-scheduler: a pod gets a node. Whether it then runs is another component's business. */
export const podsAreScheduled: FunctionProbe = {
  name: "pods-are-scheduled",
  means: "a new pod is given a node within 5 s",
  deadlineMs: DEADLINE_MS,
  everyMs: 2_000,
  disturbs: false,
  async prepare(context) {
    const { transport, clock, namespace } = context;
    await podsAreAdmitted(context);
    const names = runNames(context, "pod");
    const leftovers = new Leftovers(transport);
    return {
      async look(signal) {
        const look = new Look(clock, DEADLINE_MS, signal);
        const name = names.next();
        const path = resourcePath(PODS, namespace, name);
        leftovers.add(path);
        try {
          const pod = canaryPod({ namespace, name });
          const created = await attempt(
            createCanary(transport, resourcePath(PODS, namespace), pod, look.call()),
          );
          if ("not" in created)
            return { present: false, evidence: `pod ${name} could not be created: ${created.not}` };
          const placed = await look.until(EVERY_MS, async () => {
            const live = await get<Pod>(transport, path, look.call());
            const node = live.spec?.nodeName;
            return node === undefined ? { not: stateOf(live) } : { done: node };
          });
          return "not" in placed
            ? {
                present: false,
                evidence: `pod ${name} had no node after ${seconds(look.tookMs)}: ${placed.not}`,
              }
            : {
                present: true,
                evidence: `pod ${name} was given ${placed.done} after ${seconds(look.tookMs)}`,
              };
        } finally {
          await leftovers.sweep();
        }
      },
    };
  },
};
