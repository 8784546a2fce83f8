import { isDeepStrictEqual } from "node:util";
import { functionFacts } from "../../components/functions.js";
import { type CallOptions, DAEMONSETS, get, patch, resourcePath, selectorString } from "../../kube/api.js";
import { fieldAt, type FieldPath, withField } from "../../kube/field-path.js";
import type { DaemonSet } from "../../kube/objects.js";
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

const FACTS = functionFacts("fluentd-is-scaled");
const NAMESPACE = "kube-system";
const LABELS = FACTS.corrects.labels;
/** The only container whose resources the scaler sets (scaler.sh of GoogleCloudPlatform/k8s-stackdriver). */
const CONTAINER = "fluentd-gcp";
const RESOURCES: FieldPath = ["spec", "template", "spec", "containers", { name: CONTAINER }, "resources"];
/** Memory requests that no one would set; below any limit. */
const ODD = ["19Mi", "18Mi"] as const;

interface Resources {
  readonly requests?: Readonly<Record<string, string>>;
  readonly limits?: Readonly<Record<string, string>>;
}

/** fluentd-gcp-scaler: it corrects changed resources of fluentd. */
export const fluentdIsScaled: FunctionCheck = {
  ...FACTS,
  needs: (_canaries, corrected) => correctionNeeds(FACTS.corrects.resource, corrected),
  async prepare(context) {
    const fluentd = await findFluentd(context);
    const { name } = fluentd.metadata;
    const resources = resourcesOf(fluentd);
    if (Object.keys(resources).length === 0) {
      const evidence = `container ${CONTAINER} of DaemonSet ${name} had no resources when the check was set up: the scaler has not set any`;
      return { look: async () => await Promise.resolve({ present: false, evidence }) };
    }
    const wrong = wrongFor(resources);
    await context.record(resourcePath(DAEMONSETS, NAMESPACE, name), resourcePath(DAEMONSETS, NAMESPACE), {
      at: RESOURCES,
      right: resources,
      wrong,
    });
    return correcting(
      context,
      FACTS.deadlineMs,
      resourcesOfFluentd(context, fluentd, { right: resources, wrong }),
    );
  },
};

/** @throws ChaosError when there is none. */
async function findFluentd(context: FunctionContext): Promise<DaemonSet> {
  const items = await candidates<DaemonSet>(context, "the list of fluentd's DaemonSets", DAEMONSETS, LABELS);
  const found = items.find((each) => containersOf(each).some(({ name }) => name === CONTAINER));
  if (found === undefined)
    throw new ChaosError(
      `fluentd was not found: looked for a DaemonSet with ${selectorString(LABELS)} and a container ${CONTAINER} in ${NAMESPACE}`,
    );
  return found;
}

/** The same with a memory request that no one would set. */
function wrongFor(resources: Resources): Resources {
  const odd = ODD.find((memory) => memory !== resources.requests?.memory) ?? ODD[0];
  return { ...resources, requests: { ...resources.requests, memory: odd } };
}

function resourcesOfFluentd(
  { transport }: FunctionContext,
  fluentd: DaemonSet,
  { right, wrong }: { readonly right: Resources; readonly wrong: Resources },
): Correction {
  const { name } = fluentd.metadata;
  const path = resourcePath(DAEMONSETS, NAMESPACE, name);
  let changed = fluentd;
  /** The patch replaces the whole list of containers. The resourceVersion keeps it from undoing a foreign change. */
  const set = async (live: DaemonSet, value: Resources, options: CallOptions): Promise<DaemonSet> => {
    const containers = containersOf(withField(live, RESOURCES, value));
    const { resourceVersion } = live.metadata;
    const change = { metadata: { resourceVersion }, spec: { template: { spec: { containers } } } };
    return await patch<DaemonSet>(transport, path, change, { ...options, fieldManager: MANAGED_BY });
  };
  const read = async (options: CallOptions): Promise<DaemonSet> =>
    await get<DaemonSet>(transport, path, options);
  return {
    what: `resources of DaemonSet ${name}`,
    right: JSON.stringify(right),
    wrong: JSON.stringify(wrong),
    async setWrong(options) {
      changed = await unlessInBetween(async () => await set(await read(options), wrong, options));
    },
    async isRight(options) {
      const live = await read(options);
      const is = resourcesOf(live);
      return isDeepStrictEqual(is, right)
        ? { done: writerSince(changed, live, writesResources) }
        : { not: `still ${JSON.stringify(is)}` };
    },
    setRight: async (options) =>
      await unlessInBetween(async () => {
        const live = await read(options);
        const is = resourcesOf(live);
        if (!isDeepStrictEqual(is, wrong)) return JSON.stringify(is);
        await set(live, right, options);
        return undefined;
      }),
  };
}

function containersOf(fluentd: DaemonSet): { readonly name: string; readonly resources?: Resources }[] {
  return fluentd.spec?.template.spec?.containers ?? [];
}

function resourcesOf(fluentd: DaemonSet): Resources {
  return fieldAt(fluentd, RESOURCES) ?? {};
}

function writesResources(fields: object): boolean {
  return JSON.stringify(fields).includes('"f:resources"');
}
