import test, { type ExecutionContext } from "ava";
import { ChaosError } from "../../../src/common/errors.js";
import { StartWatch } from "../../../src/own/start.js";
import { type FakeApiServer, status } from "../../helpers/fake-api-server.js";
import { serve } from "../../helpers/target-fixtures.js";

const NS = "shop";
const at = (resource: string, group = "api/v1"): string => `/${group}/namespaces/${NS}/${resource}`;
const AWAITED = [
  { kind: "Namespace", metadata: { name: NS } },
  { kind: "DaemonSet", metadata: { name: "ds", namespace: NS } },
];

interface World {
  readonly server: FakeApiServer;
  readonly watch: StartWatch;
  /** Moves the clock to this second and looks. */
  readonly look: (second: number) => Promise<void>;
}

/** A DaemonSet that wants one pod. */
async function world(t: ExecutionContext, passingLimitMs?: number): Promise<World> {
  const { server, transport } = await serve(t);
  server.put(at("daemonsets", "apis/apps/v1"), {
    metadata: { name: "ds", uid: "ds" },
    status: { desiredNumberScheduled: 1 },
  });
  let now = 0;
  const clock = { now: () => now, sleep: async () => await Promise.resolve() };
  const limit = passingLimitMs === undefined ? {} : { passingLimitMs };
  const options = {
    transport,
    clock,
    failed: "cannot start the probers",
    consequence: () => "Nothing was attacked",
  };
  const watch = new StartWatch({ ...options, ...limit }, AWAITED);
  return {
    server,
    watch,
    look: async (second) => {
      now = second * 1_000;
      await watch.look();
    },
  };
}

function refuse(server: FakeApiServer, message: string): void {
  server.put(at("events"), {
    metadata: { name: "refused" },
    involvedObject: { kind: "DaemonSet", uid: "ds" },
    reason: "FailedCreate",
    message: `Error creating: ${message}`,
  });
}

function putPod(server: FakeApiServer, phase: object): void {
  server.put(at("pods"), {
    metadata: { name: "ds-1", uid: "p", ownerReferences: [{ kind: "DaemonSet", name: "ds", uid: "ds" }] },
    spec: { nodeName: "n" },
    status: phase,
  });
}

test("a final reason ends the wait at the first look: what failed, why, what to do", async (t) => {
  const { server, look } = await world(t);
  refuse(server, 'pods "ds-x" is forbidden: violates PodSecurity "restricted:latest"');
  await look(1);
  t.is(server.requestsOf("GET").length, 0, "no look before 2 s");
  await t.throwsAsync(look(2), {
    instanceOf: ChaosError,
    message:
      'cannot start the probers: DaemonSet shop/ds: no pod can be created: pods "ds-x" is forbidden: violates PodSecurity ' +
      '"restricted:latest". Allow these pods in namespace shop, or remove the rule that refuses them. Nothing was attacked',
  });
});

test("a reason that may pass is waited for, and told within a minute", async (t) => {
  const { server, watch, look } = await world(t);
  refuse(server, 'pods "ds-x" is forbidden: exceeded quota: few');
  for (let second = 2; second < 52; second += 2) await look(second);
  t.regex(watch.words, /exceeded quota: few$/);
  await t.throwsAsync(look(52), { message: /exceeded quota: few\. Allow/ });
});

test("the time of a reason starts again when it was gone in between", async (t) => {
  const { server, look } = await world(t);
  const waiting = { reason: "CreateContainerError", message: "x" };
  const failing = { containerStatuses: [{ name: "c", ready: false, restartCount: 0, state: { waiting } }] };
  putPod(server, failing);
  await look(2);
  await look(40);
  putPod(server, { conditions: [{ type: "Ready", status: "True" }] });
  await look(42);
  putPod(server, failing);
  await look(44);
  await look(92);
  await t.throwsAsync(look(94), { message: /CreateContainerError x/ });
});

test("a caller may wait longer; final reasons end that wait, too", async (t) => {
  const { server, look } = await world(t, 300_000);
  refuse(server, "exceeded quota: few");
  await look(2);
  await look(300);
  refuse(server, "admission webhook denied the request");
  await t.throwsAsync(look(302), { message: /denied the request/ });
});

test("a pull without an error is progress, however long it takes", async (t) => {
  const { server, watch, look } = await world(t);
  putPod(server, {
    containerStatuses: [{ name: "c", ready: false, state: { waiting: { reason: "ContainerCreating" } } }],
  });
  server.put(at("events"), {
    metadata: { name: "pulling" },
    involvedObject: { kind: "Pod", uid: "p" },
    reason: "Pulling",
    message: 'Pulling image "guestbook:1"',
  });
  for (const second of [2, 60, 600]) await look(second);
  t.true(watch.pulls);
  t.is(watch.words, 'DaemonSet shop/ds, pod ds-1: Pulling image "guestbook:1"');
});

test("without the right to list events the conditions still tell the reason", async (t) => {
  const { server, look } = await world(t);
  server.handle("GET", /\/events$/, () => status(403, "Forbidden", "no"));
  putPod(server, {
    containerStatuses: [
      {
        name: "c",
        image: "Bad",
        ready: false,
        state: { waiting: { reason: "InvalidImageName", message: "x" } },
      },
    ],
  });
  await t.throwsAsync(look(2), { message: /InvalidImageName Bad x/ });
});

test("reads only what the awaited objects need", async (t) => {
  const { server, look } = await world(t);
  await look(2);
  t.deepEqual(
    server
      .requestsOf("GET")
      .map(({ path }) => path.split("/").at(-1))
      .sort(),
    ["daemonsets", "events", "pods"],
  );
});
