import { pollUntil } from "../../common/clock.js";
import { showLive } from "../measuring/measuring.js";
import type { Harm, RunState } from "../run-state.js";
import { POLL_MS } from "./release.js";

const NONE: ReadonlySet<string> = new Set();

/**
 * Waits until the target is ready again and every probe that worked at baseline has succeeded K times in a row, or the
 * time is up. Continues after a signal, to confirm that the target has recovered.
 *
 * @returns whether it has recovered.
 */
export async function recover(state: RunState, harm: Harm): Promise<boolean> {
  const { clock, recorder, resolved } = state.context;
  const { collector, measuring } = state;
  const { functionChecks } = measuring;
  const limitMs = resolved.experiment.phases.recovery;
  const { health } = collector;
  health.startCounting();
  health.reset(clock.now());
  let ready = false;
  const all = [measuring, ...measuring.companions];
  let healthySeen = false;
  const finishedBefore = functionChecks?.finished ?? 0;
  const functionWorks = (): boolean =>
    functionChecks === undefined ||
    !harm.functionWorked ||
    (functionChecks.finished > finishedBefore && functionChecks.lastPresent);
  // After a foreign change to the application its probes prove nothing: the recovery does not wait for them.
  const wanted = (): ReadonlySet<string> => (state.applicationChanged ? NONE : harm.series);
  if (functionChecks?.disturbs === false) functionChecks.begin();
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
      // The check may disturb the application, so it starts after the application's recovery was measured.
      functionChecks?.begin();
    }
    const waiting = ready
      ? [
          ...unhealthy.map(({ probe, source }) => `${probe} from ${source}`).slice(0, 2),
          ...(functionWorks() ? [] : ["the component's own function"]),
        ]
      : ["the target"];
    showLive(
      state,
      harm.attack?.kills ?? 0,
      waiting.length > 0 ? `waiting for ${waiting.join(", ")}` : undefined,
    );
    return await Promise.resolve(healthySeen && functionWorks() ? true : undefined);
  });
  await functionChecks?.end();
  // Results of checks that started after the release do not belong to the window.
  await functionChecks?.followUp(finishedBefore);
  if (healthySeen && !functionWorks())
    recorder.emit({
      type: "warning",
      text: "timed out waiting for the component's own function to work again",
    });
  return whole === true;
}
