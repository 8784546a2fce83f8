import test from "ava";
import { MessageQueue } from "../../../src/api/message-queue.js";
import type { Message } from "../../../src/ui/messages.js";

const info = (tMs: number): Message => ({ type: "info", tMs, text: String(tMs) });
const live = (tMs: number): Message => ({
  ...{ type: "live", tMs, phase: "window", ok: tMs, failing: 0, kills: 0, endpointsReady: null },
});
const result = (tMs: number): Message => ({ type: "result", tMs, result: tMs });

async function rest(queue: MessageQueue<unknown>): Promise<unknown[]> {
  const read: unknown[] = [];
  for (;;) {
    const { value, done } = await queue.next();
    if (done === true) return read;
    read.push(value);
  }
}

test("messages arrive in order, to a reader that is early and to one that is late", async (t) => {
  const queue = new MessageQueue();
  const early = [queue.next(), queue.next()];
  queue.push(info(1));
  queue.push(info(2));
  queue.push(result(3));
  t.deepEqual(
    (await Promise.all(early)).map(({ value }) => value),
    [info(1), info(2)],
  );
  const last = rest(queue);
  queue.end();
  t.deepEqual(await last, [result(3)]);
  t.deepEqual(await queue.next(), { value: undefined, done: true });
});

test("of live messages that nobody read, only the newest is kept", async (t) => {
  const queue = new MessageQueue();
  for (const message of [live(1), info(2), live(3), live(4), info(5)]) queue.push(message);
  queue.end();
  t.deepEqual(await rest(queue), [info(2), live(4), info(5)]);
});

test("a reader that is too slow loses old messages, is told how many, and never loses a result", async (t) => {
  const queue = new MessageQueue(3);
  queue.push(result(0));
  queue.push(live(1));
  for (let tMs = 2; tMs < 100; tMs += 1) queue.push(info(tMs));
  queue.push(result(100));
  queue.end();
  t.deepEqual(await rest(queue), [{ type: "dropped", tMs: 2, count: 97 }, result(0), info(99), result(100)]);
});

test("an error comes once, after the last message, to the reader that waits", async (t) => {
  const error = new Error("no cluster");
  const late = new MessageQueue();
  late.push(info(1));
  late.end(error);
  t.deepEqual(await late.next(), { value: info(1), done: false });
  t.is(await t.throwsAsync(late.next()), error);
  t.deepEqual(await late.next(), { value: undefined, done: true });

  const early = new MessageQueue();
  const waiting = [early.next(), early.next()];
  early.end(error);
  const [first, second] = await Promise.allSettled(waiting);
  t.like(first, { status: "rejected", reason: error });
  t.like(second, { status: "fulfilled", value: { done: true } });
});
