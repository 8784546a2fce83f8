import test from "ava";
import type { ExecutionContext } from "ava";
import type { Pod } from "../../../src/kube/objects.js";
import { createTransport } from "../../../src/kube/transport.js";
import type { ApiError, Transport } from "../../../src/kube/transport.js";
import { watch } from "../../../src/kube/watch.js";
import type { WatchEvent, WatchOptions, WatchTimers } from "../../../src/kube/watch.js";
import { FakeApiServer } from "../../helpers/fake-api-server.js";

const PODS = "/api/v1/namespaces/kube-system/pods";
const IDLE_MS = 90_000;

/** Timers that record their delays. Short delays end at once; the test fires the others. */
class TestTimers implements WatchTimers {
  readonly now = (): number => 0;
  readonly asked: number[] = [];
  readonly #waiting = new Map<number, { ms: number; callback: () => void; timer?: NodeJS.Timeout }>();
  /** Whether the test fires a timer with this delay, ms. */
  readonly isManual: (ms: number) => boolean;
  #next = 1;

  constructor(isManual: (ms: number) => boolean = (ms) => ms >= 1_000) {
    this.isManual = isManual;
  }
  after(ms: number, callback: () => void): () => void {
    const id = this.#next++;
    this.asked.push(ms);
    const fire = (): void => void (this.#waiting.delete(id) && callback());
    this.#waiting.set(id, { ms, callback, ...(this.isManual(ms) ? {} : { timer: setTimeout(fire, 0) }) });
    return () => {
      clearTimeout(this.#waiting.get(id)?.timer);
      this.#waiting.delete(id);
    };
  }
  random(): number {
    return 0;
  }
  /** Fires the timers with this delay; returns their number. */
  fire(ms: number): number {
    const due = [...this.#waiting.entries()].filter(([, each]) => each.ms === ms);
    for (const [id, { callback }] of due) {
      this.#waiting.delete(id);
      callback();
    }
    return due.length;
  }
  waiting(ms: number): number {
    return [...this.#waiting.values()].filter((each) => each.ms === ms).length;
  }
  /** The delays between tries. */
  get backoffs(): number[] {
    return this.asked.filter((ms) => !this.isManual(ms));
  }
}

interface Watched {
  readonly server: FakeApiServer;
  readonly transport: Transport;
  readonly timers: TestTimers;
  /** `ADDED a`, … */
  readonly reported: string[];
  readonly events: WatchEvent<Pod>[];
  readonly notes: string[];
  /** How many times it was synced. */
  synced: number;
  /** Resolves as soon as the condition is true. */
  until(condition: () => boolean): Promise<void>;
  /** Resolves when a watch is open at both ends. */
  opened(): Promise<void>;
  stop(): Promise<void>;
  readonly done: Promise<void>;
}

async function watched(
  t: ExecutionContext,
  options: Partial<WatchOptions<Pod>> & {
    timers?: TestTimers;
    prepare?: (server: FakeApiServer) => void;
  } = {},
): Promise<Watched> {
  const server = await FakeApiServer.start();
  options.prepare?.(server);
  const transport = createTransport({ server: server.url, userAgent: "test" });
  const controller = new AbortController();
  const timers = options.timers ?? new TestTimers();
  const self: Watched = {
    server,
    transport,
    timers,
    reported: [],
    events: [],
    notes: [],
    synced: 0,
    until: async (condition) => {
      while (!condition()) await new Promise((resolve) => setTimeout(resolve, 1));
    },
    opened: async () => await self.until(() => server.watchCount() === 1 && timers.waiting(IDLE_MS) === 1),
    stop: async () => {
      controller.abort();
      await self.done;
    },
    done: watch<Pod>({
      transport,
      path: PODS,
      signal: controller.signal,
      timers,
      ...options,
      onEvent: (event) => {
        self.reported.push(`${event.type} ${event.object.metadata.name}`);
        self.events.push(event);
        options.onEvent?.(event);
      },
      onSynced: () => void self.synced++,
      onNote: (note) => self.notes.push(note),
    }),
  };
  // A test that expects a rejection checks it.
  self.done.catch(() => undefined);
  t.teardown(async () => {
    controller.abort();
    transport.close();
    await server.close();
  });
  return self;
}

const pod = (name: string, labels: Record<string, string> = {}): { metadata: Record<string, unknown> } => ({
  metadata: { name, labels },
});

/** Lists and opened watches that the server has seen. */
function counts(server: FakeApiServer): { lists: number; watches: number } {
  const gets = server.requestsOf("GET", PODS);
  return { lists: gets.filter((r) => !r.watch).length, watches: gets.filter((r) => r.watch).length };
}

/** Asserts that each uid and version occurs at most once. */
function assertNoRepeats(t: ExecutionContext, events: readonly WatchEvent<Pod>[]): void {
  const keys = events.map(
    (e) => `${e.type === "DELETED"} ${e.object.metadata.uid} ${e.object.metadata.resourceVersion}`,
  );
  t.deepEqual(keys, [...new Set(keys)]);
}

test("existing objects come as ADDED, then the changes since the list's version", async (t) => {
  const w = await watched(t, { prepare: (s) => s.put(PODS, pod("a")) });
  await w.opened();
  t.is(w.synced, 1);
  w.server.put(PODS, pod("b"));
  w.server.update(`${PODS}/a`, { metadata: { labels: { x: "1" } } });
  w.server.remove(`${PODS}/a`);
  await w.until(() => w.reported.length >= 4);
  t.deepEqual(w.reported, ["ADDED a", "ADDED b", "MODIFIED a", "DELETED a"]);
  t.is(w.events[0]?.object.kind, "Pod");
  const query = w.server.requests.find((r) => r.watch)?.query;
  t.is(query?.get("resourceVersion"), "101");
  t.is(query?.get("allowWatchBookmarks"), "true");
  t.is(query?.get("timeoutSeconds"), "300");
  await w.stop();
  t.deepEqual(w.notes, []);
});

test("selectors go to the server: an object that ceases to match is DELETED", async (t) => {
  const w = await watched(t, {
    labelSelector: "k8s-app=kube-dns",
    fieldSelector: "metadata.namespace=kube-system",
    prepare: (s) => {
      s.put(PODS, pod("dns", { "k8s-app": "kube-dns" }));
      s.put(PODS, pod("other"));
    },
  });
  await w.opened();
  w.server.update(`${PODS}/dns`, { metadata: { labels: { "k8s-app": "x" } } });
  await w.until(() => w.reported.length >= 2);
  t.deepEqual(w.reported, ["ADDED dns", "DELETED dns"]);
});

test("HTTP 410: re-lists and reports what was missed: deleted, new, changed, a reused name", async (t) => {
  const w = await watched(t, { prepare: (s) => ["a", "b", "c"].forEach((name) => s.put(PODS, pod(name))) });
  await w.opened();
  const oldUid = w.server.object(`${PODS}/c`)?.metadata.uid;
  w.server.silenceWatches();
  w.server.remove(`${PODS}/a`);
  w.server.update(`${PODS}/b`, { metadata: { labels: { x: "1" } } });
  w.server.remove(`${PODS}/c`);
  w.server.put(PODS, pod("c"));
  w.server.put(PODS, pod("d"));
  w.server.compact();
  w.server.endWatches();
  await w.until(() => w.synced === 2);
  t.deepEqual(w.reported.slice(3), ["DELETED a", "DELETED c", "MODIFIED b", "ADDED c", "ADDED d"]);
  t.is(w.events[4]?.object.metadata.uid, oldUid);
  t.not(w.events[6]?.object.metadata.uid, oldUid);
  t.true(w.notes.some((note) => note.includes("410")));
  // The end was the first in a row (no delay), the 410 the second.
  t.deepEqual(w.timers.backoffs, [20]);
  t.is(counts(w.server).lists, 2);
  assertNoRepeats(t, w.events);
});

test("an ERROR event 410 in the stream: re-lists immediately", async (t) => {
  const w = await watched(t, { prepare: (s) => s.fault({ kind: "error-event", code: 410 }) });
  await w.until(() => w.synced === 2 && w.server.watchCount() === 1);
  t.deepEqual(counts(w.server), { lists: 2, watches: 2 });
  t.deepEqual(w.timers.backoffs, []);
  t.deepEqual(w.notes, ["watch version too old (410); re-lists immediately"]);
});

test("an ERROR event with another code: re-lists after a short delay", async (t) => {
  const w = await watched(t, { prepare: (s) => s.fault({ kind: "error-event", code: 500 }) });
  await w.until(() => w.synced === 2 && w.server.watchCount() === 1);
  t.deepEqual(w.timers.backoffs, [20]);
});

test("429 on a watch: waits for Retry-After, then continues", async (t) => {
  const w = await watched(t, {
    timers: new TestTimers((ms) => ms >= 60_000 || ms === 1_000),
    prepare: (s) => s.fault({ kind: "status", status: 429, retryAfter: 7, watch: true }),
  });
  await w.opened();
  t.deepEqual(w.timers.backoffs, [7_000]);
  t.deepEqual(counts(w.server), { lists: 1, watches: 2 });
  w.server.put(PODS, pod("a"));
  await w.until(() => w.reported.length === 1);
});

test("429 on a list: retryAfterSeconds of the Status counts too", async (t) => {
  const w = await watched(t, {
    timers: new TestTimers((ms) => ms >= 60_000 || ms === 1_000),
    prepare: (s) => s.fault({ kind: "status", status: 429, retryAfterSeconds: 3, watch: false }),
  });
  await w.opened();
  t.deepEqual(w.timers.backoffs, [3_000]);
});

for (const fault of [{ kind: "status", status: 500 }, { kind: "reset" }] as const) {
  test(`${fault.kind} on opening a watch: a short back-off, then it continues from the last version`, async (t) => {
    const w = await watched(t, { prepare: (s) => s.fault({ ...fault, watch: true, times: 2 }) });
    await w.opened();
    t.deepEqual(w.timers.backoffs, [20, 40]);
    t.deepEqual(counts(w.server), { lists: 1, watches: 3 });
    w.server.put(PODS, pod("a"));
    await w.until(() => w.reported.length === 1);
  });

  test(`${fault.kind} on a list: retried until it works`, async (t) => {
    const w = await watched(t, { prepare: (s) => s.fault({ ...fault, watch: false, times: 6 }) });
    await w.until(() => w.synced === 1);
    t.deepEqual(w.timers.backoffs, [20, 40, 80, 160, 320, 640]);
  });
}

test("a reset of an open watch: resumes from the last version, nothing lost, nothing twice", async (t) => {
  const w = await watched(t);
  await w.opened();
  w.server.put(PODS, pod("a"));
  await w.until(() => w.reported.length === 1);
  w.server.resetWatches();
  w.server.put(PODS, pod("b"));
  await w.until(() => w.reported.length === 2 && w.server.watchCount() === 1);
  t.deepEqual(w.reported, ["ADDED a", "ADDED b"]);
  t.deepEqual(counts(w.server), { lists: 1, watches: 2 });
  t.is(w.server.requests.filter((r) => r.watch)[1]?.query.get("resourceVersion"), "101");
});

test("the server closes every watch at once: the first retry is immediate, then a growing back-off", async (t) => {
  const w = await watched(t, {
    timers: new TestTimers((ms) => ms >= 60_000 || ms === 1_000),
    prepare: (s) => s.fault({ kind: "end-watch", times: Infinity }),
  });
  await w.until(() => counts(w.server).watches >= 11);
  await w.stop();
  t.deepEqual(w.timers.backoffs.slice(0, 9), [20, 40, 80, 160, 320, 640, 1280, 2000, 2000]);
});

test("while every watch is closed, lists report the changes", async (t) => {
  const w = await watched(t, {
    timers: new TestTimers((ms) => ms >= 60_000 || ms === 1_000),
    prepare: (s) => s.fault({ kind: "end-watch", times: Infinity }),
  });
  await w.until(() => counts(w.server).watches >= 6);
  w.server.put(PODS, pod("a"));
  await w.until(() => w.reported.length === 1);
  w.server.remove(`${PODS}/a`);
  await w.until(() => w.reported.length === 2);
  t.deepEqual(w.reported, ["ADDED a", "DELETED a"]);
  // No hot loop: after the first, each try has a delay, up to the cap.
  await w.until(() => w.timers.backoffs.includes(2_000));
  t.true(w.timers.backoffs.length >= counts(w.server).watches - 2);
  await w.stop();
});

test("a watch that was open long enough resets the back-off", async (t) => {
  const w = await watched(t);
  for (let end = 0; end < 3; end++) {
    await w.until(() => w.server.watchCount() === 1 && w.timers.waiting(1_000) === 1);
    w.timers.fire(1_000);
    w.server.endWatches();
    await w.until(() => w.server.watchCount() === 0);
  }
  await w.opened();
  t.deepEqual(w.timers.backoffs, []);
  t.deepEqual(counts(w.server), { lists: 1, watches: 4 });
});

test("a silent server: the idle timer ends the watch, and it resumes without loss", async (t) => {
  const w = await watched(t);
  await w.opened();
  w.server.silenceWatches();
  w.server.put(PODS, pod("a"));
  t.is(w.timers.fire(IDLE_MS), 1);
  await w.until(() => w.reported.length === 1);
  t.deepEqual(counts(w.server), { lists: 1, watches: 2 });
  t.regex(w.notes[0] ?? "", /silent for 90 s/);
});

test("each event and bookmark restarts the idle timer", async (t) => {
  const w = await watched(t);
  await w.opened();
  for (let n = 1; n <= 3; n++) {
    w.server.bookmark();
    await w.until(() => w.timers.asked.filter((ms) => ms === IDLE_MS).length === n + 1);
  }
  t.is(w.timers.waiting(IDLE_MS), 1);
});

test("a silent server: a resync finds and reports what was missed, and reopens the watch", async (t) => {
  const w = await watched(t, { resyncMs: 5_000, prepare: (s) => s.put(PODS, pod("a")) });
  await w.opened();
  w.server.silenceWatches();
  w.server.remove(`${PODS}/a`);
  w.server.put(PODS, pod("b"));
  t.is(w.timers.fire(5_000), 1);
  await w.until(() => w.synced === 2 && counts(w.server).watches === 2);
  t.deepEqual(w.reported, ["ADDED a", "DELETED a", "ADDED b"]);
  t.deepEqual(w.timers.backoffs, []);
  t.is(w.server.requests.at(-1)?.query.get("resourceVersion"), "103");
  w.server.put(PODS, pod("c"));
  await w.until(() => w.reported.length === 4);
  assertNoRepeats(t, w.events);
});

test("a resync that finds nothing keeps the watch open", async (t) => {
  const w = await watched(t, { resyncMs: 5_000, prepare: (s) => s.put(PODS, pod("a")) });
  await w.opened();
  for (let n = 2; n <= 3; n++) {
    w.timers.fire(5_000);
    await w.until(() => counts(w.server).lists === n && w.timers.waiting(5_000) === 1);
  }
  t.deepEqual(counts(w.server), { lists: 3, watches: 1 });
  t.deepEqual(w.reported, ["ADDED a"]);
});

test("a resync whose list is older than an event that arrived meanwhile reports nothing", async (t) => {
  const w = await watched(t, { resyncMs: 5_000 });
  await w.opened();
  const empty = { kind: "PodList", apiVersion: "v1", metadata: { resourceVersion: "100" }, items: [] };
  w.server.handle("GET", /\/pods$/, async (request) => {
    if (request.watch) return undefined;
    w.server.put(PODS, pod("new"));
    await w.until(() => w.reported.length === 1);
    return { body: empty };
  });
  w.timers.fire(5_000);
  await w.until(() => w.timers.waiting(5_000) === 1);
  t.deepEqual(w.reported, ["ADDED new"]);
  t.is(counts(w.server).watches, 1);
});

test("a resync that fails is noted, and the watch continues", async (t) => {
  const w = await watched(t, { resyncMs: 5_000 });
  await w.opened();
  w.server.fault({ kind: "status", status: 500, watch: false });
  w.timers.fire(5_000);
  await w.until(() => w.timers.waiting(5_000) === 1);
  t.regex(w.notes[0] ?? "", /^resync failed: .*500.*; the watch continues$/);
  w.server.put(PODS, pod("a"));
  await w.until(() => w.reported.length === 1);
});

test("an incomplete line at the end of the stream is dropped; the event comes once, with the next watch", async (t) => {
  const w = await watched(t);
  await w.opened();
  w.server.fault({ kind: "truncate" });
  w.server.silenceWatches();
  w.server.put(PODS, pod("a"));
  w.server.endWatches();
  await w.until(() => w.reported.length === 1 && w.server.watchCount() === 1);
  t.deepEqual(w.reported, ["ADDED a"]);
  t.true(w.notes.some((note) => note.includes("incomplete line dropped")));
  t.is(counts(w.server).lists, 1);
});

test("a line that is not JSON: noted without a quote, and the watch resumes", async (t) => {
  const w = await watched(t);
  await w.opened();
  w.server.writeToWatches("{secret-token\n");
  await w.until(() => w.notes.length === 1);
  t.notRegex(w.notes[0] ?? "", /secret/);
  w.server.put(PODS, pod("a"));
  await w.until(() => w.reported.length === 1);
});

test("a server that repeats its whole history: nothing is reported twice", async (t) => {
  const w = await watched(t);
  await w.opened();
  w.server.put(PODS, pod("a"));
  w.server.update(`${PODS}/a`, { metadata: { labels: { x: "1" } } });
  w.server.remove(`${PODS}/a`);
  w.server.put(PODS, pod("a"));
  await w.until(() => w.reported.length === 4);
  w.server.fault({ kind: "replay" });
  w.server.endWatches();
  await w.until(() => counts(w.server).watches === 3);
  w.server.put(PODS, pod("b"));
  await w.until(() => w.reported.includes("ADDED b"));
  t.deepEqual(w.reported, ["ADDED a", "MODIFIED a", "DELETED a", "ADDED a", "ADDED b"]);
  assertNoRepeats(t, w.events);
});

test("a bookmark advances the version, so that a compaction does no harm", async (t) => {
  const w = await watched(t);
  await w.opened();
  w.server.put("/api/v1/namespaces/other/pods", pod("elsewhere"));
  w.server.bookmark();
  await w.until(() => w.timers.asked.filter((ms) => ms === IDLE_MS).length === 2);
  w.server.compact();
  w.server.endWatches();
  await w.until(() => counts(w.server).watches === 2 && w.server.watchCount() === 1);
  t.is(counts(w.server).lists, 1);
});

test("a handler that throws on the stream ends the watch, which rejects with that error", async (t) => {
  const thrown = new Error("handler");
  const w = await watched(t, {
    onEvent: ({ object }) => {
      if (object.metadata.name === "bad") throw thrown;
    },
  });
  await w.opened();
  w.server.put(PODS, pod("bad"));
  t.is(await t.throwsAsync(w.done), thrown);
  await w.until(() => w.server.watchCount() === 0);
  t.is(w.timers.waiting(IDLE_MS), 0);
});

test("a handler that throws in a list or in a resync rejects too", async (t) => {
  const thrown = new Error("handler");
  const onEvent = (): void => {
    throw thrown;
  };
  const first = await watched(t, { onEvent, prepare: (s) => s.put(PODS, pod("a")) });
  t.is(await t.throwsAsync(first.done), thrown);

  const second = await watched(t, { onEvent, resyncMs: 5_000 });
  await second.opened();
  second.server.silenceWatches();
  second.server.put(PODS, pod("a"));
  second.timers.fire(5_000);
  t.is(await t.throwsAsync(second.done), thrown);
});

for (const status of [401, 403, 404]) {
  test(`${status} on the first list rejects at once`, async (t) => {
    const w = await watched(t, { prepare: (s) => s.fault({ kind: "status", status, reason: "No" }) });
    t.like(await t.throwsAsync<ApiError>(w.done), { name: "ApiError", status, reason: "No" });
    t.is(w.server.requests.length, 1);
  });
}

test("403 on the first watch rejects: the verb is not granted", async (t) => {
  const w = await watched(t, { prepare: (s) => s.fault({ kind: "status", status: 403, watch: true }) });
  t.like(await t.throwsAsync<ApiError>(w.done), { status: 403 });
});

test("403 from a server that has just started is retried; a lasting one rejects", async (t) => {
  const w = await watched(t, { timers: new TestTimers((ms) => ms >= 60_000 || ms === 1_000) });
  await w.opened();
  w.server.fault({ kind: "status", status: 403, times: 5 });
  w.server.endWatches();
  await w.until(() => w.server.watchCount() === 0);
  await w.opened();
  w.server.put(PODS, pod("a"));
  await w.until(() => w.reported.length === 1);

  w.server.fault({ kind: "status", status: 403, times: Infinity });
  w.server.endWatches();
  t.like(await t.throwsAsync<ApiError>(w.done), { status: 403 });
});

test("the server stops and starts again on its port: what happened meanwhile is reported", async (t) => {
  const w = await watched(t, { prepare: (s) => s.put(PODS, pod("a")) });
  await w.opened();
  const disarm = w.server.fault({ kind: "reset", times: Infinity });
  w.server.resetWatches();
  w.server.remove(`${PODS}/a`);
  await w.until(() => w.notes.length >= 5);
  disarm();
  await w.until(() => w.reported.length === 2);
  t.deepEqual(w.reported, ["ADDED a", "DELETED a"]);
});

test("an abort ends it at any point, and clears every timer", async (t) => {
  const open = await watched(t, { resyncMs: 5_000 });
  await open.opened();
  await open.stop();
  await open.until(() => open.server.watchCount() === 0);
  t.deepEqual(
    [IDLE_MS, 5_000, 1_000].map((ms) => open.timers.waiting(ms)),
    [0, 0, 0],
  );

  const listing = await watched(t, { prepare: (s) => s.fault({ kind: "hang" }) });
  await listing.until(() => listing.server.requests.length === 1);
  await listing.stop();

  const waiting = await watched(t, {
    timers: new TestTimers(() => true),
    prepare: (s) => s.fault({ kind: "status", status: 500 }),
  });
  await waiting.until(() => waiting.timers.waiting(20) === 1);
  await waiting.stop();
  t.is(waiting.timers.waiting(20), 0);
});

test("the handler runs inside the data event: a deletion has started before the next line is read", async (t) => {
  const order: string[] = [];
  const w = await watched(t, {
    onEvent: ({ object }) => {
      order.push(`begin ${object.metadata.name}`);
      queueMicrotask(() => order.push(`later ${object.metadata.name}`));
    },
  });
  await w.opened();
  const line = (name: string, version: number): string =>
    `${JSON.stringify({ type: "ADDED", object: { metadata: { name, uid: name, resourceVersion: `${version}` } } })}\n`;
  w.server.writeToWatches(line("a", 201) + line("b", 202));
  await w.until(() => order.length === 4);
  t.deepEqual(order, ["begin a", "begin b", "later a", "later b"]);
});

test("lines may arrive in any chunks, also split within a character", async (t) => {
  const w = await watched(t);
  await w.opened();
  const object = { metadata: { name: "a", uid: "u", resourceVersion: "201", labels: { word: "はず" } } };
  const bytes = Buffer.from(`${JSON.stringify({ type: "ADDED", object })}\n`);
  for (const byte of bytes) {
    w.server.writeToWatches(Buffer.from([byte]));
    await new Promise((resolve) => setImmediate(resolve));
  }
  await w.until(() => w.events.length === 1);
  t.deepEqual(w.events[0]?.object.metadata.labels, { word: "はず" });
});
