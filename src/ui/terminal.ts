import { styleText } from "node:util";
import type { PhaseName, RunEvent } from "../evidence/events.js";
import type { LiveState, RunView } from "./base.js";
import { liveParts, phaseStatus, type RunningPhase, type ViewBase } from "./base.js";
import { eventLine, type EventLine } from "./event-lines.js";
import { cut, oneLine, oneLineIndented } from "./width.js";
import { seconds } from "../common/figures.js";

const FRAMES = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
const FRAME_MS = 100;
const DEFAULT_COLUMNS = 80;

/** Moves to the start of the line and erases it. */
const CLEAR_LINE = "\r\u001b[K";

type Colour = Parameters<typeof styleText>[0];
const MARKS: Readonly<Record<EventLine["level"], readonly [mark: string, colour: Colour]>> = {
  ok: ["✓", "green"],
  failed: ["✗", "red"],
  info: ["·", "dim"],
  warn: ["!", "yellow"],
};

interface RunningStep {
  readonly title: string;
  readonly startMs: number;
  note: string;
}

/**
 * The line at the bottom shows the newest running step, or else the phase, and is redrawn in place. Finished lines stay
 * above it. The line never reaches the last column, so it never wraps. The cursor is never hidden, so the terminal
 * stays usable even if the process is killed.
 */
export class TerminalView implements RunView {
  private readonly steps: RunningStep[] = [];
  private running: RunningPhase | undefined;
  private frame = 0;
  private drawn = false;
  private timer: unknown;
  private closed = false;
  private suspensions = 0;

  constructor(private readonly base: ViewBase & { readonly colour: boolean }) {}

  async step<T>(title: string, work: (note: (text: string) => void) => Promise<T>): Promise<T> {
    const step: RunningStep = { title: oneLine(title), startMs: this.base.now(), note: "" };
    this.steps.push(step);
    this.draw();
    const finish = (level: "ok" | "failed"): void => {
      this.steps.splice(this.steps.indexOf(step), 1);
      this.print(level, `${step.title} (${seconds(this.base.now() - step.startMs)})`);
    };
    try {
      const value = await work((text) => {
        step.note = oneLine(text);
      });
      finish("ok");
      return value;
    } catch (error) {
      finish("failed");
      throw error;
    }
  }

  info(text: string): void {
    this.print("info", text);
  }

  warn(text: string): void {
    this.print("warn", text);
  }

  phase(name: PhaseName, totalMs: number | undefined): void {
    this.endPhase("ok");
    this.running = { name, startMs: this.base.now(), totalMs, live: undefined };
    this.draw();
  }

  live(state: LiveState): void {
    // Drawn with the next frame, because samples arrive faster than anyone can read.
    if (this.running !== undefined) this.running.live = state;
  }

  event(event: RunEvent): void {
    const line = eventLine(event);
    if (line !== undefined) this.print(line.level, line.text);
  }

  phaseEnd(name: PhaseName): void {
    if (this.running?.name === name) this.endPhase("ok");
  }

  async suspended<T>(work: () => Promise<T>): Promise<T> {
    this.suspensions++;
    this.draw();
    try {
      return await work();
    } finally {
      this.suspensions--;
      this.draw();
    }
  }

  result(lines: readonly string[]): void {
    this.endPhase("ok");
    this.erase();
    // Report lines contain names and messages from the cluster.
    for (const line of lines) this.base.out.write(`${oneLineIndented(line)}\n`);
    this.draw();
  }

  close(): void {
    if (this.closed) return;
    // A phase that is still open did not finish.
    this.endPhase("failed");
    this.steps.length = 0;
    this.erase();
    this.stopTimer();
    this.closed = true;
  }

  private endPhase(level: "ok" | "failed"): void {
    const phase = this.running;
    if (phase === undefined) return;
    this.running = undefined;
    const counts = liveParts(phase.live).map((part) => ` · ${oneLine(part)}`);
    this.print(level, `${phase.name} (${seconds(this.base.now() - phase.startMs)})${counts.join("")}`);
  }

  /** A permanent line above the live line. Long lines wrap, so that they can be read. */
  private print(level: EventLine["level"], text: string): void {
    const [mark, colour] = MARKS[level];
    const body = oneLine(text);
    const line = `${this.paint(colour, mark)} ${level === "warn" ? this.paint(colour, body) : body}`;
    this.base.stream.write(`${this.drawn ? CLEAR_LINE : ""}${line}\n`);
    this.drawn = false;
    this.draw();
  }

  private draw(): void {
    const text = this.liveText();
    if (this.closed || text === undefined) {
      this.erase();
      this.stopTimer();
      return;
    }
    this.timer ??= this.base.timers.setInterval(() => {
      this.frame++;
      this.draw();
    }, FRAME_MS);
    const columns = this.base.stream.columns;
    // One column stays free, so that the terminal does not wrap. Mark and space take two.
    const room = (columns === undefined || columns <= 0 ? DEFAULT_COLUMNS : columns) - 1;
    const mark = FRAMES[this.frame % FRAMES.length] ?? "";
    const line = room < 3 ? "" : `${this.paint("cyan", mark)} ${cut(text, room - 2)}`;
    this.base.stream.write(`${this.drawn ? CLEAR_LINE : ""}${line}`);
    this.drawn = true;
  }

  private liveText(): string | undefined {
    if (this.suspensions > 0) return undefined;
    const now = this.base.now();
    const step = this.steps.at(-1);
    if (step !== undefined) {
      const others = this.steps.length > 1 ? ` (+${this.steps.length - 1})` : "";
      const note = step.note === "" ? "" : ` · ${step.note}`;
      return `${step.title}  ${seconds(now - step.startMs)}${others}${note}`;
    }
    if (this.running === undefined) return undefined;
    return oneLine(`${this.running.name}  ${phaseStatus(this.running, now)}`);
  }

  private erase(): void {
    if (this.drawn) this.base.stream.write(CLEAR_LINE);
    this.drawn = false;
  }

  private stopTimer(): void {
    if (this.timer !== undefined) this.base.timers.clearInterval(this.timer);
    this.timer = undefined;
  }

  private paint(colour: Colour, text: string): string {
    // `createView` has already checked that the stream is a terminal.
    return this.base.colour ? styleText(colour, text, { validateStream: false }) : text;
  }
}
