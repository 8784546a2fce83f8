/** When undos are not tried again, and the ConfigMap of addon-manager's proof. */
import test from "ava";
import { implausible } from "../../../src/safety/journal/plausible.js";
import type { Undo } from "../../../src/safety/journal/journal.js";
import { undo, undoAll } from "../../../src/safety/restore/undo-entries.js";
import { DEPLOYMENTS, putKubeDns, serve, targetOf, writes } from "../../helpers/target-fixtures.js";

const CONFIGMAPS = "/api/v1/namespaces/kube-system/configmaps";
const DRIFT = `${CONFIGMAPS}/kube-system-chaos-drift`;

function handClock(): {
  now: () => number;
  wall: () => Date;
  after: never;
  sleep: (ms: number) => Promise<void>;
} {
  let now = 0;
  return {
    now: () => now,
    wall: () => new Date(now),
    after: undefined as never,
    sleep: async (ms) => await Promise.resolve(void (now += ms)),
  };
}

test("a restore whose credentials are refused ends at the first try and says what to do", async (t) => {
  const { server, transport } = await serve(t);
  putKubeDns(server);
  const { object } = await targetOf(transport);
  server.remove(`${DEPLOYMENTS}/kube-dns`);
  server.fault({ kind: "status", status: 401, times: Infinity });
  const clock = handClock();
  const entry: Undo = {
    action: "restore-workload",
    path: `${DEPLOYMENTS}/kube-dns`,
    collection: DEPLOYMENTS,
    object,
  };
  const failures = await undoAll(transport, [{ seq: 1, undo: entry }], () => Promise.resolve(), {
    clock,
    limitMs: 60_000,
  });
  t.is(clock.now(), 0);
  t.true(failures[0]?.isFinal);
  t.regex(failures[0]?.error ?? "", /refuses the credentials \(HTTP 401\).*Sign in again/);
});

test("retries end at the limit in sum, whatever the limit of one entry", async (t) => {
  const { server, transport } = await serve(t);
  server.fault({ kind: "status", status: 500, times: Infinity });
  const clock = handClock();
  const entry = (name: string): Undo => ({
    action: "remove",
    path: `/api/v1/namespaces/${name}`,
    object: { kind: "Namespace", name },
    labels: {},
  });
  const pending = ["a", "b", "c", "d"].map((name, seq) => ({ seq, undo: entry(name) }));
  const retry = { clock, limitMs: 60_000, totalMs: 90_000 };
  t.is((await undoAll(transport, pending, () => Promise.resolve(), retry)).length, 4);
  t.is(clock.now(), 90_000);
});

test("the drift of addon-manager's proof: only its data is restored, by a patch", async (t) => {
  const { server, transport } = await serve(t);
  const before = server.put(CONFIGMAPS, {
    metadata: { name: "kube-system-chaos-drift" },
    data: { state: "reconciled" },
  });
  const object = { ...before, kind: "ConfigMap" } as never;
  const entry: Undo = { action: "restore-workload", path: DRIFT, collection: CONFIGMAPS, object };
  t.is(implausible(entry, "a-run"), undefined);
  t.regex(
    implausible({ ...entry, path: `${CONFIGMAPS}/coredns` }, "a-run") ?? "",
    /not a workload that a run attacks/,
    "no other ConfigMap",
  );
  t.like(await undo(transport, entry), { how: "untouched" });
  t.deepEqual(writes(server), []);
  server.update(DRIFT, { data: { state: "drifted-1" }, metadata: { annotations: { new: "kept" } } });
  t.like(await undo(transport, entry), { how: "patched" });
  t.like(server.object(DRIFT), { data: { state: "reconciled" } });
  t.is(server.object(DRIFT)?.metadata.annotations?.["new"], "kept");
  server.remove(DRIFT);
  t.like(await undo(transport, entry), { how: "untouched" }, "addon-manager creates it");
});
