import { functionFacts } from "../../components/functions.js";
import { AUTOSCALERS, DEPLOYMENTS, get, preferredVersion, resourcePath } from "../../kube/api.js";
import { ApiError } from "../../kube/transport.js";
import { MANAGED_BY, MANAGED_BY_LABEL, type Manifest, workloadManifest } from "../../own/manifest.js";
import type { PodSource } from "../../own/pod-spec.js";
import { ChaosError } from "../../common/errors.js";
import {
  CANARY_LABEL,
  createCanary,
  made,
  IDLE,
  podsAreAdmitted,
  podSpec,
  runNames,
  canaryNeeds,
  MAKE,
} from "./canary.js";
import type { FunctionContext, FunctionCheck, Observation } from "./function-check.js";
import { asked, attempt, CheckTime, preparation, seconds, type Seen } from "./attempt.js";
import { checkNeeds } from "./function-check.js";

const FACTS = functionFacts("metrics-are-served");
const EVERY_MS = 500;
/** Metrics of a new pod take up to two scrapes, then the HPA's interval. */
const PREPARE_LIMIT_MS = 120_000;
/** metrics-server scrapes once a minute by default: an older sample missed a scrape. */
const OLDEST_MS = 90_000;
const GROUP = "metrics.k8s.io";

const INSTALL = "Check that metrics-server is installed (chaos cluster up --addons)";

/** metrics-server: metrics.k8s.io serves fresh samples, and an HPA can use them. */
export const metricsAreServed: FunctionCheck = {
  ...FACTS,
  needs: (canaries) => [
    ...canaryNeeds(canaries, ["create"], "pods"),
    ...canaryNeeds(canaries, MAKE, "apps/deployments"),
    ...canaryNeeds(canaries, MAKE, "autoscaling/horizontalpodautoscalers"),
    ...checkNeeds("the samples that it serves", ["list"], { resource: `${GROUP}/nodes` }),
  ],
  async prepare(context) {
    const { transport, clock } = context;
    const lookup = preferredVersion(transport, GROUP, preparation(context, PREPARE_LIMIT_MS).call());
    const version = await made(`finding ${GROUP}`, lookup);
    if (version === undefined)
      throw new ChaosError(
        `cannot check metrics: the cluster has no API ${GROUP}, because no APIService registers it. ${INSTALL}`,
      );
    const canary = new MetricsCanary(context, resourcePath({ group: GROUP, version, resource: "nodes" }));
    await canary.prepare(preparation(context, PREPARE_LIMIT_MS));
    return { look: async (signal) => await canary.check(new CheckTime(clock, FACTS.deadlineMs, signal)) };
  },
};

/** The answer of metrics.k8s.io. `refused`: any status other than 200. */
type Served = Seen<string> & { readonly refused?: boolean };

interface NodeMetrics {
  readonly items?: readonly { readonly metadata: { readonly name: string }; readonly timestamp?: string }[];
}

interface Condition {
  readonly type: string;
  readonly status: string;
  readonly reason?: string;
  readonly message?: string;
  readonly lastTransitionTime?: string;
}

interface Hpa {
  readonly status?: { readonly conditions?: readonly Condition[] };
}

class MetricsCanary {
  readonly #context: FunctionContext;
  readonly #nodeMetrics: string;
  readonly #name: string;

  /** @param nodeMetrics path of the nodes' metrics. */
  constructor(context: FunctionContext, nodeMetrics: string) {
    this.#context = context;
    this.#nodeMetrics = nodeMetrics;
    this.#name = runNames(context, "metrics").next();
  }

