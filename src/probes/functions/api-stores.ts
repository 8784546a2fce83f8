import { functionFacts } from "../../components/functions.js";
import { CONFIGMAPS, get, resourcePath } from "../../kube/api.js";
import type { ConfigMap } from "../../kube/objects.js";
import { MANAGED_BY, MANAGED_BY_LABEL, type Manifest } from "../../own/manifest.js";
import { createCanary, Leftovers, runNames, canaryNeeds, MAKE } from "./canary.js";
import type { FunctionCheck } from "./function-check.js";
import { attempt, CheckTime } from "./attempt.js";

const FACTS = functionFacts("api-stores");

/** kube-apiserver, etcd: one write and one read. No retries: they would hide an outage of the API. */
export const apiStores: FunctionCheck = {
  ...FACTS,
  needs: (canaries) => canaryNeeds(canaries, [...MAKE, "delete"], "configmaps"),
  async prepare(context) {
    const { transport, clock, namespace } = context;
    const names = runNames(context, "store");
    const leftovers = new Leftovers(transport);
    const collection = resourcePath(CONFIGMAPS, namespace);
    return await Promise.resolve({
      async look(signal) {
        const check = new CheckTime(clock, FACTS.deadlineMs, signal);
        const name = names.next();
        const path = resourcePath(CONFIGMAPS, namespace, name);
        leftovers.add(path);
        try {
          const written = await attempt(
            createCanary(transport, collection, configMap(namespace, name), check.call(FACTS.deadlineMs)),
          );
          if ("not" in written) return { present: false, evidence: `the write failed: ${written.not}` };
          const writtenMs = check.tookMs;
          const read = await attempt(get<ConfigMap>(transport, path, check.call(FACTS.deadlineMs)));
          if ("not" in read) return { present: false, evidence: `the read failed: ${read.not}` };
          const same = read.done.data?.name === name;
          const times = `written in ${Math.round(writtenMs)} ms, read in ${Math.round(check.tookMs - writtenMs)} ms`;
          return { present: same, evidence: same ? times : `${times}, but the content differs` };
        } finally {
          await leftovers.sweep();
        }
      },
    });
  },
};

function configMap(namespace: string, name: string): Manifest {
  return {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name, namespace, labels: { [MANAGED_BY_LABEL]: MANAGED_BY } },
    data: { name },
  };
}
