/**
 * Undoing is idempotent: from any state of the cluster, undoing twice, in parts, or twice at the same time has the same
 * result as undoing once.
 */
import { after } from "../../../src/common/clock.js";
import test from "ava";
import fc from "fast-check";
import type { Clock } from "../../../src/common/clock.js";
import { sanitised } from "../../../src/kube/declared.js";
import type { KubeObject } from "../../../src/kube/objects.js";
import { createTransport, type Transport } from "../../../src/kube/transport.js";
import type { PendingUndo, Undo } from "../../../src/safety/journal/journal.js";
import { type Undone } from "../../../src/safety/journal/undo.js";
import { undoAll, type NotUndone } from "../../../src/safety/restore/undo-entries.js";
import { FakeApiServer, type Draft } from "../../helpers/fake-api-server.js";
import {
  DAEMONSETS,
  deployment,
  DEPLOYMENTS,
  LABELS,
  pod,
  serve,
  writes,
} from "../../helpers/target-fixtures.js";

const NAMESPACES = "/api/v1/namespaces";
const LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases";
const OURS = { "app.kubernetes.io/managed-by": "kube-system-chaos", "kube-system-chaos/run": "run-1" };

/** The state of a workload at the restore, compared with the journal's entry. */
type WorkloadState =
  | { readonly is: "gone" | "same" | "recreated" }
  /** A foreign change: of the original object, or of one that was created since. */
  | { readonly is: "changed" | "recreated and changed"; readonly change: number }
  /** When its deletion ends, in the restore's own time, ms; undefined: never. */
  | { readonly is: "terminating"; readonly goneAtMs: number | undefined };

/** A namespace or a Lease that an entry names as the tool's own. */
type RemovedState = "gone" | "own" | "another run's" | "someone else's" | "without labels";

interface WorkloadEntry {
  readonly what: "Deployment" | "DaemonSet";
  readonly state: WorkloadState;
  /** The entry's flag: an existing workload is left unchanged. */
  readonly onlyIfGone: boolean;
}

interface RemovedEntry {
  readonly what: "Namespace" | "Lease";
  readonly state: RemovedState;
}
type Entry = WorkloadEntry | RemovedEntry;

const isWorkload = (each: Entry): each is WorkloadEntry =>
  each.what === "Deployment" || each.what === "DaemonSet";

const workloadState: fc.Arbitrary<WorkloadState> = fc.oneof(
  fc.record({ is: fc.constantFrom("gone" as const, "same" as const, "recreated" as const) }),
  fc.record({
    is: fc.constantFrom("changed" as const, "recreated and changed" as const),
    change: fc.nat({ max: 4 }),
  }),
  // Shorter than the retry limit of an entry, or endless.
  fc.record({
    is: fc.constant("terminating" as const),
    goneAtMs: fc.constantFrom(0, 1_500, 4_000, undefined),
  }),
);
const entry: fc.Arbitrary<Entry> = fc.oneof(
  fc.record({
    what: fc.constantFrom("Deployment" as const, "DaemonSet" as const),
    state: workloadState,
    onlyIfGone: fc.oneof(
      { weight: 4, arbitrary: fc.constant(false) },
      { weight: 1, arbitrary: fc.constant(true) },
    ),
  }),
  fc.record({
    what: fc.constantFrom("Namespace" as const, "Lease" as const),
    state: fc.constantFrom<RemovedState>("gone", "own", "another run's", "someone else's", "without labels"),
  }),
);
const entries = fc.array(entry, { minLength: 1, maxLength: 6 });

const TRY_FOR_MS = 5_000;

const CHANGES: readonly Draft[] = [
  { spec: { replicas: 0 } },
  { spec: { replicas: null } },
  { metadata: { labels: { ...LABELS, theirs: "1" } } },
  { metadata: { annotations: { note: null, "kubectl.kubernetes.io/last-applied-configuration": "{}" } } },
  { spec: { template: { spec: { containers: [{ name: "dns", image: "example.com/other:1" }] } } } },
];

const LABELS_OF: Readonly<Record<RemovedState, Readonly<Record<string, string>> | undefined>> = {
  gone: undefined,
  own: { ...OURS, more: "1" },
  "another run's": { ...OURS, "kube-system-chaos/run": "run-2" },
  "someone else's": { "app.kubernetes.io/managed-by": "Helm" },
  "without labels": undefined,
};

/** A cluster in which the entries were written and things have changed since. */
class World {
  readonly pending: PendingUndo[] = [];
  readonly clock: Clock;
  readonly transport: Transport;
  readonly #server: FakeApiServer;
  readonly #ends: { atMs: number; path: string }[] = [];

