/** A full outage window and its release, with a problem in the middle. */
import type { ExecutionContext } from "ava";
import test from "ava";
import { PassThrough } from "node:stream";
import type { Clock } from "../../../src/common/clock.js";
import { systemClock } from "../../../src/common/clock.js";
import { resolveExperiment } from "../../../src/components/resolve.js";
import type { RunEvent, RunEventBody } from "../../../src/evidence/events.js";
import { experimentSchema } from "../../../src/experiment/schema.js";
import { sanitised } from "../../../src/kube/declared.js";
import type { Deployment } from "../../../src/kube/objects.js";
import type { RunFacts } from "../../../src/evidence/facts.js";
import type { RunContext } from "../../../src/run/context.js";
import { PHASES } from "../../../src/run/phases/all-phases.js";
import { runPhases } from "../../../src/run/phases/phase.js";
import { release } from "../../../src/run/phases/release.js";
import { endOutage } from "../../../src/run/phases/window.js";
import { RunState } from "../../../src/run/run-state.js";
import type { PendingUndo, Undo } from "../../../src/safety/journal/journal.js";
import { TargetWatch } from "../../../src/targets/target-watch.js";
import { createView } from "../../../src/ui/view.js";
import type { Draft, FakeApiServer } from "../../helpers/fake-api-server.js";
import {
  deployment,
  DEPLOYMENTS,
  isDying,
  owner,
  pod,
  PODS,
  putKubeDns,
  REPLICASET,
  serve,
  targetOf,
  until,
} from "../../helpers/target-fixtures.js";

const PATH = `${DEPLOYMENTS}/kube-dns`;

type AttackType = "delete-pods" | "delete-workload" | "scale-to-zero" | "none";

/** A running window. */
interface Fight {
  readonly server: FakeApiServer;
  readonly watch: TargetWatch;
  readonly events: RunEvent[];
  readonly warnings: () => string[];
  /** Reasons why the run had to stop. */
  readonly changed: string[];
  /** Fires the delayed work (the grace period after someone else's deletion). */
  readonly later: () => Promise<void>;
}

interface Outcome extends Fight {
  /** Whether everything was restored. */
  readonly whole: boolean;
}

/**
 * The window of an attack on kube-dns, which lasts until `meanwhile` has ended (or the run has to stop), and the
 * release after it.
 */
async function fight(
  t: ExecutionContext,
  type: AttackType,
  meanwhile: (fight: Fight) => Promise<void>,
  options: { readonly clock?: Clock; readonly prepare?: (server: FakeApiServer) => void } = {},
): Promise<Outcome> {
  const { server, transport } = await serve(t);
  putKubeDns(server);
  options.prepare?.(server);
  const target = await targetOf(transport);
  const resolved = resolveExperiment(
    experimentSchema.parse({
      apiVersion: "kube-system-chaos/v1",
      kind: "Experiment",
      metadata: { name: "x" },
      target: { component: "kube-dns" },
      attack: { type },
    }),
  );
  const clock = options.clock ?? systemClock();
  const events: RunEvent[] = [];
  const emit = (body: RunEventBody, tMs = clock.now()): void => void events.push({ ...body, tMs });
  const changed: string[] = [];
  const over = new AbortController();
  const ended = new AbortController();
  const delayed = new Set<() => void>();
  const watch = new TargetWatch({
    transport,
    target,
    emit,
    signal: over.signal,
    resyncMs: 50,
    foreign: {
      attack: type,
      onChanged: (message) => {
        changed.push(message);
        ended.abort();
      },
      after: (_ms, work) => {
        delayed.add(work);
        return () => delayed.delete(work);
      },
    },
  });
  const { synced, done } = watch.start();
  t.teardown(async () => {
    over.abort();
    await done;
  });
  await synced;
  const context = {
    runId: "run-1",
    resolved,
    transport,
    clock,
    nodes: [],
    nodeAccess: undefined,
    target,
    companions: [],
    recorder: { emit, events, onEvent: () => undefined },
    view: createView({ stream: new PassThrough().resume(), out: new PassThrough().resume(), mode: "plain" }),
    journal: { restored: async () => await Promise.resolve() },
    interrupted: new AbortController().signal,
  } as unknown as RunContext;
  const undo: Undo = {
    action: "restore-workload",
    path: PATH,
    collection: DEPLOYMENTS,
    object: target.object,
    ...(type === "delete-pods" ? { onlyIfGone: true as const } : {}),
  };
  const pending: PendingUndo[] = type === "none" ? [] : [{ seq: 1, undo }];
  const state = new RunState(context, {
    experiment: { ...resolved.experiment, attack: resolved.attack },
    target,
  } as unknown as RunFacts);
  state.pending.push(...pending);
  state.measuring = { nodes: [], watch, companions: [] };
  ended.signal.addEventListener("abort", () => state.broken.abort());
  const suppressing = runPhases(
    PHASES.filter(({ name }) => name === "window"),
    state,
  );
  await until(
    "the attack has killed something",
    () => type === "none" || events.some((event) => event.type === "kill"),
  );
  const under: Fight = {
    server,
    watch,
    events,
    changed,
    warnings: () => events.flatMap((event) => (event.type === "warning" ? [event.text] : [])),
    later: async () => {
      await until("some work was delayed", () => delayed.size > 0);
      for (const work of [...delayed]) work();
    },
  };
  await meanwhile(under);
  ended.abort();
  await suppressing;
  await endOutage(state);
  const whole = await release(
    { ...context, clock: skipping(clock) },
    { target, attack: resolved.attack },
    pending,
  );
  return { ...under, whole };
}

