import { pollUntil } from "../../common/clock.js";
import { showLive } from "../measuring/measuring.js";
import type { Harm, RunState } from "../run-state.js";
import { POLL_MS } from "./release.js";

const NONE: ReadonlySet<string> = new Set();

/**
 * Recovery: until the target is ready again and every probe that worked at baseline has succeeded K times in a
 * row, or the time is up. Goes on after a signal: what was harmed is seen to be whole.
 *
 * @returns whether it was.
 */
export async function recover(state: RunState, harm: Harm): Promise<boolean> {
  const { clock, recorder, resolved } = state.context;
  const { collector, measuring } = state;
  const { looks } = measuring;
  const limitMs = resolved.experiment.phases.recovery;
  const { health } = collector;
  health.startCounting();
  health.reset(clock.now());
  let ready = false;
  const all = [measuring, ...measuring.companions];
  let healthySeen = false;
  const looked = looks?.finished ?? 0;
  const functionIsBack = (): boolean =>
    looks === undefined || !harm.functionWorked || (looks.finished > looked && looks.lastPresent);
  // An application that somebody has changed says nothing any more, and is not waited for.
  const wanted = (): ReadonlySet<string> => (state.applicationChanged ? NONE : harm.series);
  if (looks?.disturbs === false) looks.begin();
  const whole = await pollUntil(clock, { everyMs: POLL_MS, limitMs }, async () => {
    if (!ready && all.every(({ watch }) => watch.isTargetReady())) {
      ready = true;
      recorder.emit({ type: "target-ready" });
    }
    const series = wanted();
    const unhealthy = health.unhealthy(series);
    if (ready && unhealthy.length === 0 && !healthySeen) {
      healthySeen = true;
      if (series.size > 0) recorder.emit({ type: "healthy" });
      // It may disturb the application, whose recovery has been measured by now.
      looks?.begin();
    }
    const waiting = ready
      ? [
          ...unhealthy.map(({ probe, source }) => `${probe} from ${source}`).slice(0, 2),
          ...(functionIsBack() ? [] : ["its own function"]),
        ]
      : ["the target"];
    showLive(
      state,
      harm.attack?.kills ?? 0,
      waiting.length > 0 ? `waiting for ${waiting.join(", ")}` : undefined,
    );
    return await Promise.resolve(healthySeen && functionIsBack() ? true : undefined);
  });
  await looks?.end();
  // What was sent after the release is no victim of the window.
  await looks?.followUp(looked);
  if (healthySeen && !functionIsBack())
    recorder.emit({ type: "warning", text: "the component's own function was not seen again in time" });
  return whole === true;
}