  private constructor(server: FakeApiServer) {
    this.#server = server;
    this.transport = createTransport({ server: server.url, userAgent: "kube-system-chaos/1" });
    let nowMs = 0;
    this.clock = {
      now: () => nowMs,
      after,
      wall: () => new Date(nowMs),
      sleep: async (ms) => {
        nowMs += ms;
        const due = this.#ends.filter(({ atMs }) => atMs <= nowMs);
        for (const each of due)
          this.#server.remove(this.#ends.splice(this.#ends.indexOf(each), 1)[0]?.path ?? "");
        await Promise.resolve();
      },
    };
  }

  static async of(entries: readonly Entry[]): Promise<World> {
    const world = new World(await FakeApiServer.start());
    // No entry names these.
    world.#server.put(NAMESPACES, { metadata: { name: "shop", labels: OURS } });
    world.#server.put(DEPLOYMENTS, deployment("bystander"));
    for (const [index, each] of entries.entries()) {
      const name = `x${index}`;
      const undo = isWorkload(each)
        ? world.#workload(each, name)
        : world.#removed(each.what, name, each.state);
      world.pending.push({ seq: index + 1, undo });
    }
    return world;
  }

  #workload({ what: kind, state, onlyIfGone }: WorkloadEntry, name: string): Undo {
    const collection = kind === "Deployment" ? DEPLOYMENTS : DAEMONSETS;
    const path = `${collection}/${name}`;
    const object = this.#server.put(collection, deployment(name));
    if (state.is !== "same" && state.is !== "changed" && state.is !== "terminating")
      this.#server.remove(path);
    if (state.is === "recreated" || state.is === "recreated and changed") {
      this.#server.put(collection, deployment(name));
    }
    if ("change" in state) this.#server.update(path, CHANGES[state.change] ?? {});
    if (state.is === "terminating") {
      this.#server.update(path, {
        metadata: { deletionTimestamp: "2026-08-01T12:00:00Z", finalizers: ["foregroundDeletion"] },
      });
      if (state.goneAtMs !== undefined) this.#ends.push({ atMs: state.goneAtMs, path });
    }
    const undo = { action: "restore-workload", path, collection, object } as const;
    return onlyIfGone ? { ...undo, onlyIfGone } : undo;
  }

  #removed(kind: "Namespace" | "Lease", name: string, state: RemovedState): Undo {
    const collection = kind === "Namespace" ? NAMESPACES : LEASES;
    if (state !== "gone") {
      const labels = LABELS_OF[state];
      this.#server.put(collection, { metadata: { name, ...(labels && { labels }) } });
      if (kind === "Namespace") this.#fill(name);
    }
    return { action: "remove", path: `${collection}/${name}`, object: { kind, name }, labels: OURS };
  }

  /** Content of the namespace, own or not. */
  #fill(namespace: string): void {
    this.#server.put(`/apis/apps/v1/namespaces/${namespace}/deployments`, deployment("app"));
    this.#server.put(`${NAMESPACES}/${namespace}/pods`, pod("app", { node: undefined }));
  }

  /** Undoes these entries (default: all), and calls `report` for each. */
  async undo(
    pending: readonly PendingUndo[] = this.pending,
    report: (seq: number, undone: Undone) => void = () => undefined,
  ): Promise<NotUndone[]> {
    return await undoAll(
      this.transport,
      pending,
      async (seq, undone) => await Promise.resolve(report(seq, undone)),
      { clock: this.clock, limitMs: TRY_FOR_MS },
    );
  }

  /** All objects, as their owners declared them. */
  state(): string[] {
    return this.#all().map(([path, object]) => `${path} ${JSON.stringify(sorted(sanitised(object)))}`);
  }

  /** The same with what the server sets: equal only when nothing at all was written. */
  raw(): string[] {
    return this.#all().map(([path, object]) => `${path} ${JSON.stringify(object)}`);
  }

  writes(): number {
    return writes(this.#server).length;
  }

  #all(): [string, KubeObject][] {
    const all = ["/api/v1/pods", NAMESPACES, "/apis/apps/v1/deployments", "/apis/apps/v1/daemonsets", LEASES];
    return all.flatMap((collection) =>
      this.#server
        .objects(collection)
        .map((object): [string, KubeObject] => [
          `${collection} ${object.metadata.namespace ?? ""}/${object.metadata.name}`,
          object,
        ]),
    );
  }

  async close(): Promise<void> {
    this.transport.close();
    await this.#server.close();
  }
}