/** The same clock, but sleeping takes no real time: a release waits for restorers that do not exist here. */
function skipping(clock: Clock): Clock {
  let skippedMs = 0;
  return {
    ...clock,
    now: () => clock.now() + skippedMs,
    sleep: async (ms) => {
      skippedMs += ms;
      await new Promise((resolve) => setImmediate(resolve));
    },
  };
}

const replicas = (server: FakeApiServer): number | undefined =>
  (server.object(PATH) as unknown as Deployment | undefined)?.spec?.replicas;

const seenReplicas = (watch: TargetWatch): number | undefined =>
  (watch.current("Deployment")[0] as unknown as Deployment | undefined)?.spec?.replicas;

/** Someone else changes the spec: the server increments the generation. */
function change(server: FakeApiServer, spec: Draft, manager = "kubectl-edit"): void {
  const { generation = 0 } = server.object(PATH)?.metadata ?? {};
  const managedFields = [{ manager, time: "2026-06-01T00:00:00Z", fieldsV1: { "f:spec": {} } }];
  server.update(PATH, { metadata: { generation: generation + 1, managedFields }, spec });
}

/** Someone else recreates the Deployment, and the attack deletes it again. */
async function recreatedAndDeletedAgain({ server }: Fight): Promise<void> {
  await until("the Deployment was gone", () => server.object(PATH) === undefined);
  const { uid } = server.put(DEPLOYMENTS, deployment()).metadata;
  await until("it was deleted again", () => server.object(PATH)?.metadata.uid !== uid);
}

/** The Deployment as it was declared. */
function declared(server: FakeApiServer): unknown {
  const object = server.object(PATH);
  return object === undefined ? undefined : sanitised(object);
}

const TROUBLES: Readonly<Record<string, (server: FakeApiServer) => () => void>> = {
  "the API server is away: connections are reset": (server) => {
    const heal = server.fault({ kind: "reset", times: Infinity });
    server.resetWatches();
    return heal;
  },
  "every request is answered 429 with Retry-After": (server) => {
    const heal = server.fault({ kind: "status", status: 429, retryAfter: 0.02, times: Infinity });
    server.endWatches();
    return heal;
  },
  "every request is answered 500": (server) => {
    const heal = server.fault({ kind: "status", status: 500, times: Infinity });
    server.endWatches();
    return heal;
  },
};

for (const [trouble, begin] of Object.entries(TROUBLES)) {
  test(`${trouble}, for a while: the attack continues after it, and everything is restored`, async (t) => {
    const outcome = await fight(t, "delete-workload", async (under) => {
      const { server, events } = under;
      await until("the Deployment was gone", () => server.object(PATH) === undefined);
      const heal = begin(server);
      const { uid } = server.put(DEPLOYMENTS, deployment()).metadata;
      const troubles = (): number => events.filter((event) => event.type === "watch").length;
      await until("the watches had reported it several times", () => troubles() >= 6);
      t.is(server.object(PATH)?.metadata.uid, uid, "it exists meanwhile: it could not be deleted");
      heal();
      await until("it was deleted again", () => server.object(PATH)?.metadata.uid !== uid);
    });
    t.deepEqual(outcome.changed, []);
    t.true(outcome.whole);
    t.is(replicas(outcome.server), 2);
  });
}

