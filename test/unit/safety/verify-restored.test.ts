import test from "ava";
import type { KubeObject } from "../../../src/kube/objects.js";
import { workloadNotReady } from "../../../src/safety/restore/verify.js";

interface Counts {
  readonly generation?: number;
  readonly observed?: number;
  readonly replicas?: number;
  readonly ready?: number;
  readonly updated?: number;
}

const deployment = ({ generation = 1, observed = 1, replicas, ready, updated }: Counts): KubeObject =>
  ({
    kind: "Deployment",
    metadata: { name: "kube-dns", generation },
    spec: replicas === undefined ? {} : { replicas },
    status: { observedGeneration: observed, readyReplicas: ready, updatedReplicas: updated },
  }) as unknown as KubeObject;

const daemonSet = ({ generation = 1, observed = 1, replicas, ready, updated }: Counts): KubeObject =>
  ({
    kind: "DaemonSet",
    metadata: { name: "fluentd", generation },
    status: {
      observedGeneration: observed,
      desiredNumberScheduled: replicas,
      numberReady: ready,
      updatedNumberScheduled: updated,
    },
  }) as unknown as KubeObject;

const BEFORE = deployment({ replicas: 2, ready: 2, updated: 2 });

for (const [what, live, problem] of [
  ["as before", { replicas: 2, ready: 2, updated: 2 }, undefined],
  ["more than before", { replicas: 5, ready: 5, updated: 5 }, undefined],
  ["none ready", { replicas: 2, updated: 2 }, "Deployment kube-dns: 0 of 2 ready"],
  ["one of two", { replicas: 2, ready: 1, updated: 2 }, "Deployment kube-dns: 1 of 2 ready"],
  ["ready ones of an older template", { replicas: 2, ready: 2 }, "Deployment kube-dns: 0 of 2 ready"],
  ["scaled down by someone else since", { replicas: 1, ready: 1, updated: 1 }, undefined],
  ["scaled to zero by someone else since", { replicas: 0 }, undefined],
  ["no replicas field: one", { ready: 1, updated: 1 }, undefined],
  [
    "a status from before it was changed",
    { generation: 4, observed: 3, replicas: 2, ready: 2, updated: 2 },
    "Deployment kube-dns: its controller has not seen it yet",
  ],
  ["a status that is newer", { generation: 4, observed: 5, replicas: 2, ready: 2, updated: 2 }, undefined],
] as const) {
  test(`a Deployment that had two ready pods, now: ${what}`, (t) => {
    t.is(workloadNotReady(BEFORE, deployment(live)), problem);
  });
}

test("it waits for no more ready pods than before the run", (t) => {
  t.is(
    workloadNotReady(
      deployment({ replicas: 3, ready: 1 }),
      deployment({ replicas: 3, ready: 1, updated: 1 }),
    ),
    undefined,
  );
  t.is(workloadNotReady(deployment({ replicas: 3 }), deployment({ replicas: 3 })), undefined);
});

test("a workload without a status was not seen by its controller yet", (t) => {
  const fresh = { kind: "Deployment", metadata: { name: "kube-dns", generation: 1 } } as KubeObject;
  t.regex(workloadNotReady(BEFORE, fresh) ?? "", /has not seen it yet/);
});

for (const [what, live, problem] of [
  ["as before", { replicas: 3, ready: 3, updated: 3 }, undefined],
  ["one node without", { replicas: 3, ready: 2, updated: 3 }, "DaemonSet fluentd: 2 of 3 ready"],
  ["old pods", { replicas: 3, ready: 3, updated: 1 }, "DaemonSet fluentd: 1 of 3 ready"],
  ["a node has gone since", { replicas: 2, ready: 2, updated: 2 }, undefined],
  ["a node has come since, not ready yet", { replicas: 4, ready: 3, updated: 3 }, undefined],
  [
    "not seen",
    { observed: 0, replicas: 3, ready: 3 },
    "DaemonSet fluentd: its controller has not seen it yet",
  ],
] as const) {
  test(`a DaemonSet that was ready on three nodes, now: ${what}`, (t) => {
    const before = daemonSet({ replicas: 3, ready: 3, updated: 3 });
    t.is(workloadNotReady(before, daemonSet(live)), problem);
  });
}
