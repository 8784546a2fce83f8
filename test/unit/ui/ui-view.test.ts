import test from "ava";
import { Writable } from "node:stream";
import { type RunView } from "../../../src/ui/base.js";
import { createView, type ViewOptions } from "../../../src/ui/view.js";
import { seconds, wholeSeconds } from "../../../src/common/figures.js";
import { cut, oneLine, width } from "../../../src/ui/width.js";

interface Bench {
  readonly view: RunView;
  /** What was written to the progress stream and to standard output since the last call. */
  readonly err: () => string;
  readonly out: () => string;
  /** Advances the clock and fires the timers that are due. */
  readonly pass: (ms: number) => void;
  readonly timers: () => number;
  readonly stream: Sink;
}

class Sink extends Writable {
  isTTY = false;
  columns = 100;
  rows = 24;
  private text = "";
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk.toString();
    done();
  }
  take(): string {
    const { text } = this;
    this.text = "";
    return text;
  }
}

interface Setup extends Partial<Pick<ViewOptions, "mode" | "env">> {
  readonly colour?: boolean;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

function bench(setup: Setup = {}): Bench {
  const stream = Object.assign(new Sink(), { isTTY: setup.isTTY ?? false, columns: setup.columns ?? 100 });
  const out = new Sink();
  let now = 1000;
  const intervals = new Map<number, { every: number; next: number; callback: () => void }>();
  let id = 0;
  const view = createView({
    stream,
    out,
    mode: setup.mode ?? "auto",
    now: () => now,
    env: setup.env ?? {},
    timers: {
      setInterval: (callback, every) => {
        intervals.set(++id, { every, next: now + every, callback });
        return id;
      },
      clearInterval: (handle) => void intervals.delete(handle as number),
    },
  });
  const pass = (ms: number): void => {
    const end = now + ms;
    for (;;) {
      const due = [...intervals.values()].sort((a, b) => a.next - b.next)[0];
      if (due === undefined || due.next > end) break;
      now = due.next;
      due.next += due.every;
      due.callback();
    }
    now = end;
  };
  return {
    view,
    // Colours have their own test.
    err: () => (setup.colour === true ? stream.take() : withoutColour(stream.take())),
    out: () => out.take(),
    pass,
    timers: () => intervals.size,
    stream,
  };
}

/** Erases one live line, which the cursor is below. */
const CLEAR = "\r\u001b[1A\u001b[J";

function withoutColour(text: string): string {
  // eslint-disable-next-line no-control-regex -- removing them is the point
  return text.replace(/\u001b\[\d+m/g, "");
}
const live = { ok: 12, failing: 148, kills: 6, endpointsReady: 0 };

/** A promise that the test settles. */
function deferred<T>(): { promise: Promise<T>; resolve: (value: T) => void; reject: (error: Error) => void } {
  let resolve: (value: T) => void = () => undefined;
  let reject: (error: Error) => void = () => undefined;
  const promise = new Promise<T>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}

test("terminal: a step is redrawn in place and stays when it is done", async (t) => {
  const { view, err, pass, timers } = bench({ isTTY: true });
  const work = deferred<number>();
  let note: (text: string) => void = () => undefined;
  const step = view.step("deploy the guestbook", async (say) => {
    note = say;
    return await work.promise;
  });
  t.is(err(), "⠋ deploy the guestbook  0.0 s\n");
  pass(200);
  t.is(err(), `${CLEAR}⠙ deploy the guestbook  0.1 s\n${CLEAR}⠹ deploy the guestbook  0.2 s\n`);
  note("2 of 3 pods\nare \u001b[31mready");
  pass(100);
  t.is(err(), `${CLEAR}⠸ deploy the guestbook  0.3 s · 2 of 3 pods are ready\n`);
  pass(11_960);
  err();
  work.resolve(7);
  t.is(await step, 7);
  t.is(err(), `${CLEAR}✓ deploy the guestbook (12.3 s)\n`);
  t.is(timers(), 0);
});

test("terminal: a failed step is marked and its error is rethrown", async (t) => {
  const { view, err } = bench({ isTTY: true });
  await t.throwsAsync(
    view.step("find the target", () => Promise.reject(new Error("no such Deployment"))),
    { message: "no such Deployment" },
  );
  t.is(err(), `⠋ find the target  0.0 s\n${CLEAR}✗ find the target (0.0 s)\n`);
});

test("terminal: with several steps at once the newest shows, and the others are counted", async (t) => {
  const { view, err, pass } = bench({ isTTY: true });
  const [a, b] = [deferred<void>(), deferred<void>()];
  const first = view.step("first", () => a.promise);
  const second = view.step("second", () => b.promise);
  pass(100);
  t.true(err().endsWith("⠙ second  0.1 s (+1)\n"));
  a.resolve();
  await first;
  t.is(err(), `${CLEAR}✓ first (0.1 s)\n⠙ second  0.1 s\n`);
  b.resolve();
  await second;
  t.is(err(), `${CLEAR}✓ second (0.1 s)\n`);
});

test("terminal: the live line of a phase, warnings between, its last line, the result", (t) => {
  const { view, err, out, pass, timers } = bench({ isTTY: true });
  view.phase("window", 60_000);
  t.is(err(), "⠋ window  60 s left\n");
  view.live(live);
  t.is(err(), "", "drawn with the next frame");
  pass(100);
  t.is(err(), `${CLEAR}⠙ window  60 s left · app→DB ok 12 / failing 148 · kills 6 · endpoints 0\n`);
  pass(18_900);
  err();
  view.live({ ...live, endpointsReady: undefined, note: "2 nodes" });
  pass(100);
  t.is(err(), `${CLEAR}⠙ window  41 s left · app→DB ok 12 / failing 148 · kills 6 · 2 nodes\n`);
  view.warn("a watch stalled");
  t.is(
    err(),
    `${CLEAR}! a watch stalled\n⠙ window  41 s left · app→DB ok 12 / failing 148 · kills 6 · 2 nodes\n`,
  );
  view.live(live);
  pass(41_000);
  t.true(err().endsWith("window  0 s left · app→DB ok 12 / failing 148 · kills 6 · endpoints 0\n"));
  view.phaseEnd("window");
  t.is(err(), `${CLEAR}✓ window (60.1 s) · app→DB ok 12 / failing 148 · kills 6 · endpoints 0\n`);
  t.is(timers(), 0);
  view.result(["severity: outage", "  \u001b[2Jwrites 7 %"], {});
  t.is(err(), "");
  t.is(out(), "severity: outage\n  writes 7 %\n");
});

test("terminal: a phase without a known end shows the elapsed time; the next phase ends it", (t) => {
  const { view, err, pass } = bench({ isTTY: true });
  view.phase("deploy", undefined);
  pass(1900);
  t.true(err().endsWith("deploy  2 s\n"));
  view.phase("baseline", 15_000);
  t.is(err(), `${CLEAR}✓ deploy (1.9 s)\n⠏ baseline  15 s left\n`);
  view.phaseEnd("window");
  t.is(err(), "", "the end of another phase ends nothing");
});

test("terminal: a step within a phase uses the line while it runs", async (t) => {
  const { view, err } = bench({ isTTY: true });
  view.phase("deploy", undefined);
  await view.step("pull images", () => Promise.resolve());
  t.is(err(), `⠋ deploy  0 s\n${CLEAR}⠋ pull images  0.0 s\n${CLEAR}✓ pull images (0.0 s)\n⠋ deploy  0 s\n`);
});

test("terminal: only important events are lines", (t) => {
  const { view, err } = bench({ isTTY: true });
  view.event({ type: "check", tMs: 0, name: "permissions", ok: true, detail: "may delete deployments" });
  view.event({ type: "check", tMs: 0, name: "context", ok: false, detail: "not local" });
  view.event({ type: "gone", tMs: 1, object: { kind: "Pod", name: "a" } });
  view.event({ type: "phase", tMs: 1, phase: "window", state: "start" });
  view.event({
    type: "restored",
    tMs: 2,
    object: { kind: "Deployment", name: "coredns" },
    how: "created",
    by: "runner",
  });
  view.event({ type: "signal", tMs: 3, signal: "SIGINT" });
  const asked = "GET shop/web:80/";
  view.event({ type: "condition", tMs: 3, asked, state: "not known", detail: "no answer" });
  view.event({ type: "condition", tMs: 3, asked, state: "good", detail: "" });
  view.event({ type: "stopped", tMs: 4, code: "baseline-unhealthy", message: "writes fail" });
  t.is(
    err(),
    `✓ permissions: may delete deployments
✗ context: not local
· Deployment coredns is restored (created, by runner)
! SIGINT: undoing everything that the run has changed
! abort condition GET shop/web:80/: not known: no answer
· abort condition GET shop/web:80/: good again
! stopped: writes fail (baseline-unhealthy)
`,
  );
});

test("terminal: close leaves no line and no timer, whatever was running; later messages still appear", async (t) => {
  const { view, err, pass, timers } = bench({ isTTY: true });
  const work = deferred<void>();
  view.phase("window", 60_000);
  const step = view.step("record", () => work.promise);
  pass(100);
  err();
  view.close();
  t.is(err(), `${CLEAR}✗ window (0.1 s)\n⠙ record  0.1 s\n${CLEAR}`);
  t.is(timers(), 0);
  view.close();
  t.is(err(), "");
  view.warn("finish with: chaos restore");
  work.resolve();
  await step;
  t.is(err(), "! finish with: chaos restore\n✓ record (0.1 s)\n");
  t.is(timers(), 0);
});

test("terminal: nothing is drawn over a question", async (t) => {
  const { view, err, pass, timers } = bench({ isTTY: true });
  view.phase("preflight", undefined);
  err();
  const answer = deferred<boolean>();
  const asked = view.suspended(() => answer.promise);
  t.is(err(), CLEAR);
  pass(1000);
  t.is(err(), "");
  t.is(timers(), 0);
  answer.resolve(true);
  t.true(await asked);
  t.is(err(), "⠋ preflight  1 s\n");
  for (const mode of ["plain", "json"] as const) {
    t.is(await bench({ mode }).view.suspended(() => Promise.resolve(7)), 7);
  }
});

test("terminal: nothing drawn is as wide as the terminal, wide characters counted twice", (t) => {
  for (const columns of [1, 2, 3, 4, 10, 20, 39]) {
    const { view, err } = bench({ isTTY: true, columns });
    void view.step(
      "落としてみました kube-system を, everything and more",
      () => new Promise<void>(() => undefined),
    );
    t.true(width(err()) < Math.max(columns, 1), String(columns));
  }
  const { view, err, stream, pass } = bench({ isTTY: true, columns: 12 });
  void view.step("落としてみました", () => new Promise<void>(() => undefined));
  t.is(err(), "⠋ 落として…\n");
  stream.columns = 0;
  pass(100);
  t.is(err(), `${CLEAR}⠙ 落としてみました  0.1 s\n`, "a terminal that does not know its width");
});

test("terminal: marks and warnings have a colour", (t) => {
  const { view, err } = bench({ isTTY: true, colour: true });
  view.warn("careful");
  t.is(err(), "\u001b[33m!\u001b[39m \u001b[33mcareful\u001b[39m\n");
  view.info("x");
  t.is(err(), "\u001b[2m·\u001b[22m x\n");
});

test("plain: lines for steps and phases, a heartbeat every ten seconds, no control characters", async (t) => {
  const { view, err, out, pass, timers } = bench();
  const work = deferred<void>();
  const step = view.step("pull\u0007images", async (note) => {
    note("1 of 2");
    await work.promise;
  });
  pass(12_300);
  work.resolve();
  await step;
  await t.throwsAsync(view.step("lock", () => Promise.reject(new Error("held"))));
  view.phase("window", 60_000);
  view.live(live);
  pass(25_000);
  view.event({ type: "warning", tMs: 1, text: "a watch\nstalled" });
  view.event({ type: "check", tMs: 1, name: "api", ok: true, detail: "" });
  view.event({ type: "check", tMs: 1, name: "lock", ok: false, detail: "held" });
  view.phaseEnd("window");
  view.info("done");
  view.phase("teardown", undefined);
  view.close();
  view.close();
  view.result(["result"], {});
  t.is(timers(), 0);
  t.is(
    err(),
    `step: pull images
step: pull images: 10.0 s · 1 of 2
step: pull images: done (12.3 s)
step: lock
step: lock: failed (0.0 s)
phase: window (60.0 s)
phase: window: 50 s left · app→DB ok 12 / failing 148 · kills 6 · endpoints 0
phase: window: 40 s left · app→DB ok 12 / failing 148 · kills 6 · endpoints 0
warning: a watch stalled
ok: api
failed: lock: held
phase: window: done (25.0 s) · app→DB ok 12 / failing 148 · kills 6 · endpoints 0
info: done
phase: teardown
phase: teardown: not finished (0.0 s)
`,
  );
  t.is(out(), "result\n");
});

test("auto: live only on a terminal that can redraw and is not CI", (t) => {
  const startOf = (setup: Setup): string => {
    const { view, err } = bench(setup);
    view.phase("deploy", undefined);
    return err();
  };
  const line = "⠋ deploy  0 s\n";
  t.is(startOf({ isTTY: true }), line);
  t.is(startOf({ isTTY: true, env: { NO_COLOR: "", CI: "false" } }), line);
  for (const setup of [
    { isTTY: false },
    { isTTY: true, mode: "plain" as const },
    { isTTY: true, env: { CI: "true" } },
    { isTTY: true, env: { TERM: "dumb" } },
    { isTTY: true, env: { NO_COLOR: "1" } },
  ]) {
    t.is(startOf(setup), "phase: deploy\n");
  }
});

test("json: one object a line on standard output, nothing on the other", async (t) => {
  const { view, err, out, pass } = bench({ mode: "json", isTTY: true });
  await view.step("a\nb", (note) => {
    note("n");
    pass(12.34);
    return Promise.resolve();
  });
  await t.throwsAsync(view.step("lock", () => Promise.reject(new Error("held"))));
  view.warn("w");
  view.info("i");
  view.phase("window", 60_000);
  view.live(live);
  view.live({ ...live, ok: 13 });
  pass(1000);
  view.live({ ...live, ok: 14, endpointsReady: undefined });
  view.event({ type: "healthy", tMs: 5 });
  view.phaseEnd("window");
  view.phase("recovery", undefined);
  view.result(["not printed"], { severity: "outage" });
  view.close();
  t.is(err(), "");
  t.deepEqual(out().split("\n"), [
    '{"type":"step","tMs":0,"title":"a\\nb","state":"start"}',
    '{"type":"step","tMs":0,"title":"a\\nb","state":"note","note":"n"}',
    '{"type":"step","tMs":12.3,"title":"a\\nb","state":"done","tookMs":12.3}',
    '{"type":"step","tMs":12.3,"title":"lock","state":"start"}',
    '{"type":"step","tMs":12.3,"title":"lock","state":"failed","tookMs":0,"error":"held"}',
    '{"type":"warning","tMs":12.3,"text":"w"}',
    '{"type":"info","tMs":12.3,"text":"i"}',
    '{"type":"phase","tMs":12.3,"phase":"window","state":"start","totalMs":60000}',
    '{"type":"live","tMs":12.3,"phase":"window","ok":12,"failing":148,"kills":6,"endpointsReady":0}',
    '{"type":"live","tMs":1012.3,"phase":"window","ok":14,"failing":148,"kills":6,"endpointsReady":null}',
    '{"type":"event","tMs":1012.3,"event":{"type":"healthy","tMs":5}}',
    '{"type":"phase","tMs":1012.3,"phase":"window","state":"done","tookMs":1000,"live":{"ok":14,"failing":148,"kills":6,"endpointsReady":null}}',
    '{"type":"phase","tMs":1012.3,"phase":"recovery","state":"start","totalMs":null}',
    '{"type":"phase","tMs":1012.3,"phase":"recovery","state":"done","tookMs":0}',
    '{"type":"result","tMs":1012.3,"result":{"severity":"outage"}}',
    "",
  ]);
});

test("a reader that exits does not end the run", async (t) => {
  for (const mode of ["auto", "plain", "json"] as const) {
    const broken = (): Writable =>
      new Writable({
        write: (_chunk, _encoding, done) => done(Object.assign(new Error("EPIPE"), { code: "EPIPE" })),
      });
    const view = createView({ stream: broken(), out: broken(), mode, env: {}, now: () => 0 });
    view.phase("window", 1000);
    view.warn("x");
    // The error is emitted later. Without a listener it would be thrown.
    await new Promise(setImmediate);
    view.result(["x"], {});
    view.close();
    await new Promise(setImmediate);
  }
  t.pass();
});

test("texts: width, cut, one line, times", (t) => {
  t.is(width("abc"), 3);
  t.is(width("落とす"), 6);
  t.is(width("e\u0301"), 1);
  t.is(width("👩‍💻✓→·…"), 6);
  t.is(width("❤️"), 2);
  t.is(cut("abcdef", 6), "abcdef");
  t.is(cut("abcdef", 5), "abcd…");
  t.is(cut("落とす", 5), "落と…");
  t.is(cut("落とす", 4), "落…");
  t.is(cut("abc", 1), "…");
  t.is(cut("abc", 0), "");
  t.is(oneLine("a\r\n\u001b[1;31mb\u001b]0;title\u0007c\u009b\u202ed\te"), "a bc d e");
  t.is(seconds(12_345), "12.3 s");
  t.is(seconds(185_000), "3 min 5 s");
  t.is(wholeSeconds(40_001), "41 s");
  t.is(wholeSeconds(-5), "0 s");
  t.is(wholeSeconds(119_500), "2 min 0 s");
});
