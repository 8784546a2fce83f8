/** `chaos cluster up --no-addons`: the cluster as it was before the study add-ons. */
import type { Clock } from "../common/clock.js";
import { pollUntil } from "../common/clock.js";
import { ChaosError, ExitCode, messageOf } from "../common/errors.js";
import {
  CONFIGMAPS,
  DAEMONSETS,
  DEPLOYMENTS,
  getOrUndefined,
  type Gvr,
  list,
  NAMESPACES,
  PODS,
  remove,
  resourcePath,
  selectorString,
  SERVICES,
} from "../kube/api.js";
import type { KubeObject, Pod } from "../kube/objects.js";
import { isTerminating } from "../kube/pod-state.js";
import type { Transport } from "../kube/transport.js";
import { isOwn } from "../own/manifest.js";
import {
  ADDON_LABEL,
  ADDON_MANAGER_LABELS,
  ADDON_MANAGER_NAME,
  ADDON_MODE_LABEL,
  ADDON_NAMESPACE,
  AUTOSCALER_CONFIG_NAME,
  LAST_APPLIED_ANNOTATION,
  RECORD_NAME,
  SINK_NAMESPACE,
} from "../own/own-names.js";
import { undo } from "../safety/restore/undo-entries.js";
import {
  API_SERVICES,
  CLUSTER_ROLE_BINDINGS,
  CLUSTER_ROLES,
  ROLE_BINDINGS,
  ROLES,
  SERVICE_ACCOUNTS,
} from "../kube/api.js";
import { readRecord, RECORD_PATH } from "./addon-record.js";
import type { AddonsOptions } from "./install.js";

/** How long pods may take to go, ms: their grace of 30 s, and a node that is slow about it. */
const GONE_LIMIT_MS = 90_000;
const LOOK_EVERY_MS = 300;

/**
 * Where add-ons' objects are, in the order in which they are removed. The APIService first: as long as nobody
 * answers for it, no namespace can be deleted. Rights and accounts after those who use them.
 */
const KINDS: readonly { readonly gvr: Gvr; readonly namespace?: string }[] = [
  { gvr: API_SERVICES },
  ...[DEPLOYMENTS, DAEMONSETS, SERVICES, CONFIGMAPS, ROLE_BINDINGS, ROLES, SERVICE_ACCOUNTS].map((gvr) => ({
    gvr,
    namespace: ADDON_NAMESPACE,
  })),
  { gvr: CLUSTER_ROLE_BINDINGS },
  { gvr: CLUSTER_ROLES },
];

export interface Removed {
  /** How many objects were removed or put back; 0: there was nothing to do. */
  readonly count: number;
}

/**
 * Stops addon-manager, removes every object of the add-ons, and puts the cluster's DNS back as it was. Nothing is
 * removed that does not carry the add-ons' label. Goes on past single failures. Whoever calls it holds the cluster's
 * lock: a run's measurements would be spoilt.
 *
 * @throws ChaosError (exit code 5) with everything that failed; doing it again goes on from there.
 */
export async function removeAddons(options: AddonsOptions): Promise<Removed> {
  const { progress } = options;
  return await progress.step("Removing the study add-ons", async (note) => {
    const removal = new Removal(options, note);
    await removal.run();
    for (const failure of removal.failures) progress.warn(failure);
    if (removal.failures.length > 0) {
      throw new ChaosError(
        `the study add-ons were not removed wholly: ${removal.failures.join("; ")}. \`chaos cluster up --no-addons\` tries again`,
        { exitCode: ExitCode.notRestored },
      );
    }
    return { count: removal.count };
  });
}

class Removal {
  readonly failures: string[] = [];
  readonly #selectors: string[] = [];
  #count = 0;
  readonly #transport: Transport;
  readonly #clock: Clock;
  readonly #note: (text: string) => void;

  constructor(options: AddonsOptions, note: (text: string) => void) {
    this.#transport = options.transport;
    this.#clock = options.clock;
    this.#note = note;
  }

  /** How many objects were removed or put back. */
  get count(): number {
    return this.#count;
  }

  async run(): Promise<void> {
    this.#note("stopping addon-manager");
    await this.#attempt("addon-manager", async () => await this.#stopManager());
    // As long as it runs, it brings back whatever is removed.
    if (this.failures.length > 0) return;
    this.#note("removing objects");
    for (const { gvr, namespace } of KINDS) {
      await this.#attempt(gvr.resource, async () => await this.#removeLabelled(gvr, namespace));
    }
    const sink = resourcePath(NAMESPACES, undefined, SINK_NAMESPACE);
    await this.#attempt("the sink", async () => await this.#removeIfOurs(sink));
    this.#note("waiting for pods to end");
    await this.#attempt("pods", async () => await this.#podsGone());
    await this.#attempt("the cluster's DNS", async () => await this.#restoreDns());
    await this.#attempt("the sink's namespace", async () => await this.#gone(sink));
    // Last, and only when all is well: without it nobody knows what the DNS was like.
    if (this.failures.length > 0) return;
    await this.#attempt("the record", async () => await this.#removeIfOurs(RECORD_PATH));
  }

