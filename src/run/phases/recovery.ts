import { pollUntil } from "../../common/clock.js";
import { showLive } from "../measuring/measuring.js";
import { showsRestore, type Unhealthy } from "../measuring/health.js";
import type { Harm, RunState } from "../run-state.js";
import { POLL_MS } from "./release.js";

const NONE: ReadonlySet<string> = new Set();

/** How long after the cluster's recovery a probe that depends on something outside may still fail without a warning, ms. */
const OUTSIDE_LIMIT_MS = 10_000;

/**
 * Waits until the target is ready again and every probe of the cluster that worked at baseline has succeeded K times in a
 * row, or the time is up. Continues after a signal, to confirm that the target has recovered. A probe that depends on
 * something outside the cluster is only a warning.
 *
 * @returns whether it has recovered.
 */
export async function recover(state: RunState, harm: Harm): Promise<boolean> {
  const { clock, recorder, resolved, givingUp } = state.context;
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
  const outsideToo = (): Unhealthy[] => health.unhealthy(wanted());
  if (functionChecks?.disturbs === false) functionChecks.begin();
  const whole = await pollUntil(clock, { everyMs: POLL_MS, limitMs, signal: givingUp?.any }, async () => {
    if (!ready && all.every(({ watch }) => watch.isTargetReady())) {
      ready = true;
      recorder.emit({ type: "target-ready" });
    }
    const series = wanted();
    const unhealthy = health.unhealthy(series).filter(({ probe }) => showsRestore(probe));
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
  if (healthySeen && functionWorks()) await tellOutside(state, outsideToo);
  if (healthySeen && !functionWorks())
    recorder.emit({
      type: "warning",
      text: "timed out waiting for the component's own function to work again",
    });
  return whole === true;
}

/** Warns of probes that depend on something outside the cluster and have not recovered with it. */
async function tellOutside(state: RunState, unhealthy: () => readonly Unhealthy[]): Promise<void> {
  const { clock, recorder, givingUp } = state.context;
  const limit = {
    everyMs: POLL_MS,
    limitMs: OUTSIDE_LIMIT_MS,
    signal: givingUp?.any,
  };
  const good = await pollUntil(
    clock,
    limit,
    async () => await Promise.resolve(unhealthy().length === 0 ? true : undefined),
  );
  if (good === true) return;
  const failing = unhealthy().map(
    ({ probe, source, failure }) => `${probe} from ${source} (${failure ?? "no good sample in a row"})`,
  );
  if (failing.length > 0)
    recorder.emit({
      type: "warning",
      text: `the cluster has recovered, but ${failing.join(", ")} still fails. No restore can mend that (something outside the cluster, or an entry for a socket that stays open), so the cluster counts as restored`,
    });
}
