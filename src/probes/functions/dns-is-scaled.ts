import { functionFacts } from "../../components/functions.js";
import { type CallOptions, DEPLOYMENTS, get, patch, resourcePath } from "../../kube/api.js";
import type { Deployment } from "../../kube/objects.js";
import { MANAGED_BY } from "../../own/manifest.js";
import { ChaosError } from "../../common/errors.js";
import {
  type Correction,
  candidates,
  correcting,
  correctionNeeds,
  unlessInBetween,
  writerSince,
} from "./correction.js";
import type { FunctionContext, FunctionCheck } from "./function-check.js";

const FACTS = functionFacts("dns-is-scaled");
const NAMESPACE = "kube-system";

/** kube-dns-autoscaler: it removes a surplus replica of the cluster's DNS. */
export const dnsIsScaled: FunctionCheck = {
  ...FACTS,
  needs: (_canaries, corrected) =>
    correctionNeeds(FACTS.corrects.resource, corrected, { subresource: "scale" }),
  async prepare(context) {
    const dns = await findDns(context);
    const right = dns.spec?.replicas ?? 1;
    await context.record(
      resourcePath(DEPLOYMENTS, NAMESPACE, dns.metadata.name),
      resourcePath(DEPLOYMENTS, NAMESPACE),
      { at: ["spec", "replicas"], right, wrong: right + 1 },
    );
    return correcting(context, FACTS.deadlineMs, replicasOf(context, dns));
  },
};

/** @throws ChaosError when there is none. */
async function findDns(context: FunctionContext): Promise<Deployment> {
  const [dns] = await candidates<Deployment>(
    context,
    "the list of the cluster's DNS",
    DEPLOYMENTS,
    FACTS.corrects.labels,
  );
  if (dns === undefined)
    throw new ChaosError(
      `the cluster's DNS was not found: looked for a Deployment with k8s-app=kube-dns in ${NAMESPACE}`,
    );
  return dns;
}

function replicasOf({ transport }: FunctionContext, dns: Deployment): Correction {
  const { name } = dns.metadata;
  const path = resourcePath(DEPLOYMENTS, NAMESPACE, name);
  const scalePath = resourcePath(DEPLOYMENTS, NAMESPACE, name, "scale");
  const right = dns.spec?.replicas ?? 1;
  let changed = dns;
  const scale = async (replicas: number, options: CallOptions, resourceVersion?: string): Promise<void> => {
    const change = { metadata: { resourceVersion }, spec: { replicas } };
    await patch(transport, scalePath, change, { ...options, fieldManager: MANAGED_BY });
  };
  return {
    what: `replicas of Deployment ${name}`,
    right: String(right),
    wrong: String(right + 1),
    async setWrong(options) {
      changed = await get<Deployment>(transport, path, options);
      await scale(right + 1, options);
    },
    async isRight(options) {
      const live = await get<Deployment>(transport, path, options);
      return live.spec?.replicas === right
        ? { done: writerSince(changed, live, writesReplicas) }
        : { not: `still ${live.spec?.replicas ?? "none"}` };
    },
    setRight: async (options) =>
      await unlessInBetween(async () => {
        const { metadata, spec } = await get<Deployment>(transport, path, options);
        if (spec?.replicas !== right + 1) return String(spec?.replicas ?? "none");
        await scale(right, options, metadata.resourceVersion);
        return undefined;
      }),
  };
}

function writesReplicas(fields: object): boolean {
  const { "f:spec": spec } = fields as { "f:spec"?: object };
  return spec !== undefined && "f:replicas" in spec;
}
