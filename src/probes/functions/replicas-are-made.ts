import { functionFacts } from "../../components/functions.js";
import { PODS, REPLICASETS, resourcePath } from "../../kube/api.js";
import { MANAGED_BY, MANAGED_BY_LABEL, type Manifest } from "../../own/manifest.js";
import type { PodSource } from "../../own/pod-spec.js";
import {
  CANARY_LABEL,
  canaryLabels,
  createCanary,
  Leftovers,
  podsAreAdmitted,
  podSpec,
  podsOfCanary,
  runNames,
  canaryNeeds,
  MAKE,
} from "./canary.js";
import type { FunctionCheck } from "./function-check.js";
import { attempt, CheckTime, seconds } from "./attempt.js";

const FACTS = functionFacts("replicas-are-made");
const EVERY_MS = 100;

/** kube-controller-manager: it creates the pod of a new ReplicaSet. */
export const replicasAreMade: FunctionCheck = {
  ...FACTS,
  needs: (canaries) => [
    ...canaryNeeds(canaries, ["list", "create", "delete"], "pods"),
    ...canaryNeeds(canaries, [...MAKE, "delete"], "apps/replicasets"),
  ],
  async prepare(context) {
    const { transport, clock, namespace, pods } = context;
    await podsAreAdmitted(context);
    const names = runNames(context, "set");
    const leftovers = new Leftovers(transport);
    return {
      async look(signal) {
        const check = new CheckTime(clock, FACTS.deadlineMs, signal);
        const name = names.next();
        leftovers.add(resourcePath(REPLICASETS, namespace, name));
        try {
          const collection = resourcePath(REPLICASETS, namespace);
          const set = replicaSet(pods, namespace, name);
          const created = await attempt(createCanary(transport, collection, set, check.call()));
          if ("not" in created)
            return { present: false, evidence: `ReplicaSet ${name} could not be created: ${created.not}` };
          const made = await check.until(EVERY_MS, async () => {
            const pod = (await podsOfCanary(context, name, check.call())).find(({ metadata }) =>
              (metadata.ownerReferences ?? []).some(
                (owner) => owner.controller === true && owner.name === name,
              ),
            );
            return pod === undefined ? { not: "it has no pod" } : { done: pod.metadata.name };
          });
          const after = `after ${seconds(check.tookMs)}`;
          if ("not" in made) return { present: false, evidence: `ReplicaSet ${name} ${after}: ${made.not}` };
          // The garbage collector may be down by now.
          leftovers.add(resourcePath(PODS, namespace, made.done));
          return { present: true, evidence: `ReplicaSet ${name} had pod ${made.done} ${after}` };
        } finally {
          await leftovers.sweep();
        }
      },
    };
  },
};

/** One pod that no scheduler handles: its creation is enough, and its deletion takes effect immediately. */
function replicaSet(pods: PodSource, namespace: string, name: string): Manifest {
  return {
    apiVersion: "apps/v1",
    kind: "ReplicaSet",
    metadata: { name, namespace, labels: { [MANAGED_BY_LABEL]: MANAGED_BY } },
    spec: {
      replicas: 1,
      selector: { matchLabels: { [CANARY_LABEL]: name } },
      template: {
        metadata: { labels: canaryLabels(name) },
        spec: { ...podSpec(pods, { command: ["true"] }), schedulerName: "kube-system-chaos-none" },
      },
    },
  };
}
