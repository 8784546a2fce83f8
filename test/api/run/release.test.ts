import test from "ava";
import type { ExecutionContext } from "ava";
import type { RunEventBody } from "../../../src/evidence/events.js";
import type { RunContext } from "../../../src/run/context.js";
import type { PendingUndo } from "../../../src/safety/journal/journal.js";
import { followedTransport } from "../../../src/kube/followed-transport.js";
import { GivingUp } from "../../../src/run/giving-up.js";
import { inPhase } from "../../../src/run/phases/phase.js";
import { release } from "../../../src/run/phases/release.js";
import type { FakeApiServer } from "../../helpers/fake-api-server.js";
import { DEPLOYMENTS, putKubeDns, serve, targetOf, writes } from "../../helpers/target-fixtures.js";

const PATH = `${DEPLOYMENTS}/kube-dns`;

interface Released {
  readonly whole: boolean;
  readonly events: readonly RunEventBody[];
  /** Records of the journal. */
  readonly undone: readonly string[];
  readonly server: FakeApiServer;
  /** By a clock that only sleeping advances, ms. */
  readonly tookMs: number;
}

/** A release on the fake API server, after `damage`. */
async function releasing(
  t: ExecutionContext,
  damage: (server: FakeApiServer) => void,
  options: { readonly journalFails?: boolean; readonly onSleep?: (server: FakeApiServer) => void } = {},
): Promise<Released> {
  const { server, transport } = await serve(t);
  putKubeDns(server);
  const target = await targetOf(transport);
  const events: RunEventBody[] = [];
  const undone: string[] = [];
  let now = 0;
  const givingUp = new GivingUp({ now: () => now });
  givingUp.end();
  const context = {
    transport: followedTransport(transport, givingUp),
    givingUp,
    recorder: { emit: (body: RunEventBody) => void events.push(body), events },
    journal: {
      restored: async (seq: number, how: string, by: string) => {
        if (options.journalFails === true) throw new Error("ENOSPC: no space left on device");
        await Promise.resolve(undone.push(`${seq} ${how} ${by}`));
      },
    },
    clock: {
      now: () => now,
      wall: () => new Date(now),
      sleep: async (ms: number) => {
        now += ms;
        await Promise.resolve(options.onSleep?.(server));
      },
    },
  } as unknown as RunContext;
  const pending: PendingUndo[] = [
    {
      seq: 7,
      undo: { action: "restore-workload", path: PATH, collection: DEPLOYMENTS, object: target.object },
    },
  ];
  damage(server);
  const attack = { type: "delete-workload", gracePeriod: 1000 } as const;
  const whole = await inPhase(
    context,
    "release",
    async () => await release(context, { target, attack }, pending),
  );
  return { whole, events, undone, server, tookMs: now };
}

const START: RunEventBody = { type: "phase", phase: "release", state: "start" };
const END: RunEventBody = { type: "phase", phase: "release", state: "end" };

const inner = ({ events }: Released): readonly RunEventBody[] => events.slice(1, -1);

test("release: a deleted workload is created; an event and the journal say so", async (t) => {
  const released = await releasing(t, (server) => void server.remove(PATH));
  t.true(released.whole);
  t.deepEqual([released.events[0], released.events.at(-1)], [START, END]);
  t.is(inner(released).length, 1);
  t.like(inner(released)[0], { type: "restored", how: "created", by: "runner" });
  t.deepEqual(released.undone, ["7 created runner"]);
  t.is(released.tookMs, 0);
});

test("release: a workload that was never deleted gives no event and is done in the journal", async (t) => {
  const released = await releasing(t, () => undefined);
  t.true(released.whole);
  t.deepEqual(released.events, [START, END]);
  t.deepEqual(released.undone, ["7 untouched runner"]);
  t.deepEqual(writes(released.server), []);
});

test("release: requests to an API server that fails for a while are retried", async (t) => {
  const released = await releasing(t, (server) => {
    server.remove(PATH);
    server.fault({ kind: "status", status: 500, method: "POST", path: "deployments", times: 3 });
  });
  t.true(released.whole);
  t.like(inner(released)[0], { type: "restored", how: "created", by: "runner" });
  t.deepEqual(released.undone, ["7 created runner"]);
  t.is(released.tookMs, 3_000);
});

test("release: an API server that keeps failing is given up after two minutes, with a warning", async (t) => {
  const released = await releasing(t, (server) => {
    server.remove(PATH);
    server.fault({ kind: "status", status: 500, method: "POST", path: "deployments", times: Infinity });
  });
  t.false(released.whole);
  t.is(released.tookMs, 120_000);
  t.is(inner(released).length, 1);
  t.like(inner(released)[0], { type: "warning" });
  t.regex(JSON.stringify(inner(released)[0]), /not restored: .*500/);
  t.deepEqual(released.undone, []);
  t.deepEqual(released.events.at(-1), END);
});

test("release: a journal that cannot be written is a warning; the workload is still restored", async (t) => {
  const released = await releasing(t, (server) => void server.remove(PATH), { journalFails: true });
  t.true(released.whole);
  t.not(released.server.object(PATH), undefined);
  t.is(inner(released).length, 2);
  t.like(inner(released)[0], { type: "restored", how: "created", by: "runner" });
  t.deepEqual(inner(released)[1], {
    type: "warning",
    text: "could not write the journal: ENOSPC: no space left on device",
  });
  t.is(writes(released.server).length, 2, "created only once; then its fields go back");
});

test("release: refused credentials are given up after 10 s, not after two minutes; nothing is hidden", async (t) => {
  const released = await releasing(t, (server) => {
    server.remove(PATH);
    server.fault({ kind: "status", status: 401, times: Infinity });
  });
  t.false(released.whole);
  t.is(released.tookMs, 10_000);
  t.regex(
    JSON.stringify(inner(released)),
    /not restored: the API server refuses the credentials .HTTP 401., also after/,
  );
});
