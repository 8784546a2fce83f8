import { after } from "../../../src/common/clock.js";
import type { ExecutionContext } from "ava";
import test from "ava";
import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import type { Clock } from "../../../src/common/clock.js";
import { RefusedError } from "../../../src/common/errors.js";
import type { Secret } from "../../../src/kube/objects.js";
import { ApiError } from "../../../src/kube/transport.js";
import { lockCluster, type LockedCluster, type Holding } from "../../../src/run/phases/lock.js";
import { copyPath } from "../../../src/safety/journal/cluster-copy.js";
import { Journal, parseJournal, readJournal, type Undo } from "../../../src/safety/journal/journal.js";
import { LOCK_PATH } from "../../../src/safety/lock/lease.js";
import { stagesOf } from "../../../src/safety/restore/order.js";
import { LEASES, NAMESPACES, opened, OWN, removal } from "../../helpers/dead-man-world.js";
import type { FakeApiServer } from "../../helpers/fake-api-server.js";
import { holdOf } from "../../helpers/restore-bench.js";
import { serve, until, writes } from "../../helpers/target-fixtures.js";

const SECRETS = `${OWN}/secrets`;
const COPY = copyPath("run-1");
const SHOP = removal(`${NAMESPACES}/shop`);

/** A clock that stands still: the lock is never renewed. */
const stillClock: Clock = {
  now: () => 0,
  after,
  wall: () => new Date("2026-08-01T12:00:00.000Z"),
  sleep: async (_ms, signal) =>
    await new Promise<void>((resolve) => {
      if (signal?.aborted === true) resolve();
      signal?.addEventListener("abort", () => resolve(), { once: true });
    }),
};

interface Bench {
  readonly server: FakeApiServer;
  readonly holding: Holding;
  hold(): Promise<LockedCluster>;
  /** The kinds whose undo is on disk now, and whether the journal is closed. */
  onDisk(): string[];
  /** "METHOD path" of every request that changes something. */
  written(): string[];
}

async function bench(t: ExecutionContext): Promise<Bench> {
  const { server, transport } = await serve(t);
  const root = await mkdtemp(join(tmpdir(), "chaos-lock-"));
  t.teardown(async () => await rm(root, { recursive: true, force: true }));
  const journal = await Journal.create(root, opened("run-1"));
  const holding = { runId: "run-1", transport, clock: stillClock, journal, made: [] };
  server.onDelete = (object) => {
    if (object.kind === "Namespace" && object.metadata.name === "kube-system-chaos") server.remove(COPY);
  };
  return {
    server,
    holding,
    hold: async () => {
      const held = await lockCluster(holding, { durationMs: 60_000, warn: (text) => t.log(text) });
      t.teardown(async () => await held.lock.stopRenewing());
      return held;
    },
    onDisk: () => {
      const text = readFileSync(join(journal.folder, "journal"), "utf8");
      const state = parseJournal("f", text);
      const kinds = (state?.intents ?? []).map(({ undo }) => undo.object.kind ?? "");
      return state?.closed === true ? [...kinds, "closed"] : kinds;
    },
    written: () => writes(server).map(({ method, path }) => `${method} ${path}`),
  };
}

/** The text of the journal's copy in the cluster. */
function copyOf(server: FakeApiServer): string {
  return unpacked(server.object(COPY));
}

function unpacked(secret: Secret | undefined): string {
  return gunzipSync(Buffer.from(secret?.data?.["journal.gz"] ?? "", "base64")).toString();
}

/** Sequence numbers of the intents in a journal's text. */
function seqsOf(text: string): number[] {
  return (parseJournal("f", text)?.intents ?? []).map(({ seq }) => seq);
}

