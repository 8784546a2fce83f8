import test from "ava";
import type { Lease } from "../../../src/kube/objects.js";
import { holderOf } from "../../../src/safety/lock/liveness.js";
import { LEASES, SleepingClock } from "../../helpers/dead-man-world.js";
import { renewsTheLock } from "../../../src/safety/lock/liveness.js";
import { serve } from "../../helpers/target-fixtures.js";

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