  /** @throws ChaosError if the HPA does not work in time. */
  async prepare(check: CheckTime): Promise<void> {
    const { transport, namespace } = this.#context;
    await podsAreAdmitted(this.#context);
    const deployments = resourcePath(DEPLOYMENTS, namespace);
    const deployment = workload(this.#context.pods, namespace, this.#name);
    await made("the canary Deployment", createCanary(transport, deployments, deployment, check.call()));
    const hpa = autoscaler(namespace, this.#name);
    const collection = resourcePath(AUTOSCALERS, namespace);
    await made("the canary HorizontalPodAutoscaler", createCanary(transport, collection, hpa, check.call()));
    const ready = await check.until(1_000, async () => await this.#both(check));
    if ("not" in ready)
      throw new ChaosError(
        `metrics do not work before the attack: ${ready.not} after ${seconds(check.tookMs)}. ${INSTALL}`,
      );
  }

  async check(check: CheckTime): Promise<Observation> {
    /** Once set, the check is absent whatever follows. */
    let refusal: string | undefined;
    const found = await check.until<Observation>(EVERY_MS, async () => {
      const [served, active] = [await this.#served(check), await this.#active(check)];
      if (served.refused === true) refusal ??= wordsOf(served);
      const present = refusal === undefined && !("not" in served) && active.status === "True";
      const evidence = `${refusal ?? wordsOf(served)}; ${active.words}`;
      // Wait until the HPA notices, too: the time is evidence, but does not change the result.
      const known = refusal !== undefined && active.status !== undefined && active.status !== "True";
      return present || known ? { done: { present, evidence } } : { not: evidence };
    });
    return "not" in found
      ? { present: false, evidence: `after ${seconds(check.tookMs)}: ${found.not}` }
      : found.done;
  }

  async #both(check: CheckTime): Promise<Seen<true>> {
    const [served, active] = [await this.#served(check), await this.#active(check)];
    if (!("not" in served) && active.status === "True") return { done: true };
    return { not: `${wordsOf(served)}; ${active.words}` };
  }

  /** Whether every node has a fresh sample by the API server's clock. */
  async #served(check: CheckTime): Promise<Served> {
    const { transport, nodes } = this.#context;
    const request = { ...check.call(), method: "GET", path: this.#nodeMetrics } as const;
    let refused = false;
    const seen = await asked<string>(
      transport.request(request).then((response) => {
        refused = response.status !== 200;
        if (refused) throw new ApiError(request, response);
        return freshness(itemsOf(response.body), nodes, serverTime(response.headers.date));
      }),
    );
    return { ...seen, refused };
  }

  /** The HPA's ScalingActive condition. */
  async #active(check: CheckTime): Promise<{ status?: string; words: string }> {
    const { transport, namespace } = this.#context;
    const hpa = await attempt(
      get<Hpa>(transport, resourcePath(AUTOSCALERS, namespace, this.#name), check.call()),
    );
    if ("not" in hpa) return { words: `the HPA could not be read (${hpa.not})` };
    const condition = hpa.done.status?.conditions?.find(({ type }) => type === "ScalingActive");
    if (condition === undefined) return { words: "the HPA has no ScalingActive condition" };
    const { status, reason = "", message = "", lastTransitionTime = "?" } = condition;
    // If it is True, the message adds nothing to the reason.
    const why = status === "True" ? reason : `${reason}: ${message.slice(0, 200)}`;
    return { status, words: `HPA ScalingActive=${status} since ${lastTransitionTime} (${why})` };
  }
}

function wordsOf(served: Served): string {
  return "not" in served ? `metrics.k8s.io: ${served.not}` : `metrics.k8s.io: ${served.done}`;
}

/** Empty if the body is not a list. */
function itemsOf(body: Buffer): NonNullable<NodeMetrics["items"]> {
  try {
    return (JSON.parse(body.toString("utf8")) as NodeMetrics).items ?? [];
  } catch {
    return [];
  }
}

/** Whether each node has a fresh sample. Pure. @param nowMs the clock of the server that answered, since the epoch. */
function freshness(
  items: NonNullable<NodeMetrics["items"]>,
  nodes: readonly string[],
  nowMs: number,
): Seen<string> {
  const ages = new Map(items.map((item) => [item.metadata.name, nowMs - Date.parse(item.timestamp ?? "")]));
  const missing = nodes.filter((node) => !ages.has(node));
  if (missing.length > 0) return { not: `no sample of ${missing.join(", ")}` };
  // Negated, so that an unreadable time counts as stale.
  const stale = nodes.filter((node) => !((ages.get(node) ?? Infinity) <= OLDEST_MS));
  const known = nodes.map((node) => ages.get(node) ?? Infinity);
  const words = `samples of ${nodes.length} nodes, the newest ${seconds(Math.min(...known))} old, the oldest ${seconds(Math.max(...known))}`;
  return stale.length > 0 ? { not: `${words}; too old: ${stale.join(", ")}` } : { done: words };
}

/** The time of an answer, in whole seconds. Without a Date header (a proxy's answer): this machine's time. */
function serverTime(date: string | string[] | undefined): number {
  const time = typeof date === "string" ? Date.parse(date) : Number.NaN;
  return Number.isNaN(time) ? Date.now() : time;
}

/** An idle pod: under load the HPA would scale it and burden the nodes. */
function workload(pods: PodSource, namespace: string, name: string): Manifest {
  return workloadManifest({
    kind: "Deployment",
    namespace,
    name,
    labels: { [CANARY_LABEL]: name },
    replicas: 1,
    podSpec: podSpec(pods, { command: IDLE, resources: { requests: { cpu: "10m" } } }),
  });
}

function autoscaler(namespace: string, name: string): Manifest {
  return {
    apiVersion: `${AUTOSCALERS.group}/${AUTOSCALERS.version}`,
    kind: "HorizontalPodAutoscaler",
    metadata: { name, namespace, labels: { [MANAGED_BY_LABEL]: MANAGED_BY } },
    spec: {
      scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name },
      minReplicas: 1,
      maxReplicas: 2,
      metrics: [
        {
          type: "Resource",
          resource: { name: "cpu", target: { type: "Utilization", averageUtilization: 50 } },
        },
      ],
    },
  };
}
