import { after } from "../../../src/common/clock.js";
import type { ExecutionContext } from "ava";
import test from "ava";
import { hostname } from "node:os";
import type { Clock } from "../../../src/common/clock.js";
import { RefusedError } from "../../../src/common/errors.js";
import type { Lease } from "../../../src/kube/objects.js";
import {
  acquireLock,
  type HeldLock,
  LOCK_PATH,
  lockHolder,
  lockProblem,
} from "../../../src/safety/lock/lease.js";
import { restoreCommand } from "../../../src/safety/journal/unfinished.js";
import { undo } from "../../../src/safety/restore/undo-entries.js";
import type { Draft } from "../../helpers/fake-api-server.js";
import { serve, type Served, until, writes } from "../../helpers/target-fixtures.js";

const LEASES = LOCK_PATH.replace(/\/[^/]+$/, "");

/** A clock whose sleepers the test wakes. */
class HandClock implements Clock {
  readonly after = after;
  readonly slept: number[] = [];
  #wake: (() => void) | undefined;
  #ms = Date.parse("2026-08-01T12:00:00.000Z");

  now(): number {
    return 0;
  }
  wall(): Date {
    return new Date(this.#ms);
  }
  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted === true) return;
    this.slept.push(ms);
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      signal?.addEventListener("abort", () => resolve(), { once: true });
    });
  }
  /** Wakes the sleeper; resolves when it sleeps again (`last`: it will not). */
  async pass({ last = false } = {}): Promise<void> {
    const before = this.slept.length;
    this.#ms += this.slept.at(-1) ?? 0;
    this.#wake?.();
    if (!last) await until("the lock sleeps again", () => this.slept.length > before);
  }
}

interface Locked extends Served {
  readonly clock: HandClock;
  readonly lock: HeldLock;
  readonly warnings: string[];
  readonly lost: string[];
}

async function locked(t: ExecutionContext): Promise<Locked> {
  const served = await serve(t);
  const clock = new HandClock();
  const warnings: string[] = [];
  const lost: string[] = [];
  const lock = await acquireLock(served.transport, {
    runId: "run-1",
    durationMs: 90_500,
    clock,
    warn: (text) => warnings.push(text),
  });
  lock.lost.addEventListener("abort", () => lost.push(String(lock.lost.reason)));
  t.teardown(async () => await lock.stopRenewing());
  await until("the lock waits", () => clock.slept.length > 0);
  return { ...served, clock, lock, warnings, lost };
}

const leaseOf = ({ server }: Served): Lease | undefined => server.object(LOCK_PATH) as Lease | undefined;

const foreign = (runId: string): Draft => ({
  metadata: { name: "kube-system-chaos", labels: { "kube-system-chaos/run": runId } },
  spec: { holderIdentity: `${runId}@elsewhere`, renewTime: "2026-08-01T12:00:00.000000Z" },
});