  async #attempt(what: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.failures.push(`${what}: ${messageOf(error)}`);
    }
  }

  async #stopManager(): Promise<void> {
    await this.#removeIfOurs(resourcePath(DEPLOYMENTS, ADDON_NAMESPACE, ADDON_MANAGER_NAME));
    const labelSelector = selectorString(ADDON_MANAGER_LABELS);
    await this.#wait("addon-manager's pod to end", async () => {
      const pods = await list<Pod>(this.#transport, resourcePath(PODS, ADDON_NAMESPACE), { labelSelector });
      return pods.items.length === 0;
    });
  }

  async #removeLabelled(gvr: Gvr, namespace: string | undefined): Promise<void> {
    const { items } = await list<KubeObject>(this.#transport, resourcePath(gvr, namespace), {
      labelSelector: ADDON_LABEL,
    });
    for (const item of items) await this.#remove(resourcePath(gvr, namespace, item.metadata.name), item);
  }

  async #removeIfOurs(path: string): Promise<void> {
    const live = await getOrUndefined<KubeObject>(this.#transport, path);
    if (live !== undefined && isOwn(live)) await this.#remove(path, live);
  }

  /** By its uid: whatever comes under the same name in this moment is somebody else's. */
  async #remove(path: string, live: KubeObject): Promise<void> {
    if (isTerminating(live)) return;
    const { uid } = live.metadata;
    const { status } = await remove(this.#transport, path, { uid, propagationPolicy: "Background" });
    if (status < 300) this.#count += 1;
    const { matchLabels } =
      (live.spec as { selector?: { matchLabels?: Record<string, string> } } | undefined)?.selector ?? {};
    if (matchLabels !== undefined) this.#selectors.push(selectorString(matchLabels));
  }

  /** Waits for the pods of the workloads that were removed. */
  async #podsGone(): Promise<void> {
    for (const labelSelector of this.#selectors) {
      await this.#wait(`the pods with ${labelSelector} to end`, async () => {
        const pods = await list<Pod>(this.#transport, resourcePath(PODS, ADDON_NAMESPACE), { labelSelector });
        return pods.items.length === 0;
      });
    }
  }

  async #restoreDns(): Promise<void> {
    const record = await readRecord(this.#transport);
    if (record === undefined) return await this.#askAboutDns();
    await this.#removeGenerated();
    const { name } = record.dns.metadata;
    const { how } = await undo(this.#transport, {
      action: "restore-workload",
      path: resourcePath(DEPLOYMENTS, ADDON_NAMESPACE, name),
      collection: resourcePath(DEPLOYMENTS, ADDON_NAMESPACE),
      object: record.dns,
    });
    if (how === "created" || how === "patched") this.#count += 1;
  }

  /** What the add-ons made themselves, without any label; installing made sure that it was nobody else's. */
  async #removeGenerated(): Promise<void> {
    const path = resourcePath(CONFIGMAPS, ADDON_NAMESPACE, AUTOSCALER_CONFIG_NAME);
    const live = await getOrUndefined<KubeObject>(this.#transport, path);
    if (live !== undefined) await this.#remove(path, live);
  }

  /** Without a record it is not known what the DNS was like: it is left alone, and that is said. */
  async #askAboutDns(): Promise<void> {
    if (this.#count === 0) return;
    const { items } = await list<KubeObject>(this.#transport, resourcePath(DEPLOYMENTS, ADDON_NAMESPACE), {
      labelSelector: `k8s-app=kube-dns,${ADDON_MODE_LABEL}`,
    });
    const names = items.map(({ metadata }) => metadata.name);
    if (names.length === 0) return;
    throw new Error(
      `ConfigMap ${ADDON_NAMESPACE}/${RECORD_NAME} is gone, so Deployment ${names.join(", ")} was left alone. Its label ${ADDON_MODE_LABEL} and its annotation ${LAST_APPLIED_ANNOTATION} may be taken away by hand`,
    );
  }

  async #gone(path: string): Promise<void> {
    await this.#wait("the namespace to go", async () => {
      const live = await getOrUndefined<KubeObject>(this.#transport, path);
      return live === undefined || !isOwn(live);
    });
  }

  async #wait(what: string, ask: () => Promise<boolean>): Promise<void> {
    const poll = { everyMs: LOOK_EVERY_MS, limitMs: GONE_LIMIT_MS };
    const done = await pollUntil(this.#clock, poll, async () => ((await ask()) ? true : undefined));
    if (done !== true) throw new Error(`waited ${GONE_LIMIT_MS / 1000} s in vain for ${what}`);
  }
}
