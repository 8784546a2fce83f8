import { quantity } from "../../kube/quota.js";
import { condition, type Found } from "../condition.js";
import { componentOfPod, nameOf, podKey } from "../keys.js";
import { few, kubectl } from "../words.js";
import { percent } from "../../common/figures.js";

/** At the limit the kernel kills a process of the container. The usage includes active page cache. A choice. */
const NEAR = 0.9;

export const memoryNearLimit = condition({
  looksAt: "memory near its limit",
  needs: ["pods", "podMetrics"],
  judge: (facts): Found[] =>
    facts.pods.flatMap((pod) => {
      const metrics = facts.podMetrics.find((each) => nameOf(each) === nameOf(pod));
      const near = (metrics?.containers ?? []).flatMap(({ name, usage }) => {
        const limit = pod.spec?.containers.find((each) => each.name === name)?.resources?.limits?.["memory"];
        const share = quantity(usage.memory ?? "") / quantity(limit ?? "");
        return share >= NEAR
          ? [`container ${name} uses ${usage.memory} of ${limit} (${percent(share)})`]
          : [];
      });
      if (near.length === 0) return [];
      const component = componentOfPod(pod, facts);
      return [
        {
          finding: {
            code: "memory-near-limit",
            severity: "warning",
            ...(component === undefined ? {} : { component }),
            title: `Pod ${nameOf(pod)} is near its memory limit`,
            evidence: few(near),
            cure: `Raise the limit, or find what grows: ${kubectl(facts, "-n", pod.metadata.namespace ?? "", "top", "pod", pod.metadata.name, "--containers")}. At the limit the container is killed (OOMKilled)`,
          },
          about: [`memory of ${podKey(pod)}`],
        },
      ];
    }),
});
