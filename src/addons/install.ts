/** `chaos cluster up --addons`: the study's add-ons, with an addon-manager that is seen to be at work. */
import type { Clock } from "../common/clock.js";
import { pollUntil } from "../common/clock.js";
import { ChaosError, ExitCode } from "../common/errors.js";
import type { Progress } from "../common/progress.js";
import { type Discovery, discover, getOrUndefined, patch } from "../kube/api.js";
import { sanitised } from "../kube/declared.js";
import type { KubeObject } from "../kube/objects.js";
import type { Transport } from "../kube/transport.js";
import { LAST_APPLIED_ANNOTATION } from "../own/own-names.js";
import { type AddonManifests, addonManifests } from "./addon-manifests.js";
import { type Manifest } from "../own/manifest.js";
import { pathsOf } from "../kube/api.js";
import { ensure } from "../own/ensure.js";
import { readRecord, writeRecord } from "./addon-record.js";
import { dnsManifest, findDns } from "./dns.js";
import { addonManagerProof, proveAddonManager } from "./drift.js";
import { isAddonObject, refuseForeign } from "./foreign.js";
import { readiness } from "./ready.js";

/** Image pulls included, ms. */
const READY_LIMIT_MS = 5 * 60_000;
const LOOK_EVERY_MS = 500;

export interface AddonsOptions {
  readonly transport: Transport;
  /** Asked of the server when it is not given. */
  readonly discovery?: Discovery;
  readonly clock: Clock;
  readonly progress: Progress;
  readonly signal?: AbortSignal;
}

export interface Installed {
  /** Whether anything had to be written: false when everything was found as it should be. */
  readonly changed: boolean;
  /** How long addon-manager took to put a change back, ms; undefined: it was proven before. */
  readonly repairedAfterMs: number | undefined;
}

/**
 * Installs the study add-ons, or finds them as they are: the sink and addon-manager are made here, everything else
 * by addon-manager; then waits until all of it is ready and addon-manager proven. What the cluster's DNS was like
 * is recorded first. Whoever calls it holds the cluster's lock: a run's measurements would be spoilt.
 *
 * @throws RefusedError when something of somebody else's is in the way; nothing was changed.
 * @throws ChaosError when something is not ready in time, or addon-manager does not do its work. What was made
 *   stays: doing it again goes on from there, `removeAddons` takes it away.
 */
export async function installAddons(options: AddonsOptions): Promise<Installed> {
  const { transport, progress, clock, signal } = options;
  const { serverVersion } = options.discovery ?? (await discover(transport));
  const record = await readRecord(transport);
  const original = record?.dns ?? sanitised(await findDns(transport));
  const dns = dnsManifest(original);
  const manifests = await addonManifests({ dns, serverVersion });
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
    "Proving that addon-manager is at work",
    async (note) =>
      await proveAddonManager(transport, clock, { note, ...(signal === undefined ? {} : { signal }) }),
  );
  return { changed, repairedAfterMs };
}

/**
 * Takes away what kubectl remembers of an apply by the cluster's owner: addon-manager's would remove whatever was
 * declared then and is not in its own manifest, the replicas above all. It is in the record, and comes back.
 */
async function forgetLastApplied(transport: Transport, dns: Manifest): Promise<void> {
  const { path } = pathsOf(dns);
  const live = await getOrUndefined<KubeObject>(transport, path);
  if (live?.metadata.annotations?.[LAST_APPLIED_ANNOTATION] === undefined) return;
  await patch(transport, path, { metadata: { annotations: { [LAST_APPLIED_ANNOTATION]: null } } });
}

/** Waits until everything is there and ready. */
async function whenReady(
  { transport, clock, signal }: AddonsOptions,
  what: {
    readonly manifests: AddonManifests;
    readonly dns: Manifest;
    readonly note: (text: string) => void;
  },
): Promise<void> {
  let missing: readonly string[] = [];
  const poll = {
    everyMs: LOOK_EVERY_MS,
    limitMs: READY_LIMIT_MS,
    ...(signal === undefined ? {} : { signal }),
  };
  const ready = await pollUntil(clock, poll, async () => {
    const now = await readiness(transport, what.manifests, what.dns);
    missing = now.missing;
    if (now.fatal.length > 0) throw cannotStart(now.fatal);
    if (missing.length === 0) return true;
    what.note(`waiting for ${missing.length}: ${missing[0] ?? ""}`);
    return undefined;
  });
  if (ready === true) return;
  if (signal?.aborted === true) {
    throw new ChaosError(
      "interrupted while the add-ons were being installed; what is there stays. `chaos cluster up --addons` goes on, `--no-addons` takes it away",
      { exitCode: ExitCode.interrupted },
    );
  }
  throw new ChaosError(
    [
      `the study add-ons were not ready within ${READY_LIMIT_MS / 1000} s:`,
      ...missing.map((each) => `  - ${each}`),
      "kubectl -n kube-system get pods, and logs deployment/kube-addon-manager, say more; doing it again goes on from here, --no-addons takes it all away",
    ].join("\n"),
  );
}

function cannotStart(fatal: readonly string[]): ChaosError {
  return new ChaosError(
    [
      "the study add-ons do not start on this cluster:",
      ...fatal.map((each) => `  - ${each}`),
      "Load the images onto the nodes, or let the nodes reach their registry; --no-addons takes away what was installed",
    ].join("\n"),
  );
}