test("acquired: a Lease that names the holder, the duration and the run", async (t) => {
  const l = await locked(t);
  const lease = leaseOf(l);
  t.like(lease?.metadata, {
    namespace: "kube-system",
    labels: { "app.kubernetes.io/managed-by": "kube-system-chaos", "kube-system-chaos/run": "run-1" },
  });
  t.deepEqual(lease?.spec, {
    holderIdentity: `run-1@${hostname()}`,
    leaseDurationSeconds: 91,
    acquireTime: "2026-08-01T12:00:00.000000Z",
    renewTime: "2026-08-01T12:00:00.000000Z",
  });
  t.regex((await lockHolder(l.transport)) ?? "", /^run-1@.* \(last renewed at 2026-08-01T12:00:00/);
});

test("free: there is no holder", async (t) => {
  const { transport } = await serve(t);
  t.is(await lockHolder(transport), undefined);
});

test("renewed in time, each time from the last version", async (t) => {
  const l = await locked(t);
  const { uid } = leaseOf(l)?.metadata ?? {};
  for (const at of ["15", "30", "45"]) {
    await l.clock.pass();
    t.is(leaseOf(l)?.spec?.renewTime, `2026-08-01T12:00:${at}.000000Z`);
    t.is(leaseOf(l)?.spec?.acquireTime, "2026-08-01T12:00:00.000000Z");
  }
  t.is(leaseOf(l)?.metadata.uid, uid);
  t.deepEqual(l.warnings, []);
  t.true(l.clock.slept.every((ms) => ms * 3 <= 90_500));
});

test("refused: the error names the holder, and the holder's Lease stays unchanged", async (t) => {
  const { server, transport } = await serve(t);
  const theirs = server.put(LEASES, foreign("run-0"));
  server.update(LOCK_PATH, { metadata: { labels: { "app.kubernetes.io/managed-by": "kube-system-chaos" } } });
  const error = await t.throwsAsync(
    acquireLock(transport, {
      runId: "run-1",
      durationMs: 1,
      clock: new HandClock(),
      warn: () => t.fail(),
      restoreWith: "chaos restore --all --context prod",
    }),
    { instanceOf: RefusedError },
  );
  t.regex(
    error?.message ?? "",
    /run-0@elsewhere \(last renewed at 2026-08-01T12:00:00.*`chaos restore --all --context prod`/,
  );
  t.like(server.object(LOCK_PATH), { spec: theirs["spec"] });
});

test("refused by a holder that removes the lock at the same moment: the error says so", async (t) => {
  const { server, transport } = await serve(t);
  server.fault({ kind: "status", status: 409, reason: "AlreadyExists", method: "POST", path: "leases" });
  const options = { runId: "r", durationMs: 1, clock: new HandClock(), warn: t.fail };
  await t.throwsAsync(acquireLock(transport, options), {
    instanceOf: RefusedError,
    message: /has just removed its lock\. Try again/,
  });
});

test("an error other than a conflict is no refusal", async (t) => {
  const { server, transport } = await serve(t);
  server.fault({ kind: "status", status: 500, method: "POST", path: "leases" });
  const options = { runId: "r", durationMs: 1, clock: new HandClock(), warn: t.fail };
  const error = await t.throwsAsync(acquireLock(transport, options), { message: /500/ });
  t.false(error instanceof RefusedError);
});

test("lost: someone else's Lease has the name", async (t) => {
  const l = await locked(t);
  l.server.remove(LOCK_PATH);
  const theirs = l.server.put(LEASES, foreign("run-2"));
  await l.clock.pass({ last: true });
  await until("it is told", () => l.lost.length > 0);
  t.regex(l.lost[0] ?? "", /run-2@elsewhere/);
  await l.lock.stopRenewing();
  t.deepEqual(l.server.object(LOCK_PATH), theirs, "theirs is not written");
  t.is(l.lost.length, 1);
});

test("lost: it was deleted", async (t) => {
  const l = await locked(t);
  l.server.remove(LOCK_PATH);
  await l.clock.pass({ last: true });
  await until("it is told", () => l.lost.length > 0);
  t.regex(l.lost[0] ?? "", /deleted/);
  await l.lock.stopRenewing();
  t.is(leaseOf(l), undefined, "it is not made again");
});

test("changed by someone else but still own: not lost, renewed from the new version", async (t) => {
  const l = await locked(t);
  l.server.update(LOCK_PATH, { metadata: { annotations: { seen: "1" } } });
  await l.clock.pass();
  t.deepEqual(l.lost, []);
  t.is(l.warnings.length, 1);
  await l.clock.pass();
  t.is(leaseOf(l)?.spec?.renewTime, "2026-08-01T12:00:30.000000Z");
  t.deepEqual(leaseOf(l)?.metadata.annotations, { seen: "1" });
  t.is(l.warnings.length, 1);
});

for (const fault of [
  { kind: "reset" as const },
  { kind: "status" as const, status: 500 },
  { kind: "status" as const, status: 403 },
]) {
  test(`the API server refuses the renewal (${JSON.stringify(fault)}): not lost, only a warning`, async (t) => {
    const l = await locked(t);
    const heal = l.server.fault({ ...fault, path: "leases", times: Infinity });
    for (const times of [1, 2, 3]) {
      await l.clock.pass();
      t.is(l.warnings.length, times);
    }
    t.deepEqual(l.lost, []);
    heal();
    await l.clock.pass();
    t.is(leaseOf(l)?.spec?.renewTime, "2026-08-01T12:01:00.000000Z");
    t.is(l.warnings.length, 3);
  });
}

test("unreachable at the moment of a conflict: not treated as lost", async (t) => {
  const l = await locked(t);
  l.server.update(LOCK_PATH, { metadata: { annotations: { seen: "1" } } });
  l.server.fault({ kind: "status", status: 500, method: "GET", path: "leases" });
  await l.clock.pass();
  t.deepEqual(l.lost, []);
});

test("after stopRenewing nothing writes the Lease, so it can be removed", async (t) => {
  const l = await locked(t);
  await l.clock.pass();
  await l.lock.stopRenewing();
  const count = writes(l.server).length;
  await l.clock.pass({ last: true });
  await undo(l.transport, {
    action: "remove",
    path: LOCK_PATH,
    object: { kind: "Lease", name: "kube-system-chaos" },
    labels: { "kube-system-chaos/run": "run-1" },
  });
  t.is(leaseOf(l), undefined);
  t.is(writes(l.server).length, count + 1);
  await l.lock.stopRenewing();
  t.deepEqual(l.lost, []);
});

test("stopRenewing waits for the write in progress", async (t) => {
  const l = await locked(t);
  let answer = (): void => undefined;
  const held = new Promise<undefined>((resolve) => (answer = () => resolve(undefined)));
  l.server.handle("PUT", /leases/, async () => await held);
  await l.clock.pass({ last: true });
  await until("it is being written", () => l.server.requestsOf("PUT").length === 1);
  let stopped = false;
  const stopping = l.lock.stopRenewing().then(() => (stopped = true));
  await l.transport.json({ method: "GET", path: "/version" });
  t.false(stopped);
  answer();
  await stopping;
  t.is(leaseOf(l)?.spec?.renewTime, "2026-08-01T12:00:15.000000Z");
});

test("what to do about a lock depends on its holder", async (t) => {
  const { server, transport } = await serve(t);
  t.is(await lockProblem(transport), undefined);
  server.put(LEASES, { ...foreign("run-0"), metadata: { name: "kube-system-chaos" } });
  t.regex((await lockProblem(transport)) ?? "", /`kubectl -n kube-system delete lease kube-system-chaos`/);
  const labels = { "app.kubernetes.io/managed-by": "kube-system-chaos" };
  server.update(LOCK_PATH, { metadata: { labels } });
  t.regex((await lockProblem(transport)) ?? "", /`chaos restore --all --context NAME`$/);
  server.update(LOCK_PATH, { spec: { holderIdentity: "dead-man@run-0" } });
  t.regex((await lockProblem(transport)) ?? "", /dead-man's switch.*Wait until the namespace/);
});

test("the printed command names the kubeconfig, too, in words for a shell", (t) => {
  const place = { context: "my cluster", kubeconfigPath: "/home/me/kube.yaml" };
  t.is(restoreCommand({ context: "prod" }), "chaos restore --all --context prod");
  t.is(restoreCommand(place), "chaos restore --all --context 'my cluster' --kubeconfig /home/me/kube.yaml");
});
