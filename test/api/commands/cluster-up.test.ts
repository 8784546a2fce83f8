/** `chaos cluster up --addons` changes kube-system only under the lock, and only if nothing is left to restore. */
import type { ExecutionContext } from "ava";
import test from "ava";
import { PassThrough } from "node:stream";
import { addonManagerProof } from "../../../src/addons/drift.js";
import { clusterUp } from "../../../src/commands/cluster-command.js";
import type { Clock } from "../../../src/common/clock.js";
import { RefusedError } from "../../../src/common/errors.js";
import type { Lease } from "../../../src/kube/objects.js";
import { LOCK_PATH, RENEW_EVERY_MS } from "../../../src/safety/lock/lease.js";
import { createView } from "../../../src/ui/view.js";
import { world } from "../../helpers/addons-world.js";
import { LEASES } from "../../helpers/dead-man-world.js";
import { cluster, crashed, type Machine, machine, putBack } from "../../helpers/restore-bench.js";
import { writes } from "../../helpers/target-fixtures.js";

async function up({ kubeconfigPath, env }: Machine, addons: boolean, clock?: Clock): Promise<void> {
  const stream = new PassThrough().resume();
  await clusterUp({
    provider: undefined,
    kubeconfigPath,
    context: "fake",
    addons,
    yes: false,
    allowing: (context) => `chaos cluster up --context ${context} --yes`,
    env,
    signal: new AbortController().signal,
    view: createView({ stream, out: stream, mode: "plain" }),
    ...(clock === undefined ? {} : { clock }),
  });
}

async function refused(t: ExecutionContext, m: Machine, addons: boolean): Promise<string> {
  return String(await t.throwsAsync(up(m, addons), { instanceOf: RefusedError }));
}

/** The work's sleeps advance this clock; the sleeps between renewals of the lock do not. */
function unlessRenewing(clock: Clock): Clock {
  const renewal = async (signal?: AbortSignal): Promise<void> =>
    await new Promise((resolve) => signal?.addEventListener("abort", () => resolve()));
  return {
    ...clock,
    sleep: async (ms, signal) =>
      ms === RENEW_EVERY_MS ? await renewal(signal) : await clock.sleep(ms, signal),
  };
}

test("--addons, then --no-addons: under the lock, which is removed afterwards; everything is as before", async (t) => {
  const at = await world(t);
  const m = await machine(t, at.server);
  const before = at.declared();
  const clock = unlessRenewing(at.clock);
  const held: string[] = [];
  at.meanwhile = () => {
    const lease = at.server.object(LOCK_PATH) as Lease | undefined;
    held.push(lease?.spec?.holderIdentity ?? "nobody");
  };
  await up(m, true, clock);
  t.like(await addonManagerProof(at.transport), { state: "proven" });
  t.is(at.server.object(LOCK_PATH), undefined);
  await up(m, false, clock);
  t.deepEqual(at.declared(), before);
  t.is(at.server.object(LOCK_PATH), undefined);
  t.true(held.length > 2);
  t.deepEqual(
    held.filter((holder) => !holder.includes("-addons-")),
    [],
  );
});

for (const addons of [true, false]) {
  test(`${addons ? "--addons" : "--no-addons"}: refused while a run holds the lock, which stays`, async (t) => {
    const c = await cluster(t);
    const m = await machine(t, c.server);
    const theirs = c.server.put(LEASES, {
      metadata: { name: "kube-system-chaos", labels: { "kube-system-chaos/run": "run-0" } },
      spec: { holderIdentity: "run-0@elsewhere" },
    });
    t.regex(await refused(t, m, addons), /cannot lock this cluster: it is locked by run-0@elsewhere/);
    t.deepEqual(c.server.object(LOCK_PATH), theirs);
    t.deepEqual(
      writes(c.server).map(({ method, path }) => `${method} ${path}`),
      [`POST ${LEASES}`],
    );
  });

  test(`${addons ? "--addons" : "--no-addons"}: refused while a run is unfinished, with the remedy`, async (t) => {
    const c = await cluster(t);
    const m = await machine(t, c.server);
    await crashed(c, m, { runId: "run-1", undos: [putBack(c)] });
    c.server.requests.length = 0;
    t.regex(await refused(t, m, addons), /run-1 is unfinished or still running\. .*chaos restore --all/);
    t.deepEqual(writes(c.server), []);
  });
}
