import type { PhaseName, RunEvent } from "../evidence/events.js";
import type { LiveState, RunView, SessionPosition } from "./base.js";
import { liveParts, phaseStatus, type RunningPhase, sessionStatus, type ViewBase } from "./base.js";
import { eventLine, type EventLine } from "./event-lines.js";
import { seconds } from "../common/figures.js";
import { oneLine, oneLineIndented } from "./width.js";

/** CI stops jobs that print nothing for a long time, and people want to see progress. */
const HEARTBEAT_MS = 10_000;

const PREFIX: Readonly<Record<EventLine["level"], string>> = {
  ok: "ok: ",
  failed: "failed: ",
  info: "info: ",
  warn: "warning: ",
};

/** Whole lines without control characters, for pipes, files and CI. */
export class PlainView implements RunView {
  private running: { readonly phase: RunningPhase; readonly timer: unknown } | undefined;
  private readonly stepTimers = new Set<unknown>();
  private closed = false;

  constructor(private readonly base: ViewBase) {}

  async step<T>(title: string, work: (note: (text: string) => void) => Promise<T>): Promise<T> {
    const startMs = this.base.now();
    const took = (): string => seconds(this.base.now() - startMs);
    let note = "";
    this.print(`step: ${title}`);
    const timer = this.every(() => this.print(`step: ${title}: ${took()}${note}`));
    this.stepTimers.add(timer);
    let outcome = "failed";
    try {
      const value = await work((text) => {
        note = ` · ${text}`;
      });
      outcome = "done";
      return value;
    } finally {
      this.base.timers.clearInterval(timer);
      this.stepTimers.delete(timer);
      this.print(`step: ${title}: ${outcome} (${took()})`);
    }
  }

  info(text: string): void {
    this.print(PREFIX.info + text);
  }

  warn(text: string): void {
    this.print(PREFIX.warn + text);
  }

  session(position: SessionPosition): void {
    this.print(PREFIX.info + sessionStatus(position, 0));
  }

  phase(name: PhaseName, totalMs: number | undefined): void {
    this.endPhase("done");
    const phase: RunningPhase = { name, startMs: this.base.now(), totalMs, live: undefined };
    this.print(`phase: ${name}${totalMs === undefined ? "" : ` (${seconds(totalMs)})`}`);
    const timer = this.every(() => this.print(`phase: ${name}: ${phaseStatus(phase, this.base.now())}`));
    this.running = { phase, timer };
  }

  live(state: LiveState): void {
    if (this.running !== undefined) this.running.phase.live = state;
  }

  event(event: RunEvent): void {
    const line = eventLine(event);
    if (line !== undefined) this.print(PREFIX[line.level] + line.text);
  }

  phaseEnd(name: PhaseName): void {
    if (this.running?.phase.name === name) this.endPhase("done");
  }

  async suspended<T>(work: () => Promise<T>): Promise<T> {
    return await work();
  }

  result(lines: readonly string[]): void {
    this.endPhase("done");
    for (const line of lines) this.base.out.write(`${oneLineIndented(line)}\n`);
  }

  close(): void {
    this.endPhase("not finished");
    for (const timer of this.stepTimers) this.base.timers.clearInterval(timer);
    this.stepTimers.clear();
    this.closed = true;
  }

  private endPhase(outcome: string): void {
    if (this.running === undefined) return;
    const { phase, timer } = this.running;
    this.running = undefined;
    this.base.timers.clearInterval(timer);
    const counts = liveParts(phase.live).map((part) => ` · ${part}`);
    const took = seconds(this.base.now() - phase.startMs);
    this.print(`phase: ${phase.name}: ${outcome} (${took})${counts.join("")}`);
  }

  private every(work: () => void): unknown {
    return this.closed ? undefined : this.base.timers.setInterval(work, HEARTBEAT_MS);
  }

  private print(text: string): void {
    this.base.stream.write(`${oneLine(text)}\n`);
  }
}
