import test from "ava";
import { deletePods } from "../../../src/attacks/delete-pods.js";
import type { KubeObject } from "../../../src/kube/objects.js";
import type { Transport } from "../../../src/kube/transport.js";
import type { TargetListener, TargetWatch } from "../../../src/targets/target-watch.js";
import type { Target } from "../../../src/targets/target.js";
import { pod } from "../../helpers/target-fixtures.js";

/** A bucket of 60, refilled at 30 per second: how many deletions may have been sent after this many ms. */
const allowed = (ms: number): number => 60 + (ms * 30) / 1000;

test("a controller that replaces pods endlessly: the deletions per second are limited", async (t) => {
  let now = 0;
  let timers: { at: number; work: () => void }[] = [];
  const sentAt: number[] = [];
  let next = 0;
  const born = (): KubeObject => {
    const name = `pod-${next++}`;
    const draft = pod(name, { node: undefined }) as unknown as KubeObject;
    return { ...draft, metadata: { ...draft.metadata, name, uid: `uid-${name}`, resourceVersion: "1" } };
  };
  let listener: TargetListener | undefined;
  const watch = {
    set listener(value: TargetListener | undefined) {
      listener = value;
    },
    current: () => Array.from({ length: 3 }, born),
  } as unknown as TargetWatch;
  // A server and a controller without any delay: two new pods for each deleted one.
  const answers: (() => void)[] = [];
  const transport = {
    request: async () => {
      sentAt.push(now);
      await new Promise<void>((resolve) => answers.push(resolve));
      return { status: 200, headers: {}, body: Buffer.alloc(0) };
    },
  } as unknown as Transport;
  const settle = async (): Promise<void> => {
    while (answers.length > 0) {
      for (const answer of answers.splice(0)) {
        answer();
        for (const object of [born(), born()]) listener?.("Pod", { type: "ADDED", object });
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  const running = deletePods({ gracePeriod: 1000, delay: 0 }).start({
    transport,
    target: { kind: "Deployment", name: "kube-dns", namespace: "kube-system" } as Target,
    watch,
    emit: () => undefined,
    runId: "run-1",
    now: () => now,
    after: (ms, work) => timers.push({ at: now + ms, work }),
  });
  await settle();
  t.is(sentAt.length, 60, "what may go at once");
  for (; now < 3_000; now += 1) {
    const due = timers.filter(({ at }) => at <= now);
    timers = timers.filter(({ at }) => at > now);
    for (const { work } of due) work();
    await settle();
    t.true(sentAt.length <= Math.floor(allowed(now)) + 1, `${sentAt.length} after ${now} ms`);
  }
  t.true(sentAt.length >= allowed(3_000) - 3, `only ${sentAt.length}: the rate is used`);
  t.is(running.kills, sentAt.length);

  const count = sentAt.length;
  await running.stop();
  for (const { work } of timers) work();
  t.is(sentAt.length, count, "what was queued is not sent after the end");
  t.is(listener, undefined);
});
