import { existsSync } from "node:fs";
import { hostname } from "node:os";
import test from "ava";
import { sleeper } from "../../helpers/sleeper.js";
import type { Lease } from "../../../src/kube/objects.js";
import { holderOf, isLocalRunner, isOurProcess } from "../../../src/safety/lock/liveness.js";
import { LEASES, SleepingClock } from "../../helpers/dead-man-world.js";
import { renewsTheLock } from "../../../src/safety/lock/liveness.js";
import { serve } from "../../helpers/target-fixtures.js";

const HAS_PROC = existsSync("/proc/self/cmdline");

test("a process of ours is one while it runs, and none afterwards", async (t) => {
  const { pid, end } = await sleeper(t, "/usr/lib/node_modules/kube-system-chaos/dist/cli.js");
  t.true(isOurProcess(pid));
  await end();
  t.false(isOurProcess(pid));
});

test("another program that got the id of one of ours is none", async (t) => {
  const { pid } = await sleeper(t, "something-else");
  t.is(isOurProcess(pid), !HAS_PROC);
});

test("where its runner is", (t) => {
  t.true(isLocalRunner({ host: hostname() }));
  t.false(isLocalRunner({ host: `not-${hostname()}` }));
});

test("who holds the lock, as the Lease says", (t) => {
  t.is(holderOf({ spec: { holderIdentity: "run-1@laptop" } } as Lease), "run-1@laptop");
  t.is(holderOf({} as Lease), "somebody");
});

test("no lock: nobody renews it, and nothing is waited for", async (t) => {
  const { transport } = await serve(t);
  const clock = new SleepingClock();
  t.is(await renewsTheLock(transport, clock, { note: () => t.fail() }), undefined);
  t.is(clock.now(), 0);
});

test("a holder who writes no times is gone", async (t) => {
  const { server, transport } = await serve(t);
  server.put(LEASES, { metadata: { name: "kube-system-chaos" }, spec: {} });
  const clock = new SleepingClock();
  t.is(await renewsTheLock(transport, clock, { note: () => undefined }), undefined);
  t.is(clock.now(), 50_000);
});