test("watches that never open: re-lists replace them", async (t) => {
  const outcome = await fight(t, "delete-workload", async (under) => {
    under.server.fault({ kind: "hang", watch: true, times: 8 });
    under.server.resetWatches();
    await recreatedAndDeletedAgain(under);
  });
  t.true(outcome.whole);
});

const OF_WATCHES: Readonly<Record<string, (server: FakeApiServer) => void>> = {
  "cut off": (server) => server.resetWatches(),
  "ended by the server": (server) => server.endWatches(),
  stalled: (server) => server.silenceWatches(),
  "torn in the middle of a line": (server) => {
    server.fault({ kind: "truncate", times: 4 });
    server.endWatches();
  },
  "too old (410)": (server) => {
    server.compact();
    server.fault({ kind: "error-event", code: 410, times: 4 });
    server.endWatches();
  },
  "refused (410)": (server) => {
    server.fault({ kind: "status", status: 410, watch: true, times: 4 });
    server.endWatches();
  },
  "not JSON": (server) => server.writeToWatches("{ half a line\n"),
};

for (const [trouble, begin] of Object.entries(OF_WATCHES)) {
  test(`the watches are ${trouble}: a recreated target is deleted again, and the gap is in the evidence`, async (t) => {
    const outcome = await fight(t, "delete-workload", async (under) => {
      await until("the Deployment was gone", () => under.server.object(PATH) === undefined);
      begin(under.server);
      await recreatedAndDeletedAgain(under);
    });
    t.true(outcome.events.some((event) => event.type === "watch"));
    t.deepEqual(outcome.changed, []);
    t.true(outcome.whole);
    t.is(replicas(outcome.server), 2);
  });
}

test("a deletion lost with its connection is sent again, and both are in the evidence", async (t) => {
  const outcome = await fight(t, "delete-workload", async (under) => {
    await until("the Deployment was gone", () => under.server.object(PATH) === undefined);
    under.server.fault({ kind: "cut-body", method: "DELETE", path: "/deployments/", times: 2 });
    await recreatedAndDeletedAgain(under);
  });
  const kills = outcome.events.filter((event) => event.type === "kill" && event.object.kind === "Deployment");
  t.true(kills.some((event) => event.type === "kill" && event.status === 0));
  t.true(outcome.whole);
});

test("the API server is unreachable when the window ends: stopping the attack has a limit, the restore retries", async (t) => {
  let heal: () => void = () => undefined;
  const outcome = await fight(t, "delete-workload", async ({ server, events }) => {
    await until("the Deployment was gone", () => server.object(PATH) === undefined);
    heal = server.fault({ kind: "status", status: 503, method: "POST", times: Infinity });
    const refused = (): number =>
      server.requestsOf("POST", "deployments").filter(({ status }) => status === 503).length;
    void until("the restore was refused twice", () => refused() >= 2).then(() => heal());
    await Promise.resolve(events);
  });
  t.true(outcome.whole);
  t.is(replicas(outcome.server), 2);
});

test("the wall clock steps by an hour, back and forth: the window, its events and the restore are not affected", async (t) => {
  const real = systemClock();
  let asked = 0;
  const clock: Clock = {
    ...real,
    wall: () => new Date(Date.UTC(2026, 0, 1) + (asked++ % 2 === 0 ? 1 : -1) * 3_600_000),
  };
  const outcome = await fight(t, "delete-workload", recreatedAndDeletedAgain, { clock });
  const phases = outcome.events.filter((event) => event.type === "phase").map(({ tMs }) => tMs);
  t.deepEqual(
    phases,
    [...phases].sort((a, b) => a - b),
  );
  t.true(outcome.events.every(({ tMs }) => tMs >= 0 && tMs < 60_000));
  t.true(outcome.whole);
});

// Foreign changes to the target during the window.

const NEW_TEMPLATE = { template: { spec: { containers: [{ name: "dns", image: "coredns:v2" }] } } };

