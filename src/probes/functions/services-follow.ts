import { functionFacts } from "../../components/functions.js";
import { DEPLOYMENTS, get, PODS, remove, resourcePath, SERVICES } from "../../kube/api.js";
import type { Pod, Service } from "../../kube/objects.js";
import { isTerminating } from "../../kube/pod-state.js";
import { serviceManifest, workloadManifest, type Manifest } from "../../own/manifest.js";
import type { PodSource } from "../../own/pod-spec.js";
import { ChaosError } from "../../common/errors.js";
import {
  CANARY_LABEL,
  createCanary,
  isRunning,
  Leftovers,
  made,
  podsAreAdmitted,
  podSpec,
  podsOfCanary,
  runNames,
  stateOf,
  canaryNeeds,
  MAKE,
} from "./canary.js";
import { type Check, describe, type FromNode, goodFromAll, Probers, wordsOf } from "./from-probers.js";
import type { FunctionContext, FunctionCheck } from "./function-check.js";
import { attempt, CheckTime, preparation, seconds, type Seen } from "./attempt.js";

const FACTS = functionFacts("services-follow");
const EVERY_MS = 250;
const PREPARE_LIMIT_MS = 90_000;
const PORT = 8080;

/** kube-proxy: a new Service can be reached, and an existing Service follows when its pod is replaced. */
export const servicesFollow: FunctionCheck = {
  ...FACTS,
  needs: (canaries) => [
    ...canaryNeeds(canaries, ["list", "create", "delete"], "pods"),
    ...canaryNeeds(canaries, MAKE, "apps/deployments"),
    ...canaryNeeds(canaries, [...MAKE, "delete"], "services"),
  ],
  async prepare(context) {
    const probers = await Probers.find(context);
    await podsAreAdmitted(context);
    const canary = new ServiceCanary(context, probers);
    await canary.prepare();
    return {
      look: async (signal) => await canary.check(new CheckTime(context.clock, FACTS.deadlineMs, signal)),
    };
  },
};

class ServiceCanary {
  readonly #context: FunctionContext;
  readonly #probers: Probers;
  readonly #names;
  readonly #leftovers: Leftovers;
  /** Name of the backend and of the existing Service. */
  readonly #name: string;
  #address = "";

  constructor(context: FunctionContext, probers: Probers) {
    this.#context = context;
    this.#probers = probers;
    this.#names = runNames(context, "service");
    this.#leftovers = new Leftovers(context.transport);
    this.#name = this.#names.next();
  }

