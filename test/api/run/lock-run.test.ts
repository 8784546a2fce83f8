import test from "ava";
import { type ChaosError, ExitCode, RefusedError } from "../../../src/common/errors.js";
import { LOCK_PATH } from "../../../src/safety/lock/lease.js";
import type { FakeApiServer } from "../../helpers/fake-api-server.js";
import { fakeRun } from "../../helpers/fake-run.js";
import { serve, writes } from "../../helpers/target-fixtures.js";

const LEASES = LOCK_PATH.replace(/\/[^/]+$/, "");

/** The lock is created, but the response says that it failed: a timeout in the store, a proxy that gave up. */
function answersTooLate(server: FakeApiServer): void {
  server.handle("POST", /leases$/, ({ body }) => {
    server.put(LEASES, body as never);
    return { status: 500, body: { kind: "Status", code: 500, message: "etcdserver: request timed out" } };
  });
}

test("someone else acquires the lock after preflight: refused, their lock stays, nothing is left to restore", async (t) => {
  const { server } = await serve(t);
  server.handle("POST", /leases$/, () => {
    server.put(LEASES, {
      metadata: { name: "kube-system-chaos" },
      spec: { holderIdentity: "run-0@elsewhere" },
    });
    return undefined;
  });
  const { error, unfinished, reports } = await fakeRun(t, server);
  t.true(error instanceof RefusedError);
  t.regex(String(error), /run-0@elsewhere/);
  t.deepEqual(unfinished, []);
  t.deepEqual(reports, []);
  t.not(server.object(LOCK_PATH), undefined);
  t.deepEqual(
    writes(server).map(({ method, path }) => `${method} ${path}`),
    [`POST ${LEASES}`],
  );
});

test("the lock was created but the response was lost: it is removed again", async (t) => {
  const { server } = await serve(t);
  answersTooLate(server);
  const { error, unfinished, reports } = await fakeRun(t, server);
  t.regex(String(error), /request timed out/);
  t.is(server.object(LOCK_PATH), undefined);
  t.deepEqual(unfinished, []);
  t.deepEqual(reports, []);
});

test("the same, but the lock cannot be removed: the journal keeps it for a restore", async (t) => {
  const { server } = await serve(t);
  answersTooLate(server);
  server.fault({ kind: "status", status: 500, method: "DELETE", times: Infinity });
  const { error, unfinished } = await fakeRun(t, server);
  t.regex(String(error), /not fully restored: .*request timed out.*chaos restore .*-x-/);
  t.is((error as ChaosError).exitCode, ExitCode.notRestored);
  t.not(server.object(LOCK_PATH), undefined);
  t.deepEqual(
    unfinished.flatMap(({ pending }) => pending.map(({ undo }) => undo.action === "remove" && undo.path)),
    [LOCK_PATH],
  );
});

test("a refused preflight leaves nothing behind: no journal, no report, no write", async (t) => {
  const { server } = await serve(t);
  server.put(LEASES, {
    metadata: { name: "kube-system-chaos" },
    spec: { holderIdentity: "run-0@elsewhere" },
  });
  const { error, unfinished, reports } = await fakeRun(t, server);
  t.true(error instanceof RefusedError);
  t.regex(String(error), /preflight refused; nothing was changed:\n {2}lock: held by run-0@elsewhere/);
  t.deepEqual(unfinished, []);
  t.deepEqual(reports, []);
  t.deepEqual(writes(server), []);
});