test("lock, namespace, copy: in this order, each on disk before its request", async (t) => {
  const b = await bench(t);
  const seen: [string, string[]][] = [];
  for (const path of [/leases$/, /namespaces$/, /secrets$/]) {
    b.server.handle("POST", path, (request) => {
      seen.push([request.path, b.onDisk()]);
      return undefined;
    });
  }
  const { last } = await b.hold();
  t.deepEqual(seen, [
    [LEASES, ["Lease"]],
    [NAMESPACES, ["Lease", "Namespace"]],
    [SECRETS, ["Lease", "Namespace", "Secret"]],
  ]);
  t.deepEqual(
    b.written(),
    seen.map(([path]) => `POST ${path}`),
  );
  t.deepEqual(
    last.map(({ seq, undo }) => [seq, undo.object.kind]),
    [
      [1, "Lease"],
      [3, "Secret"],
    ],
  );
  t.deepEqual(
    b.holding.made.map(({ seq, undo }) => [seq, undo.object.kind]),
    [[2, "Namespace"]],
  );
  t.deepEqual(seqsOf(copyOf(b.server)), [1, 2, 3]);
  t.true((await readJournal(b.holding.journal.folder))?.copied);
  t.deepEqual(holdOf(b.server, "run-1"), ["Lease", "Namespace", "Secret"]);
});

test("lock, own namespace and copy are told apart from other objects", (t) => {
  const other = removal(`${NAMESPACES}/guestbook`);
  const workload = { action: "restore-workload", object: { metadata: { name: "x" } } } as unknown as Undo;
  t.deepEqual(
    [
      removal(LOCK_PATH, {}, "Lease"),
      removal(OWN),
      { ...removal(OWN), action: "empty" } as Undo,
      removal(COPY, {}, "Secret"),
      other,
      workload,
    ].map((undo, seq) => {
      const { copy, home, lock } = stagesOf([{ seq, undo }]);
      return [...copy, ...home, ...lock].length === 1;
    }),
    [true, true, true, true, false, false],
  );
});

for (const [what, path] of [
  ["the lock", "leases"],
  ["the namespace", "namespaces"],
  ["the copy", "secrets"],
] as const) {
  for (const made of [false, true]) {
    test(`${what} fails${made ? " but was created anyway" : ""}: nothing is left, and nothing to restore`, async (t) => {
      const b = await bench(t);
      b.server.handle("POST", new RegExp(`/${path}$`), (request) => {
        if (made) b.server.put(request.path, request.body as never);
        return { status: 500, body: { kind: "Status", code: 500, message: "etcdserver: request timed out" } };
      });
      await t.throwsAsync(b.hold(), { instanceOf: ApiError, message: /timed out/ });
      t.deepEqual(holdOf(b.server, "run-1"), []);
      t.is(b.onDisk().at(-1), "closed");
      t.deepEqual((await readJournal(b.holding.journal.folder))?.pending, []);
    });
  }

  test(`${what} fails, and it cannot be removed again: the journal stays open and names it`, async (t) => {
    const b = await bench(t);
    b.server.handle("POST", new RegExp(`/${path}$`), (request) => {
      b.server.put(request.path, request.body as never);
      return { status: 500, body: { kind: "Status", code: 500, message: "etcdserver: request timed out" } };
    });
    b.server.fault({ kind: "status", status: 500, method: "DELETE", times: Infinity });
    await t.throwsAsync(b.hold(), { instanceOf: ApiError, message: /timed out/ });
    const state = await readJournal(b.holding.journal.folder);
    t.false(state?.closed);
    // A restore knows about everything that exists.
    t.deepEqual(
      state?.pending.map(({ undo }) => undo.object.kind),
      holdOf(b.server, "run-1"),
    );
    t.true((state?.pending.length ?? 0) > 0);
  });
}

test("someone else holds the lock: refused, and their objects are left unchanged", async (t) => {
  const b = await bench(t);
  const theirs = b.server.put(LEASES, {
    metadata: { name: "kube-system-chaos", labels: { "kube-system-chaos/run": "run-0" } },
    spec: { holderIdentity: "run-0@elsewhere" },
  });
  const namespace = b.server.put(NAMESPACES, {
    metadata: { name: "kube-system-chaos", labels: { "app.kubernetes.io/managed-by": "kube-system-chaos" } },
  });
  await t.throwsAsync(b.hold(), { instanceOf: RefusedError, message: /run-0@elsewhere/ });
  t.deepEqual(b.written(), [`POST ${LEASES}`]);
  t.deepEqual(b.server.object(LOCK_PATH), theirs);
  t.deepEqual(b.server.object(OWN), namespace);
  t.deepEqual(b.onDisk(), ["Lease", "closed"]);
});