  /** @throws ChaosError when the backend does not answer through its Service. */
  async prepare(): Promise<void> {
    const { transport, namespace } = this.#context;
    const check = preparation(this.#context, PREPARE_LIMIT_MS);
    this.#address = await made("the canary Service", this.#createService(this.#name, check));
    const deployment = backend(this.#context.pods, namespace, this.#name);
    const collection = resourcePath(DEPLOYMENTS, namespace);
    await made("the canary Deployment", createCanary(transport, collection, deployment, check.call()));
    const pod = await this.#living(check);
    if ("not" in pod) throw new ChaosError(`the backend of the canary Service is not running: ${pod.not}`);
    const results = await this.#existing(check, pod.done);
    if (!goodFromAll(results))
      throw new ChaosError(`the canary Service does not answer: ${describe(results)}`);
  }

  async check(check: CheckTime): Promise<{ present: boolean; evidence: string }> {
    await this.#probers.refresh(check);
    const name = this.#names.next();
    this.#leftovers.add(resourcePath(SERVICES, this.#context.namespace, name));
    try {
      // In parallel: an unreachable new Service must not use up the time of the other question.
      const answers = await Promise.all([this.#newService(name, check), this.#replacedPod(check)]);
      return {
        present: answers.every(({ present }) => present),
        evidence: answers.map(({ evidence }) => evidence).join(" | "),
      };
    } finally {
      await this.#leftovers.sweep();
    }
  }

  async #newService(name: string, check: CheckTime): Promise<{ present: boolean; evidence: string }> {
    const ip = await attempt(this.#createService(name, check));
    if ("not" in ip) return { present: false, evidence: `new Service: could not be created: ${ip.not}` };
    const results = await this.#ask(check, { kind: "tcp", ip: ip.done, port: PORT }, () => true);
    return { present: goodFromAll(results), evidence: `new Service ${ip.done}: ${describe(results)}` };
  }

  async #replacedPod(check: CheckTime): Promise<{ present: boolean; evidence: string }> {
    const replaced = await this.#replace(check);
    if ("not" in replaced) {
      const evidence = `existing Service ${this.#address}: its pod could not be replaced: ${replaced.not}`;
      return { present: false, evidence };
    }
    const what = `existing Service ${this.#address}, pod ${replaced.done} in place after ${seconds(check.tookMs)}`;
    const results = await this.#existing(check, replaced.done);
    return { present: goodFromAll(results), evidence: `${what}: ${describe(results)}` };
  }

  /**
   * Deletes the backend's pod. The old pod may still be running: its answers do not count as good.
   *
   * @returns the name of the running replacement pod.
   */
  async #replace(check: CheckTime): Promise<Seen<string>> {
    const { transport, namespace } = this.#context;
    const old = await attempt(podsOfCanary(this.#context, this.#name, check.call()));
    if ("not" in old) return old;
    for (const { metadata } of old.done.filter((pod) => !isTerminating(pod))) {
      const path = resourcePath(PODS, namespace, metadata.name);
      const options = { ...check.call(), uid: metadata.uid, gracePeriodSeconds: 1 };
      const accepted = await attempt(remove(transport, path, options));
      if ("not" in accepted) return accepted;
    }
    return await this.#living(check);
  }

  /** Waits until the backend has a running pod. */
  async #living(check: CheckTime): Promise<Seen<string>> {
    return await check.until(EVERY_MS, async () => {
      const pods = await podsOfCanary(this.#context, this.#name, check.call());
      const pod = pods.find((each) => !isTerminating(each));
      if (pod === undefined) return { not: "no new pod was created" };
      return isRunning(pod) && hasAddress(pod)
        ? { done: pod.metadata.name }
        : { not: `pod ${pod.metadata.name}: ${stateOf(pod)}` };
    });
  }

  async #existing(check: CheckTime, pod: string): Promise<FromNode[]> {
    const connection: Check = { kind: "http", ip: this.#address, port: PORT, path: "/" };
    return await this.#ask(check, connection, (body) => body === pod);
  }

  async #ask(check: CheckTime, connection: Check, wanted: (body: string) => boolean): Promise<FromNode[]> {
    return await this.#probers.fromEach(check, EVERY_MS, async (prober) => {
      const checked = await this.#probers.check(prober, connection, check);
      const words = wordsOf(checked);
      return checked.ok && wanted(checked.body ?? "") ? { done: words } : { not: words };
    });
  }

  /** @returns the cluster IP. */
  async #createService(name: string, check: CheckTime): Promise<string> {
    const { transport, namespace } = this.#context;
    const labels = { [CANARY_LABEL]: this.#name };
    const manifest = serviceManifest({ namespace, name, labels, port: PORT });
    const path = resourcePath(SERVICES, namespace);
    const service = await createCanary<Service>(transport, path, manifest, check.call());
    return (
      service.spec?.clusterIP ??
      (await get<Service>(transport, `${path}/${name}`, check.call())).spec?.clusterIP ??
      ""
    );
  }
}

function hasAddress(pod: Pod): boolean {
  return (pod.status?.podIP ?? "") !== "";
}

/** Answers with its own pod name and exits immediately on SIGTERM. */
const ANSWER_NAME = `process.on("SIGTERM", () => process.exit());
require("http").createServer((q, r) => r.end(process.env.POD_NAME)).listen(${PORT});`;

function backend(pods: PodSource, namespace: string, name: string): Manifest {
  return workloadManifest({
    kind: "Deployment",
    namespace,
    name,
    labels: { [CANARY_LABEL]: name },
    replicas: 1,
    podSpec: podSpec(pods, {
      command: ["node", "-e", ANSWER_NAME],
      ports: [{ containerPort: PORT }],
      env: [{ name: "POD_NAME", valueFrom: { fieldRef: { fieldPath: "metadata.name" } } }],
    }),
  });
}
