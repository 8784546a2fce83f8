/** `chaos cluster up --addons`: installs the study's add-ons with an addon-manager that is proven to work. */
import type { Clock } from "../common/clock.js";
import { pollUntil } from "../common/clock.js";
import { ChaosError, ExitCode } from "../common/errors.js";
import type { Progress } from "../common/progress.js";
import { getOrUndefined, patch } from "../kube/api.js";
import { sanitised } from "../kube/declared.js";
import type { KubeObject } from "../kube/objects.js";
import type { Transport } from "../kube/transport.js";
import { LAST_APPLIED_ANNOTATION } from "../own/own-names.js";
import { type AddonManifests, addonManifests } from "./addon-manifests.js";
import { type Manifest } from "../own/manifest.js";
import { pathsOf } from "../kube/api.js";
import { ensure } from "../own/ensure.js";
import { StartWatch } from "../own/start.js";
import { readRecord, writeRecord } from "./addon-record.js";
import { dnsManifest, findDns } from "./dns.js";
import { addonManagerProof, proveAddonManager } from "./drift.js";
import { isAddonObject, refuseForeign } from "./foreign.js";
import { notReady } from "./ready.js";

/** Including image pulls, ms. */
const READY_LIMIT_MS = 5 * 60_000;
const POLL_EVERY_MS = 500;

export interface AddonsOptions {
  readonly transport: Transport;
  readonly clock: Clock;
  readonly progress: Progress;
  readonly signal?: AbortSignal;
}

export interface Installed {
  /** Whether anything was written; false: everything was up to date. */
  readonly changed: boolean;
  /** How long addon-manager took to revert a change, ms; undefined: it was proven before. */
  readonly repairedAfterMs: number | undefined;
}

/**
 * Installs the study add-ons; an up-to-date installation is not changed. Records the cluster's DNS first. Creates the
 * sink and addon-manager; addon-manager creates the rest. Then waits until everything is ready and addon-manager is
 * proven. The caller must own the cluster's lock: an installation would disturb the measurements of a run.
 *
 * @throws RefusedError when a foreign object conflicts; nothing was changed.
 * @throws ChaosError when something is not ready in time, or addon-manager does not work. Created objects stay: a
 *   second call continues from there, `removeAddons` removes them.
 */
export async function installAddons(options: AddonsOptions): Promise<Installed> {
  const { transport, progress, clock, signal } = options;
  const record = await readRecord(transport);
  const original = record?.dns ?? sanitised(await findDns(transport));
  const dns = dnsManifest(original);
  const manifests = await addonManifests({ dns });
  await refuseForeign(transport, manifests, {
    installed: record !== undefined,
    dnsName: dns.metadata.name,
  });

  let changed = false;
  await progress.step("Installing the study add-ons", async (note) => {
    if (record === undefined) {
      await writeRecord(transport, original);
      await forgetLastApplied(transport, dns);
      changed = true;
    }
    for (const object of [...manifests.sink, ...manifests.manager])
      changed = (await ensure(transport, object, { owns: isAddonObject, difference: "update" })) || changed;
    await whenReady(options, { manifests, dns, note });
  });
  if ((await addonManagerProof(transport)).state === "proven") return { changed, repairedAfterMs: undefined };
  const { repairedAfterMs } = await progress.step(
    "Proving that addon-manager works",
    async (note) =>
      await proveAddonManager(transport, clock, { note, ...(signal === undefined ? {} : { signal }) }),
  );
  return { changed, repairedAfterMs };
}

/**
 * Removes the annotation of an earlier `kubectl apply` by the cluster's owner. Otherwise addon-manager's apply would
 * remove every field that was declared then and is not in its own manifest, above all the replicas. The record keeps
 * the annotation, and removal of the add-ons restores it.
 */
async function forgetLastApplied(transport: Transport, dns: Manifest): Promise<void> {
  const { path } = pathsOf(dns);
  const live = await getOrUndefined<KubeObject>(transport, path);
  if (live?.metadata.annotations?.[LAST_APPLIED_ANNOTATION] === undefined) return;
  await patch(transport, path, { metadata: { annotations: { [LAST_APPLIED_ANNOTATION]: null } } });
}

/** Waits until everything exists and is ready. */
async function whenReady(
  { transport, clock, signal }: AddonsOptions,
  what: {
    readonly manifests: AddonManifests;
    readonly dns: Manifest;
    readonly note: (text: string) => void;
  },
): Promise<void> {
  let missing: readonly string[] = [];
  const { sink, manager, study } = what.manifests;
  const watch = new StartWatch(
    {
      transport,
      clock,
      failed: "the study add-ons cannot start on this cluster",
      consequence: () => "`chaos cluster up --no-addons` removes what was installed",
      // An add-on may wait for another one, and addon-manager for its next pass.
      passingLimitMs: READY_LIMIT_MS,
    },
    [...sink, ...manager, ...study],
  );
  const poll = {
    everyMs: POLL_EVERY_MS,
    limitMs: READY_LIMIT_MS,
    ...(signal === undefined ? {} : { signal }),
  };
  const ready = await pollUntil(clock, poll, async () => {
    missing = await notReady(transport, what.manifests, what.dns);
    if (missing.length === 0) return true;
    await watch.look();
    what.note(`waiting for ${missing.length}: ${missing[0] ?? ""}`);
    return undefined;
  });
  if (ready === true) return;
  if (signal?.aborted === true) {
    throw new ChaosError(
      "interrupted during the installation of the add-ons; created objects stay. `chaos cluster up --addons` continues, `--no-addons` removes them",
      { exitCode: ExitCode.interrupted },
    );
  }
  throw new ChaosError(
    [
      `the study add-ons were not ready within ${READY_LIMIT_MS / 1000} s:`,
      ...[...missing, ...watch.reasons].map((each) => `  - ${each}`),
      "See kubectl -n kube-system get pods, and logs deployment/kube-addon-manager. `chaos cluster up --addons` continues, `--no-addons` removes the add-ons",
    ].join("\n"),
  );
}
