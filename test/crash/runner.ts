/** One run as a child process: watched until its point, signalled, and the phase that it was in then. */
import type { ChaosProcess } from "../cluster/support/run-cli.js";
import { markIn, phaseHit, triggerOf, type Hit, type PhaseMark } from "./phases.js";
import type { Point } from "./plan.js";

/** How the run ended. */
export interface Ending {
  readonly hit: Hit;
  /** undefined if it was killed. */
  readonly exitCode: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
  /** It did not end in time and was killed: always a failure. */
  readonly hung: boolean;
}

/** How long a run may take in all: until its signal, and until it ends, ms. */
const LIMIT_MS = 5 * 60_000;
const SLOW_LIMIT_MS = 13 * 60_000;

/** Waits until the point's phase has begun and its delay is over, sends the signal, and waits for the end. */
export async function signalled(child: ChaosProcess, point: Point): Promise<Ending> {
  const marks: PhaseMark[] = [];
  const reached = phaseReached(child, point, marks);
  const limit = point.attack.slow ? SLOW_LIMIT_MS : LIMIT_MS;
  let hung = false;
  const timer = setTimeout(() => {
    hung = true;
    child.kill("SIGKILL");
  }, limit);
  try {
    let atSignal: PhaseMark | undefined;
    let over = !(await reached);
    if (!over) {
      over = await Promise.race([sleep(point.delayMs).then(() => false), child.then(() => true)]);
      atSignal = marks.at(-1);
    }
    if (!over) await send(child, point);
    const { exitCode, stdout, stderr } = await child;
    // Marks that a killed run printed just before its end arrive only now. After a SIGINT a run prints further marks.
    if (point.signal === "SIGKILL") atSignal = marks.at(-1);
    const wasOver = over || (point.signal === "SIGKILL" && exitCode !== undefined);
    return { hit: wasOver ? "over" : phaseHit(atSignal), exitCode, stdout, stderr, hung };
  } finally {
    clearTimeout(timer);
  }
}

async function send(child: ChaosProcess, point: Point): Promise<void> {
  child.kill(point.signal === "SIGKILL" ? "SIGKILL" : "SIGINT");
  if (point.signal !== "SIGINT2") return;
  await Promise.race([sleep(point.secondAfterMs), child]);
  child.kill("SIGINT");
}

/** Resolves with true at the start of the point's phase, with false when the run ends before. */
async function phaseReached(child: ChaosProcess, point: Point, marks: PhaseMark[]): Promise<boolean> {
  const trigger = triggerOf(point.phase);
  return await new Promise<boolean>((resolve) => {
    let rest = "";
    // No `for await` over the child: leaving that loop would close its output.
    child.stdout.on("data", (chunk: Buffer | string) => {
      const lines = `${rest}${chunk.toString()}`.split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) {
        const mark = markIn(line);
        if (mark === undefined) continue;
        marks.push(mark);
        if (mark.phase === trigger.phase && mark.state === trigger.state) resolve(true);
      }
    });
    void child.then(() => resolve(false));
  });
}

export async function sleep(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}
