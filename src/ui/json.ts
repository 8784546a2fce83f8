import { messageOf } from "../common/errors.js";
import type { PhaseName, RunEvent } from "../evidence/events.js";
import type { LiveState, RunView, SessionPosition, ViewBase } from "./base.js";
import type { LiveCounts, Message, MessageBody } from "./messages.js";

/** Counts change with every sample. One line per second is enough for a program that follows them. */
const LIVE_EVERY_MS = 1000;

/** Everything as messages, which `take` must not delay. */
export class MessageView implements RunView {
  private readonly startMs: number;
  private current: { name: PhaseName; startMs: number; live?: LiveState; liveAtMs?: number } | undefined;

  constructor(
    private readonly base: Pick<ViewBase, "now">,
    private readonly take: (message: Message) => void,
  ) {
    this.startMs = base.now();
  }

  async step<T>(title: string, work: (note: (text: string) => void) => Promise<T>): Promise<T> {
    const startMs = this.base.now();
    const took = (): { tookMs: number } => ({ tookMs: round(this.base.now() - startMs) });
    this.write({ type: "step", title, state: "start" });
    try {
      const value = await work((note) => this.write({ type: "step", title, state: "note", note }));
      this.write({ type: "step", title, state: "done", ...took() });
      return value;
    } catch (error) {
      this.write({ type: "step", title, state: "failed", ...took(), error: messageOf(error) });
      throw error;
    }
  }

  info(text: string): void {
    this.write({ type: "info", text });
  }

  warn(text: string): void {
    this.write({ type: "warning", text });
  }

  session(position: SessionPosition): void {
    this.write({ type: "session", ...position });
  }

  phase(name: PhaseName, totalMs: number | undefined): void {
    this.endPhase("done");
    this.current = { name, startMs: this.base.now() };
    this.write({ type: "phase", phase: name, state: "start", totalMs: totalMs ?? null });
  }

  live(state: LiveState): void {
    if (this.current === undefined) return;
    this.current.live = state;
    const now = this.base.now();
    if (now - (this.current.liveAtMs ?? Number.NEGATIVE_INFINITY) < LIVE_EVERY_MS) return;
    this.current.liveAtMs = now;
    this.write({ type: "live", phase: this.current.name, ...liveFields(state) });
  }

  event(event: RunEvent): void {
    this.write({ type: "event", event });
  }

  phaseEnd(name: PhaseName): void {
    if (this.current?.name === name) this.endPhase("done");
  }

  async suspended<T>(work: () => Promise<T>): Promise<T> {
    return await work();
  }

  result(_lines: readonly string[], summary: unknown): void {
    this.endPhase("done");
    this.write({ type: "result", result: summary ?? null });
  }

  close(): void {
    this.endPhase("not finished");
  }

  private endPhase(state: "done" | "not finished"): void {
    if (this.current === undefined) return;
    const { name, startMs, live } = this.current;
    this.current = undefined;
    const tookMs = round(this.base.now() - startMs);
    const counts = live === undefined ? {} : { live: liveFields(live) };
    this.write({ type: "phase", phase: name, state, tookMs, ...counts });
  }

  private write(body: MessageBody): void {
    const { type, ...rest } = body;
    this.take({ type, tMs: round(this.base.now() - this.startMs), ...rest } as Message);
  }
}

/** Writes all messages to standard output, one JSON object per line. */
export class JsonView extends MessageView {
  constructor(base: ViewBase) {
    super(base, (message) => base.out.write(`${JSON.stringify(message)}\n`));
  }
}

function liveFields({ ok, failing, kills, endpointsReady, note }: LiveState): LiveCounts {
  return {
    ok,
    failing,
    kills,
    endpointsReady: endpointsReady ?? null,
    ...(note === undefined ? {} : { note }),
  };
}

function round(ms: number): number {
  return Math.round(ms * 10) / 10;
}
