import { functionFacts } from "../../components/functions.js";
import { get, PODS, resourcePath } from "../../kube/api.js";
import type { Pod } from "../../kube/objects.js";
import {
  canaryPod,
  createCanary,
  Leftovers,
  podsAreAdmitted,
  runNames,
  stateOf,
  canaryNeeds,
  MAKE,
} from "./canary.js";
import type { FunctionCheck } from "./function-check.js";
import { attempt, CheckTime, seconds } from "./attempt.js";

const FACTS = functionFacts("pods-are-scheduled");
const EVERY_MS = 100;

/** kube-scheduler: a new pod gets a node. Whether the pod then runs is up to other components. */
export const podsAreScheduled: FunctionCheck = {
  ...FACTS,
  needs: (canaries) => canaryNeeds(canaries, [...MAKE, "delete"], "pods"),
  async prepare(context) {
    const { transport, clock, namespace, pods } = context;
    await podsAreAdmitted(context);
    const names = runNames(context, "pod");
    const leftovers = new Leftovers(transport);
    return {
      async look(signal) {
        const check = new CheckTime(clock, FACTS.deadlineMs, signal);
        const name = names.next();
        const path = resourcePath(PODS, namespace, name);
        leftovers.add(path);
        try {
          const pod = canaryPod({ namespace, pods, name });
          const created = await attempt(
            createCanary(transport, resourcePath(PODS, namespace), pod, check.call()),
          );
          if ("not" in created)
            return { present: false, evidence: `pod ${name} could not be created: ${created.not}` };
          const placed = await check.until(EVERY_MS, async () => {
            const live = await get<Pod>(transport, path, check.call());
            const node = live.spec?.nodeName;
            return node === undefined ? { not: stateOf(live) } : { done: node };
          });
          return "not" in placed
            ? {
                present: false,
                evidence: `pod ${name} had no node after ${seconds(check.tookMs)}: ${placed.not}`,
              }
            : {
                present: true,
                evidence: `pod ${name} was scheduled to ${placed.done} after ${seconds(check.tookMs)}`,
              };
        } finally {
          await leftovers.sweep();
        }
      },
    };
  },
};
