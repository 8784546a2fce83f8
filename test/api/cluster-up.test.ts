/** `chaos cluster up --addons` changes kube-system: only under the lock, and only where nothing is left to restore. */
import { PassThrough } from "node:stream";
import test from "ava";
import type { ExecutionContext } from "ava";
import { clusterUp } from "../../src/commands/cluster.js";
import { RefusedError } from "../../src/errors.js";
import { LOCK_PATH } from "../../src/run/lock.js";
import { createView } from "../../src/ui/view.js";
import { LEASES } from "./dead-man-world.js";
import { cluster, crashed, type Machine, machine, putBack } from "./restore-bench.js";
import { writes } from "./target-fixtures.js";

async function up(t: ExecutionContext, { kubeconfigPath, env }: Machine, addons: boolean): Promise<unknown> {
  const stream = new PassThrough().resume();
  return await t.throwsAsync(
    clusterUp({
      provider: undefined,
      kubeconfigPath,
      context: "fake",
      addons,
      yes: false,
      env,
      signal: new AbortController().signal,
      view: createView({ stream, out: stream, mode: "plain" }),
    }),
    { instanceOf: RefusedError },
  );
}

for (const addons of [true, false]) {
  test(`${addons ? "--addons" : "--no-addons"}: refused while a run holds the lock, which stays`, async (t) => {
    const c = await cluster(t);
    const m = await machine(t, c.server);
    const theirs = c.server.put(LEASES, {
      metadata: { name: "kube-system-chaos", labels: { "kube-system-chaos/run": "run-0" } },
      spec: { holderIdentity: "run-0@elsewhere" },
    });
    t.regex(String(await up(t, m, addons)), /another run holds the lock of this cluster: run-0@elsewhere/);
    t.deepEqual(c.server.object(LOCK_PATH), theirs);
    t.deepEqual(
      writes(c.server).map(({ method, path }) => `${method} ${path}`),
      [`POST ${LEASES}`],
    );
  });

  test(`${addons ? "--addons" : "--no-addons"}: refused while a run was not finished, with what cures it`, async (t) => {
    const c = await cluster(t);
    const m = await machine(t, c.server);
    await crashed(c, m, { runId: "run-1", undos: [putBack(c)] });
    c.server.requests.length = 0;
    t.regex(String(await up(t, m, addons)), /run-1 was not finished: .*chaos restore --all/);
    t.deepEqual(writes(c.server), []);
  });
}
