import { stalledIn } from "../../analysis/clocks.js";
import { pollUntil } from "../../common/clock.js";
import type { RunState } from "../run-state.js";

/** A machine is calm after this long without a stall, ms. */
const CALM_MS = 3_000;

/** A machine that does not become calm within this is measured as it is, ms. */
export const CALM_LIMIT_MS = 30_000;

/** Waits until no prober and no runner stalls any more: what keeps a machine busy often ends soon (pods that start). */
export async function untilCalm({ collector, context, stop }: RunState): Promise<void> {
  const { clock, recorder, view } = context;
  const poll = { everyMs: CALM_MS, limitMs: CALM_LIMIT_MS - CALM_MS, signal: stop };
  await view.step("wait until the machine is less busy", async () => {
    await clock.sleep(CALM_MS, stop);
    await pollUntil(clock, poll, async () => {
      await collector.fetch();
      const toMs = clock.now();
      const span = { fromMs: toMs - CALM_MS, toMs };
      return stalledIn(span, recorder.events, recorder.samples) ? undefined : true;
    });
  });
}
