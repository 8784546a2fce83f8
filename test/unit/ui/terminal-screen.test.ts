/** What a terminal shows, by a terminal emulator: after resizes, Ctrl-C, and long lines. */
import xterm from "@xterm/headless";
import test from "ava";
import { Writable } from "node:stream";
import type { RunView } from "../../../src/ui/base.js";
import { createView } from "../../../src/ui/view.js";
import { wrapLine } from "../../../src/ui/wrap.js";

interface Screen {
  readonly view: RunView;
  /** One frame later. */
  readonly frame: () => void;
  readonly resize: (columns: number, rows: number) => Promise<void>;
  /** What the terminal itself prints at the cursor. */
  readonly echo: (text: string) => void;
  /** All lines, with those that have scrolled away, without empty ones. */
  readonly lines: () => Promise<string[]>;
}

function screen(columns: number, rows: number): Screen {
  const terminal = new xterm.Terminal({
    cols: columns,
    rows,
    scrollback: 200,
    allowProposedApi: true,
    convertEol: true,
  });
  const stream = Object.assign(
    new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        terminal.write(chunk);
        done();
      },
    }),
    { isTTY: true, columns, rows },
  );
  let now = 0;
  let tick: () => void = () => undefined;
  const view = createView({
    stream,
    out: stream,
    mode: "auto",
    now: () => now,
    env: {},
    timers: {
      setInterval: (callback) => {
        tick = callback;
        return 1;
      },
      clearInterval: () => (tick = (): void => undefined),
    },
  });
  const shown = async (): Promise<void> => await new Promise((resolve) => terminal.write("", resolve));
  return {
    view,
    frame: () => {
      now += 100;
      tick();
    },
    resize: async (cols, lines) => {
      await shown();
      terminal.resize(cols, lines);
      Object.assign(stream, { columns: cols, rows: lines });
    },
    echo: (text) => terminal.write(text),
    lines: async () => {
      await shown();
      const { active } = terminal.buffer;
      return Array.from(
        { length: active.length },
        (_, index) => active.getLine(index)?.translateToString(true) ?? "",
      ).filter((line) => line !== "");
    },
  };
}

const live = {
  ok: 12,
  failing: 148,
  kills: 6,
  endpointsReady: 0,
  lanes: ["app-write", "app-read", "dns"].map((probe) => ({
    probe,
    seconds: Array.from({ length: 60 }, (_, index) => (index < 40 ? 0 : 1)),
    failing: 2,
    sources: 3,
  })),
};

function begun(columns: number, rows: number): Screen {
  const shown = screen(columns, rows);
  shown.view.session({ index: 2, of: 15, experiment: "kube-dns", leftMs: 31 * 60_000 });
  shown.view.phase("window", 60_000);
  shown.view.live(live);
  shown.frame();
  return shown;
}

test("the screen: phase, lanes and session, redrawn in place", async (t) => {
  const shown = begun(80, 24);
  for (let count = 0; count < 20; count++) shown.frame();
  const lines = await shown.lines();
  t.is(lines.length, 6, lines.join("\n"));
  t.is(lines[0], "· experiment 2 of 15: kube-dns");
  t.regex(lines[1] ?? "", /^\S window {2}58 s left · app→DB ok 12 \/ failing 148 · kills 6 · endpoints 0$/);
  t.regex(lines[2] ?? "", /^ {2}app-write {2}▁+█{20} {2}2 of 3 fail$/);
  t.is(lines[5], "  experiment 2 of 15: kube-dns · about 31 min until the end");
  shown.view.phaseEnd("window");
  shown.view.close();
  t.deepEqual(await shown.lines(), [
    "· experiment 2 of 15: kube-dns",
    "✓ window (2.1 s) · app→DB ok 12 / failing 148 · kills 6 · endpoints 0",
  ]);
});

test("the screen: narrower, wider, lower and higher, nothing is drawn twice and no line is lost", async (t) => {
  const shown = begun(100, 30);
  shown.view.warn("first");
  for (const [columns, rows] of [
    [60, 30],
    [30, 30],
    [100, 30],
    [20, 30],
    [100, 8],
    [100, 40],
    [61, 17],
  ] as const) {
    await shown.resize(columns, rows);
    shown.frame();
    shown.frame();
  }
  shown.view.warn("second");
  const lines = await shown.lines();
  const count = (part: string): number => lines.filter((line) => line.includes(part)).length;
  t.deepEqual(lines.slice(0, 3), ["· experiment 2 of 15: kube-dns", "! first", "! second"], lines.join("\n"));
  t.is(count("left"), 1);
  t.is(count("app-write"), 1);
  t.is(count("until the end"), 1);
});

test("the screen: the ^C of the terminal leaves nothing behind", async (t) => {
  for (const columns of [40, 61, 80]) {
    const shown = begun(columns, 24);
    shown.echo("^C");
    shown.frame();
    shown.view.warn("SIGINT: stopping");
    shown.frame();
    const lines = await shown.lines();
    t.false(lines.join("").includes("^C"), lines.join("\n"));
    t.is(lines[1], "! SIGINT: stopping");
  }
});

test("the screen: long messages break between words, a long path stays whole", async (t) => {
  const shown = screen(40, 24);
  shown.view.warn(
    "cannot fetch samples of kube-system-chaos-worker2: the connection was refused by the server",
  );
  shown.view.result(["report: reports/20261129t120627z-kubelet-b1c0/report.md"], {});
  t.deepEqual(await shown.lines(), [
    "! cannot fetch samples of",
    "  kube-system-chaos-worker2: the",
    "  connection was refused by the server",
    "report:",
    "reports/20261129t120627z-kubelet-b1c0/re",
    "port.md",
  ]);
});

test("a command is never broken: it must work when it is pasted", (t) => {
  const command = "chaos restore 20261129t120627z-kubelet-b1c0 --context kind-kube-system-chaos";
  t.is(wrapLine(command, 30), command);
  t.is(wrapLine(`KUBECONFIG=/home/me/config ${command}`, 30), `KUBECONFIG=/home/me/config ${command}`);
  t.is(
    wrapLine(`finish the run: \`${command}\` restores it`, 30),
    `finish the run:\n\`${command}\`\nrestores it`,
  );
  t.is(wrapLine("  a list has an indent that stays", 18), "  a list has an\n  indent that\n  stays");
});
