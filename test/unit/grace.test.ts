import test from "ava";
import { graceSecondsOf } from "../../src/attacks/grace.js";
import type { KubeObject } from "../../src/cluster/objects.js";

const pod = (status: unknown): KubeObject => ({
  metadata: { name: "pod", uid: "uid", resourceVersion: "1" },
  status,
});

test("a pod that has not started is removed at once, one that has gets its grace period", (t) => {
  const waiting = { state: { waiting: { reason: "ContainerCreating" } } };
  const running = { state: { running: {} } };
  const ended = { state: { terminated: { exitCode: 0 } } };
  t.is(graceSecondsOf(pod({ phase: "Pending" }), 5_000), 0);
  t.is(graceSecondsOf(pod({ phase: "Pending", containerStatuses: [waiting] }), 5_000), 0);
  t.is(graceSecondsOf(pod({ phase: "Pending", containerStatuses: [waiting, running] }), 5_000), 5);
  t.is(graceSecondsOf(pod({ phase: "Pending", initContainerStatuses: [ended] }), 5_000), 5);
  t.is(graceSecondsOf(pod({ phase: "Running", containerStatuses: [running] }), 5_000), 5);
  // Nothing is known of it: it may run.
  t.is(graceSecondsOf(pod(undefined), 5_000), 5);
});