test("the namespace is someone else's: refused, the namespace stays, and the lock is removed", async (t) => {
  const b = await bench(t);
  const theirs = b.server.put(NAMESPACES, { metadata: { name: "kube-system-chaos" } });
  await t.throwsAsync(b.hold(), { instanceOf: RefusedError, message: /not created by this tool/ });
  t.deepEqual(b.server.object(OWN), theirs);
  t.is(b.server.object(LOCK_PATH), undefined);
  t.is(b.onDisk().at(-1), "closed");
});

test("if a later step fails, the lock is no longer renewed", async (t) => {
  const b = await bench(t);
  const slept: AbortSignal[] = [];
  const clock: Clock = {
    ...stillClock,
    sleep: async (ms, signal) => {
      if (signal !== undefined) slept.push(signal);
      await stillClock.sleep(ms, signal);
    },
  };
  b.server.fault({ kind: "status", status: 403, method: "POST", path: "secrets" });
  const holding = { ...b.holding, clock };
  await t.throwsAsync(lockCluster(holding, { durationMs: 1, warn: () => t.fail() }), { message: /403/ });
  t.true(slept.length > 0 && slept.every((signal) => signal.aborted));
  t.is(b.server.object(LOCK_PATH), undefined);
});

test("each later intent is in the copy before it resolves", async (t) => {
  const b = await bench(t);
  await b.hold();
  const { journal } = b.holding;
  let answer = (): void => undefined;
  const held = new Promise<undefined>((resolve) => (answer = () => resolve(undefined)));
  b.server.handle("PUT", /secrets/, async () => await held);
  let resolved = false;
  const writing = journal.intent(SHOP).then((seq) => {
    resolved = true;
    return seq;
  });
  await until("the copy is being written", () => b.server.requestsOf("PUT", "secrets").length === 1);
  t.false(resolved);
  t.deepEqual(seqsOf(readFileSync(join(journal.folder, "journal"), "utf8")), [1, 2, 3, 4], "on disk first");
  answer();
  t.is(await writing, 4);
  t.deepEqual(seqsOf(copyOf(b.server)), [1, 2, 3, 4]);
  t.is(copyOf(b.server), readFileSync(join(journal.folder, "journal"), "utf8"));
});

test("a copy that cannot be written refuses the intent: nothing may be changed; the next intent is written again", async (t) => {
  const b = await bench(t);
  await b.hold();
  const { journal } = b.holding;
  const heal = b.server.fault({
    kind: "status",
    status: 403,
    method: "PUT",
    path: "secrets",
    times: Infinity,
  });
  await t.throwsAsync(journal.intent(SHOP), { instanceOf: ApiError, message: /403/ });
  t.deepEqual(seqsOf(copyOf(b.server)), [1, 2, 3]);
  heal();
  t.is(await journal.intent(SHOP), 5);
  t.deepEqual(seqsOf(copyOf(b.server)), [1, 2, 3, 4, 5], "including the refused one: it is on disk");
});

test("concurrent intents: one write at a time, and none overwrites a newer one", async (t) => {
  const b = await bench(t);
  await b.hold();
  const { journal } = b.holding;
  const texts: string[] = [];
  let flying = 0;
  const releases: (() => void)[] = [];
  b.server.handle("PUT", /secrets/, async ({ body }) => {
    flying += 1;
    t.is(flying, 1, "one write at a time");
    texts.push(unpacked(body as Secret));
    await new Promise<void>((resolve) => releases.push(resolve));
    flying -= 1;
    return undefined;
  });
  const writing = Array.from({ length: 6 }, async () => {
    const seq = await journal.intent(SHOP);
    t.true(seqsOf(copyOf(b.server)).includes(seq), `${seq} is in the copy when it resolves`);
  });
  const onDisk = (): string => readFileSync(join(journal.folder, "journal"), "utf8");
  await until("all are on disk", () => seqsOf(onDisk()).length === 9);
  await b.holding.transport.json({ method: "GET", path: "/version" });
  t.is(b.server.requestsOf("PUT", "secrets").length, 1, "the others wait for the first");
  for (let count = 1; count <= writing.length; count += 1) {
    await until(`write ${count}`, () => releases.length === count);
    releases.at(-1)?.();
  }
  await Promise.all(writing);
  t.is(texts.length, 6);
  for (const [index, text] of texts.entries()) t.true(text.startsWith(texts[index - 1] ?? ""));
  t.deepEqual(seqsOf(copyOf(b.server)), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
});