test("scale-to-zero: scaled up by someone else: scaled down again, reported, and restored to the number before", async (t) => {
  const outcome = await fight(t, "scale-to-zero", async ({ server, watch, warnings }) => {
    await until("scaled down", () => replicas(server) === 0);
    await until("the attack's own change was seen", () => seenReplicas(watch) === 0);
    change(server, { replicas: 5 }, "kubectl-scale");
    await until("scaled down again", () => replicas(server) === 0);
    await until("it was reported", () => warnings().length > 0);
  });
  t.deepEqual(outcome.warnings(), [
    "Deployment kube-system/kube-dns was set to 5 replicas, and the attack scales it down again (by kubectl-scale)",
  ]);
  t.deepEqual(outcome.changed, []);
  t.true(outcome.whole);
  t.is(replicas(outcome.server), 2);
});

test("delete-workload: recreated by someone else repeatedly: deleted each time; the run does not stop", async (t) => {
  let recreated = 0;
  const outcome = await fight(t, "delete-workload", async (under) => {
    await recreatedAndDeletedAgain(under);
    await recreatedAndDeletedAgain(under);
    // Before the release, which creates it once more.
    recreated = under.events.filter(
      (event) => event.type === "recreated" && event.object.kind === "Deployment",
    ).length;
  });
  t.deepEqual(outcome.changed, []);
  t.is(recreated, 2);
  t.true(outcome.whole);
});

test("delete-workload: recreated with another selector: its pods would not be seen, so the run stops", async (t) => {
  const outcome = await fight(t, "delete-workload", async ({ server, changed }) => {
    await until("the Deployment was gone", () => server.object(PATH) === undefined);
    const draft = deployment() as { spec: object };
    server.put(DEPLOYMENTS, {
      ...draft,
      spec: { ...draft.spec, selector: { matchLabels: { app: "other" } } },
    });
    await until("the run had to stop", () => changed.length > 0);
  });
  t.deepEqual(outcome.changed, [
    "Deployment kube-system/kube-dns now has another selector (by an unknown field manager)",
  ]);
});

for (const attack of ["delete-pods", "scale-to-zero"] as const) {
  test(`${attack}: the workload is deleted for good: reported, stopped after the grace period, recreated`, async (t) => {
    const outcome = await fight(t, attack, async ({ server, later, changed, warnings }) => {
      server.remove(PATH);
      await until("it was reported", () => warnings().length > 0);
      t.deepEqual(changed, [], "it may be recreated in a moment");
      await later();
      await until("the run had to stop", () => changed.length > 0);
    });
    t.deepEqual(outcome.changed, [
      "Deployment kube-system/kube-dns was not recreated within 10 s after someone else deleted it",
    ]);
    t.true(outcome.whole);
    const { server } = await serve(t);
    putKubeDns(server);
    t.deepEqual(declared(outcome.server), declared(server), "as it was before the run");
  });

  test(`${attack}: the workload is renamed: stopped, and the new name is reported`, async (t) => {
    const outcome = await fight(t, attack, async ({ server, later, changed }) => {
      server.put(DEPLOYMENTS, deployment("kube-dns-2"));
      server.remove(PATH);
      await later();
      await until("the run had to stop", () => changed.length > 0);
    });
    t.deepEqual(outcome.changed, [
      "Deployment kube-system/kube-dns was not recreated within 10 s after someone else deleted it; " +
        "Deployment kube-dns-2 has the same selector: was the workload renamed?",
    ]);
    t.not(outcome.server.object(`${DEPLOYMENTS}/kube-dns-2`), undefined, "their Deployment stays");
  });

  test(`${attack}: deleted and recreated immediately: reported, and the attack continues`, async (t) => {
    const outcome = await fight(t, attack, async ({ server, warnings }) => {
      server.remove(PATH);
      server.put(DEPLOYMENTS, deployment());
      await until("both were reported", () => warnings().length >= 2);
      if (attack === "scale-to-zero") await until("scaled down again", () => replicas(server) === 0);
    });
    t.regex(
      outcome.warnings().join("\n"),
      /was deleted by someone else: .*\n.*was recreated by an unknown field manager; the attack continues/,
    );
    t.deepEqual(outcome.changed, []);
    t.true(outcome.whole);
    t.is(replicas(outcome.server), 2);
  });

  test(`${attack}: the template is changed: stopped, with the author`, async (t) => {
    const outcome = await fight(t, attack, async ({ server, changed }) => {
      change(server, NEW_TEMPLATE);
      await until("the run had to stop", () => changed.length > 0);
    });
    t.deepEqual(outcome.changed, [
      "Deployment kube-system/kube-dns now has another pod template (by kubectl-edit)",
    ]);
    t.true(outcome.whole);
  });
}

