import { styleText } from "node:util";
import type { PhaseName, RunEvent } from "../evidence/events.js";
import type { LiveState, RunView, SessionPosition, ViewStream } from "./base.js";
import { liveParts, phaseStatus, type RunningPhase, sessionStatus, type ViewBase } from "./base.js";
import { eventLine, type EventLine } from "./event-lines.js";
import { laneLines } from "./lanes.js";
import { cut, oneLine, oneLineIndented, width } from "./width.js";
import { wrapLine } from "./wrap.js";
import { seconds } from "../common/figures.js";

const FRAMES = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
const FRAME_MS = 100;
const DEFAULT_COLUMNS = 80;
const DEFAULT_ROWS = 24;

/** Lines of the terminal that the live view leaves to what is above it. */
const ROWS_ABOVE = 6;

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
 * The lines at the bottom are redrawn in place: the newest running step, or else the phase with a lane for each probe, and
 * when the session ends. Finished lines stay above them. A live line never reaches the last column, so it never wraps. The
 * cursor is never hidden, so the terminal stays usable even if the process is killed.
 */
export class TerminalView implements RunView {
  private readonly steps: RunningStep[] = [];
  private running: RunningPhase | undefined;
  private frame = 0;
  private at: { readonly position: SessionPosition; readonly startMs: number } | undefined;
  /** Widths of the lines that are drawn, in columns. */
  private drawn: readonly number[] = [];
  private timer: unknown;
  private closed = false;
  private suspensions = 0;

  constructor(private readonly base: ViewBase) {}

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

  session(position: SessionPosition): void {
    this.at = { position, startMs: this.base.now() };
    if (position.of > 1)
      this.print("info", `experiment ${position.index} of ${position.of}: ${position.experiment}`);
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
    const { isTTY, columns = DEFAULT_COLUMNS }: ViewStream = this.base.out;
    for (const line of lines.map(oneLineIndented))
      this.base.out.write(`${isTTY === true ? wrapLine(line, columns) : line}\n`);
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

  /** A permanent line above the live ones. Long lines wrap between words. */
  private print(level: EventLine["level"], text: string): void {
    const [mark, colour] = MARKS[level];
    const body = wrapLine(oneLine(text), this.columns - 2).replaceAll("\n", "\n  ");
    const line = `${paint(colour, mark)} ${level === "warn" ? paint(colour, body) : body}`;
    this.base.stream.write(`${this.erasing()}${line}\n`);
    this.draw();
  }

  private draw(): void {
    const lines = this.closed || this.suspensions > 0 ? [] : this.liveLines();
    if (lines.length === 0) {
      this.erase();
      this.stopTimer();
      return;
    }
    this.timer ??= this.base.timers.setInterval(() => {
      this.frame++;
      this.draw();
    }, FRAME_MS);
    // One write for all, so that the terminal shows no half of it.
    const erasing = this.erasing();
    this.drawn = lines.map(({ columns }) => columns);
    this.base.stream.write(erasing + lines.map(({ text }) => `${text}\n`).join(""));
  }

  private liveLines(): LiveLine[] {
    const room = this.columns - 1;
    const first = this.firstLine();
    if (first === undefined || room < 3) return [];
    const mark = FRAMES[this.frame % FRAMES.length] ?? "";
    const lines = [
      lineOf([
        ["cyan", `${mark} `],
        [undefined, cut(first, room - 2)],
      ]),
    ];
    const rows = (this.base.stream.rows ?? 0) || DEFAULT_ROWS;
    const lanes = this.steps.length > 0 ? [] : (this.running?.live?.lanes ?? []);
    for (const { name, bars, note } of laneLines(lanes, { lines: rows - ROWS_ABOVE, columns: room - 2 }))
      lines.push(
        lineOf([
          [undefined, `  ${name}  `],
          ["cyan", bars],
          ["red", note === "" ? "" : `  ${note}`],
        ]),
      );
    if (this.at !== undefined && rows > 2) {
      const status = sessionStatus(this.at.position, this.base.now() - this.at.startMs);
      lines.push(lineOf([["dim", `  ${cut(oneLine(status), room - 2)}`]]));
    }
    return lines;
  }

  private firstLine(): string | undefined {
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
    const erasing = this.erasing();
    if (erasing !== "") this.base.stream.write(erasing);
  }

  /**
   * Moves to the start of the first live line and erases everything from there. In a terminal that has become narrower,
   * the lines fill more rows than when they were drawn. The cursor is on an empty line below them: terminals differ in
   * whether they wrap the cursor's line again, and print ^C there.
   */
  private erasing(): string {
    if (this.drawn.length === 0) return "";
    const rows = this.drawn.reduce((sum, each) => sum + Math.max(1, Math.ceil(each / this.columns)), 0);
    this.drawn = [];
    return `\r\u001b[${rows}A\u001b[J`;
  }

  private get columns(): number {
    return (this.base.stream.columns ?? 0) || DEFAULT_COLUMNS;
  }

  private stopTimer(): void {
    if (this.timer !== undefined) this.base.timers.clearInterval(this.timer);
    this.timer = undefined;
  }
}

interface LiveLine {
  readonly text: string;
  /** Its width. */
  readonly columns: number;
}

function lineOf(parts: readonly (readonly [colour: Colour | undefined, text: string])[]): LiveLine {
  return {
    text: parts
      .map(([colour, text]) => (colour === undefined || text === "" ? text : paint(colour, text)))
      .join(""),
    columns: parts.reduce((sum, [, text]) => sum + width(text), 0),
  };
}

/** `createView` has already checked that the stream is a terminal with colours. */
function paint(colour: Colour, text: string): string {
  return styleText(colour, text, { validateStream: false });
}
