import { hostname } from "node:os";
import test from "ava";
import { pidNamespace } from "../../../src/common/process-identity.js";
import type { Lease } from "../../../src/kube/objects.js";
import { holderOf, isLocalRunner } from "../../../src/safety/lock/liveness.js";
import { LEASES, SleepingClock } from "../../helpers/dead-man-world.js";
import { renewsTheLock } from "../../../src/safety/lock/liveness.js";
import { serve } from "../../helpers/target-fixtures.js";

test("a runner on this machine is recognised", async (t) => {
  t.true(await isLocalRunner({ host: hostname() }));
  t.false(await isLocalRunner({ host: `not-${hostname()}` }));
});

test("a runner in another container is not local, whatever its host name", async (t) => {
  const own = await pidNamespace();
  t.true(await isLocalRunner({ host: hostname(), ...(own === undefined ? {} : { pidNamespace: own }) }));
  t.false(await isLocalRunner({ host: hostname(), pidNamespace: "pid:[1]" }));
});

test("the holder's name comes from the Lease", (t) => {
  t.is(holderOf({ spec: { holderIdentity: "run-1@laptop" } } as Lease), "run-1@laptop");
  t.is(holderOf({} as Lease), "an unknown holder");
});

test("no lock: nobody renews it, and there is no wait", async (t) => {
  const { transport } = await serve(t);
  const clock = new SleepingClock();
  t.is(await renewsTheLock(transport, clock, { note: () => t.fail() }), undefined);
  t.is(clock.now(), 0);
});

test("a holder that writes no times counts as gone", async (t) => {
  const { server, transport } = await serve(t);
  server.put(LEASES, { metadata: { name: "kube-system-chaos" }, spec: {} });
  const clock = new SleepingClock();
  t.is(await renewsTheLock(transport, clock, { note: () => undefined }), undefined);
  t.is(clock.now(), 50_000);
});