test("delete-pods: scaled up by someone else: reported, the attack continues, and their number stays", async (t) => {
  const outcome = await fight(t, "delete-pods", async ({ server, warnings }) => {
    change(server, { replicas: 3 }, "kubectl-scale");
    await until("it was reported", () => warnings().length > 0);
    const { name } = server.put(PODS, pod(`${REPLICASET}-third`)).metadata;
    await until("the new pod is deleted, too", () => {
      const third = server.object(`${PODS}/${name}`);
      return third === undefined || isDying(third);
    });
  });
  t.deepEqual(outcome.warnings(), [
    "Deployment kube-system/kube-dns was set to 3 replicas (by kubectl-scale)",
  ]);
  t.deepEqual(outcome.changed, []);
  t.true(outcome.whole);
  t.is(replicas(outcome.server), 3);
});

test("delete-pods: scaled to 0 by someone else: the outage is theirs; stopped, and their change is kept", async (t) => {
  const outcome = await fight(t, "delete-pods", async ({ server, changed }) => {
    change(server, { replicas: 0 }, "kubectl-scale");
    await until("the run had to stop", () => changed.length > 0);
  });
  t.deepEqual(outcome.changed, ["Deployment kube-system/kube-dns was set to 0 replicas (by kubectl-scale)"]);
  t.true(outcome.whole);
  t.is(replicas(outcome.server), 0);
});

test("another workload with the same labels starts to serve: stopped; an older one does not count", async (t) => {
  const other = (name: string): { readonly of: Draft } => ({ of: owner("ReplicaSet", name) });
  const outcome = await fight(
    t,
    "delete-workload",
    async ({ server, events, changed }) => {
      // A rollout of the neighbour: another ReplicaSet, the same Deployment.
      server.put(PODS, pod("neighbour-2-x", other("neighbour-2")));
      server.put(PODS, pod("kube-dns-b-1-x", { ...other("kube-dns-b-1"), ready: false }));
      // A pod of the target itself, reported after them on the same watch.
      const { name } = server.put(PODS, pod(`${REPLICASET}-last`)).metadata;
      await until("they were seen", () =>
        events.some((event) => event.type === "instance" && event.object.name === name),
      );
      t.deepEqual(changed, []);
      server.put(PODS, pod("kube-dns-b-1-y", other("kube-dns-b-1")));
      await until("the run had to stop", () => changed.length > 0);
    },
    { prepare: (server) => void server.put(PODS, pod("neighbour-1-x", other("neighbour-1"))) },
  );
  t.deepEqual(outcome.changed, [
    "pod kube-dns-b-1-y of ReplicaSet kube-dns-b-1 serves in place of Deployment kube-system/kube-dns: " +
      "it has the same labels and appeared after the attack began",
  ]);
});

for (const [what, theirs] of [
  ["deleted", undefined],
  ["scaled", { replicas: 1 }],
  ["given another template", NEW_TEMPLATE],
] as const) {
  test(`a control run, and the target is ${what} by someone else: stopped, and nothing is undone`, async (t) => {
    const outcome = await fight(t, "none", async ({ server, changed, later }) => {
      if (theirs === undefined) {
        server.remove(PATH);
        await later();
      } else change(server, theirs);
      await until("the run had to stop", () => changed.length > 0);
    });
    t.is(outcome.changed.length, 1);
    t.deepEqual(
      outcome.server.requests.filter(({ method }) => method !== "GET").map(({ method }) => method),
      [],
    );
  });
}

test("the release does not count as a foreign change", async (t) => {
  const outcome = await fight(t, "scale-to-zero", async ({ server }) => {
    await until("scaled down", () => replicas(server) === 0);
  });
  t.is(replicas(outcome.server), 2);
  t.deepEqual(outcome.warnings(), []);
  t.deepEqual(outcome.changed, []);
});
