/** `chaos cluster up --no-addons`: restores the cluster to its state before the study add-ons. */
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

/** How long pods may take to terminate, ms: 30 s of grace, plus time for a slow node. */
const GONE_LIMIT_MS = 90_000;
const POLL_EVERY_MS = 300;

/**
 * The kinds of the add-ons' objects, in removal order. The APIService comes first: while its backend is down, no
 * namespace can be deleted. Roles and ServiceAccounts come after the workloads that use them.
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
  /** How many objects were removed or restored; 0: there was nothing to do. */
  readonly count: number;
}

/**
 * Stops addon-manager, removes every object of the add-ons, and restores the cluster's DNS. Removes only objects that
 * carry the add-ons' label. Continues after single failures. The caller must own the cluster's lock: a removal would
 * disturb the measurements of a run.
 *
 * @throws ChaosError (exit code 5) with everything that failed; a second call continues from there.
 */
export async function removeAddons(options: AddonsOptions): Promise<Removed> {
  const { progress } = options;
  return await progress.step("Removing the study add-ons", async (note) => {
    const removal = new Removal(options, note);
    await removal.run();
    for (const failure of removal.failures) progress.warn(failure);
    if (removal.failures.length > 0) {
      throw new ChaosError(
        `the study add-ons were not fully removed: ${removal.failures.join("; ")}. Try again with \`chaos cluster up --no-addons\``,
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

  /** How many objects were removed or restored. */
  get count(): number {
    return this.#count;
  }

  async run(): Promise<void> {
    this.#note("stopping addon-manager");
    await this.#attempt("addon-manager", async () => await this.#stopManager());
    // While it runs, it recreates every object that is removed.
    if (this.failures.length > 0) return;
    this.#note("removing objects");
    for (const { gvr, namespace } of KINDS) {
      await this.#attempt(gvr.resource, async () => await this.#removeLabelled(gvr, namespace));
    }
    const sink = resourcePath(NAMESPACES, undefined, SINK_NAMESPACE);
    await this.#attempt("the sink", async () => await this.#removeIfOwn(sink));
    this.#note("waiting for pods to terminate");
    await this.#attempt("pods", async () => await this.#podsGone());
    await this.#attempt("the cluster's DNS", async () => await this.#restoreDns());
    await this.#attempt("the sink's namespace", async () => await this.#gone(sink));
    // Last, and only without failures: it is the only record of the DNS before the add-ons.
    if (this.failures.length > 0) return;
    await this.#attempt("the record", async () => await this.#removeIfOwn(RECORD_PATH));
  }

  async #attempt(what: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.failures.push(`${what}: ${messageOf(error)}`);
    }
  }

  async #stopManager(): Promise<void> {
    await this.#removeIfOwn(resourcePath(DEPLOYMENTS, ADDON_NAMESPACE, ADDON_MANAGER_NAME));
    const labelSelector = selectorString(ADDON_MANAGER_LABELS);
    await this.#wait("addon-manager's pod to terminate", async () => {
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

  async #removeIfOwn(path: string): Promise<void> {
    const live = await getOrUndefined<KubeObject>(this.#transport, path);
    if (live !== undefined && isOwn(live)) await this.#remove(path, live);
  }

  /** Deletes by uid: an object recreated under the same name in the meantime is foreign. */
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
      await this.#wait(`the pods with ${labelSelector} to terminate`, async () => {
        const pods = await list<Pod>(this.#transport, resourcePath(PODS, ADDON_NAMESPACE), { labelSelector });
        return pods.items.length === 0;
      });
    }
  }

  async #restoreDns(): Promise<void> {
    const record = await readRecord(this.#transport);
    if (record === undefined) return await this.#reportDns();
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

  /** Removes what the add-ons create without a label. The installation checked that it was not foreign. */
  async #removeGenerated(): Promise<void> {
    const path = resourcePath(CONFIGMAPS, ADDON_NAMESPACE, AUTOSCALER_CONFIG_NAME);
    const live = await getOrUndefined<KubeObject>(this.#transport, path);
    if (live !== undefined) await this.#remove(path, live);
  }

  /** Without the record the original DNS is unknown: leaves it unchanged, and throws an error that says so. */
  async #reportDns(): Promise<void> {
    if (this.#count === 0) return;
    const { items } = await list<KubeObject>(this.#transport, resourcePath(DEPLOYMENTS, ADDON_NAMESPACE), {
      labelSelector: `k8s-app=kube-dns,${ADDON_MODE_LABEL}`,
    });
    const names = items.map(({ metadata }) => metadata.name);
    if (names.length === 0) return;
    throw new Error(
      `ConfigMap ${ADDON_NAMESPACE}/${RECORD_NAME} does not exist, so Deployment ${names.join(", ")} was left unchanged. Remove its label ${ADDON_MODE_LABEL} and its annotation ${LAST_APPLIED_ANNOTATION} by hand`,
    );
  }

  async #gone(path: string): Promise<void> {
    await this.#wait("the namespace to be deleted", async () => {
      const live = await getOrUndefined<KubeObject>(this.#transport, path);
      return live === undefined || !isOwn(live);
    });
  }

  async #wait(what: string, isDone: () => Promise<boolean>): Promise<void> {
    const poll = { everyMs: POLL_EVERY_MS, limitMs: GONE_LIMIT_MS };
    const done = await pollUntil(this.#clock, poll, async () => ((await isDone()) ? true : undefined));
    if (done !== true) throw new Error(`timed out after ${GONE_LIMIT_MS / 1000} s waiting for ${what}`);
  }
}
