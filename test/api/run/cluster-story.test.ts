/** The story of the nodes and of the application's endpoints during a run. */
import test from "ava";
import type { RunEventBody } from "../../../src/evidence/events.js";
import { watchStory } from "../../../src/run/measuring/cluster-story.js";
import type { RunContext } from "../../../src/run/context.js";
import type { Draft } from "../../helpers/fake-api-server.js";
import { serve, slice, until } from "../../helpers/target-fixtures.js";

const SLICES = "/apis/discovery.k8s.io/v1/namespaces/guestbook/endpointslices";

test("endpoints of the application: the union of a Service's slices, each endpoint once", async (t) => {
  const { server, transport } = await serve(t);
  const events: RunEventBody[] = [];
  const over = new AbortController();
  const put = (name: string, service: string, endpoints: readonly Draft[]): void =>
    void server.put(SLICES, { ...slice(name, 0, service), endpoints });
  const of = (uid: string, ip: string, conditions: Draft = {}): Draft => ({
    addresses: [ip],
    targetRef: { kind: "Pod", uid },
    conditions,
  });
  put("frontend-a", "frontend", [of("a", "10.244.0.1", { ready: true }), of("b", "10.244.0.2")]);
  server.put(SLICES, { metadata: { name: "of-nobody" }, endpoints: [of("x", "10.244.0.9")] });
  const context = {
    transport,
    recorder: { emit: (event: RunEventBody) => events.push(event) },
    resolved: { experiment: { application: { guestbook: { namespace: "guestbook" } } } },
  } as unknown as RunContext;
  const watching = watchStory(context, [], over.signal);
  t.teardown(async () => {
    over.abort();
    await watching;
  });
  const counts = (): string[] =>
    events.flatMap((event) => (event.type === "app-endpoints" ? `${event.service} ${event.ready}` : []));
  await until("the first list", () => counts().length === 1);
  put("frontend-b", "frontend", [of("a", "fd00::1"), of("c", "fd00::3", { ready: false })]);
  put("redis-a", "redis-leader", [of("r", "10.244.0.7")]);
  await until("another Service", () => counts().length === 2);
  put("frontend-b", "frontend", [of("c", "fd00::3", { ready: true })]);
  await until("a third endpoint", () => counts().length === 3);
  // A terminating endpoint is not ready. It still serves, which is not a part of this story.
  put("redis-a", "redis-leader", [of("r", "10.244.0.7", { ready: false, serving: true, terminating: true })]);
  await until("none", () => counts().length === 4);
  server.remove(`${SLICES}/redis-a`);
  server.remove(`${SLICES}/frontend-a`);
  await until("one slice is left", () => counts().length === 5);
  t.deepEqual(counts(), ["frontend 2", "redis-leader 1", "frontend 3", "redis-leader 0", "frontend 1"]);
});

test("nodes: one list of all of them, however long the run is; an attacked node is listed alone", async (t) => {
  const { server, transport } = await serve(t);
  const node = (name: string, ready: string): void =>
    void server.put("/api/v1/nodes", {
      metadata: { name },
      status: { conditions: [{ type: "Ready", status: ready }] },
    });
  for (let index = 0; index < 1_200; index += 1) node(`worker-${index}`, "True");
  const events: RunEventBody[] = [];
  const over = new AbortController();
  const context = {
    transport,
    recorder: { emit: (event: RunEventBody) => events.push(event) },
    resolved: { experiment: { application: { guestbook: { namespace: "guestbook" } } } },
  } as unknown as RunContext;
  const watching = watchStory(context, ["worker-7"], over.signal);
  t.teardown(async () => {
    over.abort();
    await watching;
  });
  const lists = (): string[] =>
    server
      .requestsOf("GET", "/nodes")
      .filter(({ watch }) => !watch)
      .map(({ query }) => `${query.get("limit") ?? "no limit"} ${query.get("fieldSelector") ?? "all"}`);
  const states = (name: string): string[] =>
    events.flatMap((event) => (event.type === "node-ready" && event.node === name ? event.ready : []));
  await until("every node is known", () => events.length === 1_200);
  node("worker-7", "False");
  node("worker-9", "Unknown");
  await until("both changes", () => states("worker-7").length === 2 && states("worker-9").length === 2);
  t.deepEqual(
    [states("worker-7"), states("worker-9")],
    [
      ["True", "False"],
      ["True", "Unknown"],
    ],
  );
  // Longer than the interval at which other watches list everything again.
  await until(
    "the attacked node is listed again",
    () => lists().filter((each) => each.includes("worker-7")).length > 1,
  );
  t.deepEqual(
    lists().filter((each) => !each.includes("worker-7")),
    ["500 all", "500 all", "500 all"],
    "three pages, once",
  );
  t.is(events.length, 1_202);
});
