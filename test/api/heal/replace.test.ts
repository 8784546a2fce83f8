/** One pod is replaced: by eviction, with a successor that is ready and an endpoint, or it is said why not. */
import test, { type ExecutionContext } from "ava";
import { inOrder, lastReady, podsOfTarget, workloadOnly } from "../../../src/heal/pods.js";
import { replacePod, type ReplaceOptions } from "../../../src/heal/replace.js";
import type { Pod } from "../../../src/kube/objects.js";
import type { Clock } from "../../../src/common/clock.js";
import type { NodeTarget } from "../../../src/targets/node-target.js";
import { type Draft, type FakeApiServer, status } from "../../helpers/fake-api-server.js";
import {
  LABELS,
  pod,
  PODS,
  putKubeDns,
  REPLICASET,
  serve,
  SLICES,
  targetOf,
  writes,
} from "../../helpers/target-fixtures.js";

/** Time passes only by sleeping. */
class TestClock implements Clock {
  #now = 0;
  readonly now = (): number => this.#now;
  wall = (): Date => new Date(this.#now);
  after = (): (() => void) => () => undefined;
  async sleep(ms: number): Promise<void> {
    this.#now += ms;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

interface Bench {
  readonly server: FakeApiServer;
  readonly notes: string[];
  readonly pods: () => Promise<Pod[]>;
  readonly replace: (name: string, change?: Partial<ReplaceOptions>) => ReturnType<typeof replacePod>;
  readonly abort: AbortController;
}

/** Two pods; a ReplicaSet's uid is the one that the pods name. */
async function bench(t: ExecutionContext): Promise<Bench> {
  const { server, transport } = await serve(t);
  putKubeDns(server);
  const uidOf = (path: string): string => server.object(path)?.metadata.uid ?? "";
  const set = "/apis/apps/v1/namespaces/kube-system/replicasets";
  const deployment = "/apis/apps/v1/namespaces/kube-system/deployments/kube-dns";
  const owned = (kind: string, name: string, uid: string): Draft => ({
    ownerReferences: [{ apiVersion: "apps/v1", kind, name, uid, controller: true }],
  });
  server.put(set, {
    metadata: { name: REPLICASET, labels: LABELS, ...owned("Deployment", "kube-dns", uidOf(deployment)) },
  });
  const made = owned("ReplicaSet", REPLICASET, uidOf(`${set}/${REPLICASET}`));
  for (const name of ["a", "b"]) server.put(PODS, pod(name, { of: made }));
  for (const name of [`${REPLICASET}-a`, `${REPLICASET}-b`]) server.remove(`${PODS}/${name}`);
  server.put(PODS, pod("of-someone-else"));
  const target = await targetOf(transport);
  const abort = new AbortController();
  const notes: string[] = [];
  return {
    server,
    notes,
    abort,
    pods: async () => await podsOfTarget(transport, target),
    replace: async (name, change = {}) => {
      const found = (await podsOfTarget(transport, target)).find(({ metadata }) => metadata.name === name);
      if (found === undefined) throw new Error(`no pod ${name}`);
      return await replacePod(found, {
        transport,
        target,
        clock: new TestClock(),
        disableEviction: false,
        limitMs: 60_000,
        signal: abort.signal,
        note: (text) => notes.push(text),
        notGoodSince: async () => await Promise.resolve([]),
        ...change,
      });
    },
  };
}

/** Does the work of the controllers for an eviction: the pod is gone, and its successor has this state. */
function evicts(server: FakeApiServer, { ready = true, endpoint = true, successor = true } = {}): void {
  server.handle("POST", /\/pods\/[^/]+\/eviction$/, ({ path }) => {
    const name = path.split("/").at(-2) ?? "";
    const [old] = server.objects(PODS).filter(({ metadata }) => metadata.name === name);
    server.remove(`${PODS}/${name}`);
    if (!successor) return { status: 201, body: {} };
    const { ownerReferences } = old?.metadata ?? {};
    const next = server.put(
      PODS,
      pod(`${name}-2`, { of: { ownerReferences: [...(ownerReferences ?? [])] }, ready }),
    );
    if (endpoint)
      server.put(SLICES, {
        metadata: { name: "kube-dns-1", labels: { "kubernetes.io/service-name": "kube-dns" } },
        addressType: "IPv4",
        endpoints: [
          { addresses: ["10.0.0.9"], conditions: { ready: true }, targetRef: { uid: next.metadata.uid } },
        ],
      });
    return { status: 201, body: {} };
  });
}

test("only the controller's own pods, those that are not ready first, then the oldest", async (t) => {
  const b = await bench(t);
  const names = (await b.pods()).map(({ metadata }) => metadata.name).sort();
  t.deepEqual(names, ["a", "b"]);
  const [ready] = await b.pods();
  if (ready === undefined) return;
  const made = (name: string, at: string, isReady: boolean): Pod => ({
    ...ready,
    metadata: { ...ready.metadata, name, uid: name, creationTimestamp: at },
    status: { conditions: [{ type: "Ready", status: isReady ? "True" : "False" }] },
  });
  const [young, old, broken] = [made("young", "2", true), made("old", "1", true), made("broken", "3", false)];
  t.deepEqual(
    inOrder([young, old, broken]).map(({ metadata }) => metadata.name),
    ["broken", "old", "young"],
  );
  t.is(lastReady(old, [old, young, broken]), undefined);
  t.is(lastReady(broken, [broken]), undefined, "it serves nobody");
  t.regex(lastReady(old, [old, broken]) ?? "", /^pod old is the last one that is ready: .* Add --allow-last/);
});

test("evicted by uid, replaced, ready and an endpoint; nothing but the eviction is written", async (t) => {
  const b = await bench(t);
  evicts(b.server);
  const uid = (await b.pods()).find(({ metadata }) => metadata.name === "a")?.metadata.uid;
  const result = await b.replace("a");
  t.like(result, { deleted: true, successor: "a-2" });
  t.is(result.problem, undefined);
  t.deepEqual(
    writes(b.server).map(({ method, path }) => `${method} ${path}`),
    [`POST ${PODS}/a/eviction`],
  );
  t.like(writes(b.server)[0]?.body, { deleteOptions: { preconditions: { uid } } });
});

test("a budget without room is waited for, and then said; the pod stays", async (t) => {
  const b = await bench(t);
  let asked = 0;
  b.server.handle("POST", /\/eviction$/, () => {
    asked += 1;
    return status(429, "TooManyRequests", "would violate the pod's disruption budget.");
  });
  const result = await b.replace("a", { limitMs: 20_000 });
  t.false(result.deleted);
  t.is(asked, 5);
  t.regex(
    result.problem ?? "",
    /^pod a was not deleted: no PodDisruptionBudget allowed it within 20\.0 s: .*disruption budget.*--disable-eviction/,
  );
  t.regex(b.notes[0] ?? "", /^waits for a PodDisruptionBudget: HTTP 429/);
  t.is((await b.pods()).length, 2);
});

test("--disable-eviction deletes the pod by its uid", async (t) => {
  const b = await bench(t);
  await b.replace("a", { disableEviction: true, limitMs: 1_000 });
  t.deepEqual(
    writes(b.server).map(({ method, path }) => `${method} ${path}`),
    [`DELETE ${PODS}/a`],
  );
});

test("no successor, one that is not ready, one that is no endpoint: each is said", async (t) => {
  const said = async (state: Parameters<typeof evicts>[1]): Promise<string> => {
    const b = await bench(t);
    evicts(b.server, state);
    const result = await b.replace("a", { limitMs: 10_000 });
    t.true(result.deleted);
    return result.problem ?? "";
  };
  t.regex(await said({ successor: false }), /within 10\.0 s its controller has made no new pod$/);
  t.regex(await said({ ready: false }), /within 10\.0 s its successor a-2 is not ready: /);
  t.regex(await said({ endpoint: false }), /its successor a-2 is no endpoint of Service kube-dns$/);
});

test("a successor that will not start ends the wait early, with its reason", async (t) => {
  const b = await bench(t);
  evicts(b.server, { ready: false });
  const clock = new TestClock();
  const promise = b.replace("a", { clock, limitMs: 300_000 });
  const result = await promise;
  t.regex(
    result.problem ?? "",
    /^pod a was deleted, and its successor does not start: Pod kube-system\/a-2: /,
  );
  t.true(clock.now() < 120_000, `${clock.now()} ms`);
});

test("what worked before and does not work any more stops it", async (t) => {
  const b = await bench(t);
  evicts(b.server);
  const result = await b.replace("a", {
    notGoodSince: async () => await Promise.resolve(["names inside the cluster from worker-1"]),
  });
  t.regex(
    result.problem ?? "",
    /^pod a-2 is ready, but 30\.0 s later this still fails, which worked before: names inside/,
  );
});

test("interrupted before the eviction is accepted: nothing was deleted; after it: its controller completes it", async (t) => {
  const before = await bench(t);
  before.server.handle("POST", /\/eviction$/, () => {
    before.abort.abort("SIGINT");
    return status(429, "TooManyRequests", "budget");
  });
  t.like(await before.replace("a"), { deleted: false });
  const after = await bench(t);
  evicts(after.server, { ready: false });
  const result = await after.replace("a", {
    note: () => after.abort.abort("SIGINT"),
  });
  t.true(result.deleted);
  t.regex(result.problem ?? "", /^interrupted while pod a was replaced .*its controller completes it$/);
});

test("static pods and units are refused, with the way to restart them", (t) => {
  const target = {
    kind: "StaticPod",
    name: "kube-scheduler",
    nodes: ["cp"],
    manifest: "/m/s.yaml",
  } as unknown as NodeTarget;
  t.throws(() => workloadOnly(target), {
    message:
      /runs as static pods on cp: .*only its mirror.* move \/m\/s\.yaml out of its folder.* Nothing was changed$/,
  });
  t.throws(() => workloadOnly({ ...target, kind: "SystemdUnit", name: "kubelet", unit: "kubelet.service" }), {
    message: /is no pod: .*systemctl restart kubelet\.service/,
  });
});
