import test from "ava";
import type { Transport } from "../../../src/kube/transport.js";
import { settle, unsettled } from "../../../src/run/phases/settle.js";

type State = Parameters<typeof unsettled>[0];

const ready = { conditions: [{ type: "Ready", status: "True" }] };
const named = (name: string): { name: string } => ({ name });
const CALM = {
  nodes: [{ metadata: named("node"), status: ready }],
  deployments: [{ metadata: named("coredns"), spec: { replicas: 2 }, status: { readyReplicas: 2 } }],
  daemonSets: [{ metadata: named("kube-proxy"), status: { numberReady: 3, desiredNumberScheduled: 3 } }],
  pods: [{ metadata: named("coredns-1"), status: { phase: "Running", ...ready } }],
  apiServices: [{ metadata: named("v1."), status: { conditions: [{ type: "Available", status: "True" }] } }],
};
const state = (change: Partial<Record<keyof State, unknown>> = {}): State =>
  ({ ...CALM, ...change }) as unknown as State;

test("a settled cluster has nothing to wait for", (t) => {
  t.deepEqual(unsettled(state()), []);
});

for (const [what, change, expected] of [
  ["a node", { nodes: [{ metadata: named("node"), status: {} }] }, "node node is not Ready"],
  [
    "a Deployment",
    { deployments: [{ metadata: named("coredns"), spec: { replicas: 2 }, status: { readyReplicas: 1 } }] },
    "coredns 1/2",
  ],
  [
    "a DaemonSet without a status",
    { daemonSets: [{ metadata: named("kube-proxy"), status: {} }] },
    "kube-proxy 0/0",
  ],
  ["a pod", { pods: [{ metadata: named("etcd"), status: { phase: "Running" } }] }, "pod etcd is not ready"],
  [
    "an aggregated API",
    { apiServices: [{ metadata: named("v1beta1.metrics.k8s.io"), status: {} }] },
    "API v1beta1.metrics.k8s.io is not available",
  ],
] as const) {
  test(`what has not settled is named: ${what}`, (t) => {
    t.deepEqual(unsettled(state(change)), [expected]);
  });
}

test("a Deployment scaled to zero, a finished pod and a terminating pod count as settled", (t) => {
  const ended = { metadata: named("job"), status: { phase: "Succeeded" } };
  const going = {
    metadata: { name: "old", deletionTimestamp: "2026-01-01T00:00:00Z" },
    status: { phase: "Running" },
  };
  const deployments = [{ metadata: named("zero"), spec: { replicas: 0 }, status: {} }];
  t.deepEqual(unsettled(state({ pods: [ended, going], deployments })), []);
});

test("long lists are not asked for all the time: at most about a fifth of it", async (t) => {
  let now = 0;
  let asking = 0;
  const sleep = async (ms: number): Promise<void> => await Promise.resolve(void (now += ms));
  const clock = { now: () => now, sleep, wall: () => new Date(0), after: () => () => undefined };
  const json = async (): Promise<unknown> => {
    // Five lists, each of 400 ms.
    now += 400;
    asking += 400;
    const items = [{ metadata: { name: "slow" }, status: { conditions: [] } }];
    return await Promise.resolve({ metadata: { resourceVersion: "1" }, items });
  };
  const transport = { json } as unknown as Transport;
  const options = { limitMs: 120_000, signal: new AbortController().signal, note: () => undefined };
  t.true((await settle(transport, clock, options)).includes("node slow is not Ready"));
  t.true(asking > 0.15 * now && asking < 0.25 * now, `${asking} of ${now} ms`);
});