/** With sorted keys: a server does not keep their order. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, inner]) => [key, sorted(inner)]),
  );
}

async function inWorlds(
  entries: readonly Entry[],
  count: number,
  use: (...worlds: World[]) => Promise<void>,
): Promise<void> {
  const worlds: World[] = [];
  try {
    for (let index = 0; index < count; index += 1) worlds.push(await World.of(entries));
    await use(...worlds);
  } finally {
    for (const world of worlds) await world.close();
  }
}

const errorsOf = (failures: readonly NotUndone[]): string[] => failures.map(({ error }) => error);
const isEndless = (each: Entry): boolean =>
  isWorkload(each) && each.state.is === "terminating" && each.state.goneAtMs === undefined;

test("property: undoing twice is the same as once, and the second time nothing is written", async (t) => {
  const seen = new Set<string>();
  await fc.assert(
    fc.asyncProperty(entries, async (some) => {
      await inWorlds(some, 1, async (world) => {
        if (world === undefined) return t.fail();
        const first = new Map<number, string>();
        const failures = await world.undo(undefined, (seq, { how }) => first.set(seq, how));
        for (const how of first.values()) seen.add(how);
        t.is(failures.length, some.filter(isEndless).length, errorsOf(failures).join("\n"));
        const [state, writes] = [world.raw(), world.writes()];
        const second: string[] = [];
        t.deepEqual(
          errorsOf(await world.undo(undefined, (_seq, { how }) => second.push(how))),
          errorsOf(failures),
        );
        t.deepEqual(world.raw(), state);
        t.is(world.writes(), writes);
        t.deepEqual(
          second.filter((how) => !["untouched", "found", "removed"].includes(how)),
          [],
        );
      });
    }),
    { seed: 1, numRuns: 60 },
  );
  // The generated states cover every way of undoing.
  t.deepEqual([...seen].sort(), ["created", "found", "patched", "removed", "untouched"]);
});

test("property: the state from before the run is restored, and nothing of anyone else is changed", async (t) => {
  await fc.assert(
    fc.asyncProperty(entries, async (some) => {
      // The same cluster where the only change is that the tool's own objects are gone.
      const asItShouldBe = some.map((each): Entry => {
        if (!isWorkload(each)) return each.state === "own" ? { ...each, state: "gone" } : each;
        const stays = isEndless(each) || (each.onlyIfGone && "change" in each.state);
        return stays ? each : { ...each, state: { is: "same" } };
      });
      await inWorlds(some, 1, async (world) => {
        await inWorlds(asItShouldBe, 1, async (wanted) => {
          await world?.undo();
          t.deepEqual(world?.state(), wanted?.state());
        });
      });
    }),
    { seed: 2, numRuns: 40 },
  );
});

test("property: interrupted after some entries and started again, it ends in the same state", async (t) => {
  await fc.assert(
    fc.asyncProperty(entries, fc.nat(), fc.boolean(), async (some, at, recordWasLost) => {
      await inWorlds(some, 2, async (whole, parted) => {
        if (whole === undefined || parted === undefined) return t.fail();
        const failures = await whole.undo();
        // From the last to the first; killed after `count`, possibly before the last one was recorded.
        const count = at % (some.length + 1);
        const restored: number[] = [];
        await parted.undo(parted.pending.slice(some.length - count), (seq) => restored.push(seq));
        if (recordWasLost) restored.pop();
        const rest = parted.pending.filter(({ seq }) => !restored.includes(seq));
        t.deepEqual(errorsOf(await parted.undo(rest)), errorsOf(failures));
        t.deepEqual(parted.state(), whole.state());
      });
    }),
    { seed: 3, numRuns: 40 },
  );
});

test("property: two restores at the same time leave the same state as one", async (t) => {
  await fc.assert(
    fc.asyncProperty(entries, async (some) => {
      await inWorlds(some, 2, async (alone, together) => {
        if (alone === undefined || together === undefined) return t.fail();
        await alone.undo();
        await Promise.all([together.undo(), together.undo()]);
        t.deepEqual(together.state(), alone.state());
      });
    }),
    { seed: 4, numRuns: 40 },
  );
});

test("emptying an emptied prepared namespace again writes nothing", async (t) => {
  const { server, transport } = await serve(t);
  server.put(NAMESPACES, {
    metadata: { name: "guestbook", labels: { ...OURS, "kube-system-chaos/prepared": "true" } },
  });
  const deployments = "/apis/apps/v1/namespaces/guestbook/deployments";
  server.put(deployments, { metadata: { name: "own", labels: OURS } });
  server.put(deployments, { metadata: { name: "theirs" } });
  server.put(`${NAMESPACES}/guestbook/pods`, pod("theirs", { node: undefined }));
  const path = `${NAMESPACES}/guestbook`;
  const undo: Undo = {
    action: "empty",
    path,
    object: { kind: "Namespace", name: "guestbook" },
    labels: OURS,
  };
  const names = (): string[] =>
    [...server.objects(deployments), ...server.objects(`${path}/pods`)].map(({ metadata }) => metadata.name);
  for (const writesSoFar of [1, 1]) {
    const hows: string[] = [];
    const report = async (_seq: number, { how }: Undone): Promise<void> =>
      await Promise.resolve(void hows.push(how));
    t.deepEqual(await undoAll(transport, [{ seq: 1, undo }], report), []);
    t.deepEqual(hows, ["emptied"]);
    t.deepEqual(names(), ["theirs", "theirs"]);
    t.is(writes(server).length, writesSoFar);
  }
  t.not(server.object(path), undefined);
});
