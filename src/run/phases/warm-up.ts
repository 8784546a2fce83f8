import { pollUntil } from "../../common/clock.js";
import { ChaosError } from "../../common/errors.js";
import type { RunFacts } from "../../evidence/facts.js";
import type { ProbeName } from "../../experiment/names.js";
import { StartWatch } from "../../own/start.js";
import { RECENT_MS } from "../../probes/agent/judge.js";
import { CHECK_SLACK_MS } from "../measuring/function-checks.js";
import { showsRestore, type Unhealthy } from "../measuring/health.js";
import { startOutside } from "../measuring/start-outside.js";
import type { RunState } from "../run-state.js";
import { untilCalm } from "./calm.js";
import { REPLACED_LIMIT_MS, replaceDatabasePod } from "./churn.js";
import { applicationManifests } from "./deploy.js";

/**
 * How long the deployed application may take until every probe is good, ms. After an outage of etcd or the API server,
 * a kube-proxy's watch can hang until client-go ends it after 5 to 10 minutes (reflector.go, minWatchTimeout). Until
 * then that node does not see new Services (measured after etcd had been down for 30 s).
 */
export const WARM_UP_LIMIT_MS = 11 * 60_000;

/** An optional probe (an external name, a port from outside) is dropped after this, ms. */
const OPTIONAL_LIMIT_MS = 6_000;

/** Probes that a healthy cluster may lack, and why each is then not measured. */
const OPTIONAL: Readonly<Partial<Record<ProbeName, string>>> = {
  "dns-external": "no answer before the run: the cluster does not resolve external names",
  "dns-same-socket":
    "no answer before the run: the first name server of the probers' pods does not answer over UDP",
  outside: "its first answer was not followed by others: the way from the runner to the NodePort is unstable",
};

/** All probes must be good again this long after the database pod was replaced before the baseline, ms. */
const CHURN_LIMIT_MS = 15_000;

/**
 * How long a follower of the replaced database may then lag, ms. One that connects to the old pod's address, because its
 * node's rules still have it, gives up after 60 s (repl-timeout in redis.conf), and a copy begins 5 s later
 * (repl-diskless-sync-delay). (Measured on a busy machine: 34 s and more.)
 */
const FOLLOWERS_LIMIT_MS = 75_000;

/** How long replacing the database pod before the baseline takes, ms. */
export const REHEARSAL_MS = {
  usual: RECENT_MS + 5_000,
  atMost: REPLACED_LIMIT_MS + Math.max(CHURN_LIMIT_MS, RECENT_MS) + FOLLOWERS_LIMIT_MS,
};

/**
 * Steps that would disturb the baseline run before it: a function check that changes the cluster's DNS or replaces pods on
 * every node, and the replacement of the database pod, which must be harmless in a healthy cluster.
 */
export async function rehearse(state: RunState): Promise<void> {
  const { functionChecks } = state.measuring;
  const { view, interrupted, resolved } = state.context;
  if (functionChecks?.disturbs === true) {
    await view.step("check the component's own function", async () => {
      await functionChecks.another(functionChecks.deadlineMs + CHECK_SLACK_MS, interrupted);
      await functionChecks.end();
      await healthyAgain(state, WARM_UP_LIMIT_MS);
    });
    // The pods of its last change still start.
    if (!state.stop.aborted) await untilCalm(state);
  }
  if (resolved.experiment.churn === undefined || interrupted.aborted) return;
  await view.step("replace the database pod (must be harmless)", async () => {
    await replaceDatabasePod(state.context, {
      rehearsal: true,
      harmless: async () => await harmless(state),
    });
  });
}

/** As `healthyAgain`, after the database pod was replaced. */
async function harmless(state: RunState): Promise<string | undefined> {
  const { clock } = state.context;
  const currentFrom = clock.now() + RECENT_MS;
  const harmed = await healthyAgain(state, CHURN_LIMIT_MS);
  if (harmed !== undefined) return harmed;
  // Until then a read may be good with a value that a lagging follower has from the old pod.
  await clock.sleep(Math.max(0, currentFrom - clock.now()), state.stop);
  return await healthyAgain(state, FOLLOWERS_LIMIT_MS);
}

/** @returns what is still unhealthy when the time is up; undefined: everything is healthy. */
async function healthyAgain(state: RunState, limitMs: number): Promise<string | undefined> {
  const { clock } = state.context;
  const signal = state.stop;
  const { health } = state.collector;
  const series = health.everGood();
  const unhealthy = (): Unhealthy[] => health.unhealthy(series).filter(({ probe }) => showsRestore(probe));
  health.reset(clock.now());
  const good = await pollUntil(
    clock,
    { everyMs: 200, limitMs, signal },
    async () => await Promise.resolve(unhealthy().length === 0 ? true : undefined),
  );
  if (good === true) return undefined;
  return unhealthy()
    .map(({ probe, source }) => `${probe} from ${source}`)
    .join(", ");
}

/** Waits until every probe has been good K times in a row. Drops probes that a cluster may lack. */
export async function warmUp(state: RunState, note: (text: string) => void): Promise<void> {
  const { clock } = state.context;
  const signal = state.stop;
  const { health } = state.collector;
  const unreachable = await startOutside(state.context, state.collector);
  if (unreachable !== undefined) notMeasured(state, "outside", unreachable);
  const startedAt = clock.now();
  const watch = new StartWatch(
    {
      transport: state.context.transport,
      clock,
      failed: "cannot get a healthy application before the attack",
    },
    Object.values(await applicationManifests(state.context)).flat(),
  );
  const good = await pollUntil(clock, { everyMs: 200, limitMs: WARM_UP_LIMIT_MS, signal }, async () => {
    const unhealthy = health.unhealthy();
    const dropped = unhealthy.filter(({ probe }) => OPTIONAL[probe] !== undefined);
    const optional = clock.now() - startedAt > OPTIONAL_LIMIT_MS ? dropped.length : 0;
    note(
      unhealthy
        .slice(0, 3)
        .map(({ probe, source }) => `${probe} from ${source}`)
        .join(", "),
    );
    if (health.size > 0 && unhealthy.length === optional) return true;
    await watch.look();
    return undefined;
  });
  if (good === true) {
    for (const probe of new Set(health.unhealthy().map((each) => each.probe)))
      notMeasured(state, probe, OPTIONAL[probe] ?? "no good sample before the run");
  }
  if (good !== true && !signal.aborted) {
    const bad = health
      .unhealthy()
      .map(
        ({ probe, source, failure }) => `${probe} from ${source} (${failure ?? "no good sample in a row"})`,
      );
    throw new ChaosError(
      `timed out after ${WARM_UP_LIMIT_MS / 60_000} minutes waiting for a healthy application: ${bad.join(", ")}. See kubectl get pods -A: what these probes need does not work`,
    );
  }
}

function notMeasured(state: RunState, probe: RunFacts["notMeasured"][number]["probe"], reason: string): void {
  state.facts = { ...state.facts, notMeasured: [...state.facts.notMeasured, { probe, reason }] };
}
