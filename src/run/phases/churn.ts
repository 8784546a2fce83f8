import { LEADER_LABELS } from "../../application/guestbook.js";
import { pollUntil } from "../../common/clock.js";
import { messageOf } from "../../common/errors.js";
import { DEPLOYMENTS, get, patch, resourcePath } from "../../kube/api.js";
import type { Deployment } from "../../kube/objects.js";
import { hasEnded } from "../../kube/pod-state.js";
import { REPLACED_AT } from "../../own/own-names.js";
import { podsLabelled } from "../../own/pods.js";
import type { RunContext } from "../context.js";

/** Name of the database's Deployment in the guestbook. */
const LEADER = "redis-leader";

/** The new pod usually starts within one or two seconds; a slow node takes longer, ms. */
export const REPLACED_LIMIT_MS = 30_000;

/**
 * Replaces the application's database pod with a rolling restart (maxSurge 1): the new pod is ready and in its Service
 * before the old one is deleted. The probes show whether this had an impact.
 */
export async function replaceDatabasePod(
  context: RunContext,
  options: {
    readonly rehearsal: boolean;
    /** In a rehearsal: called afterwards, returns what is unhealthy; undefined: everything is healthy. */
    readonly harmless?: () => Promise<string | undefined>;
    /** Ends the wait: when the window is over, the release must not wait for this. */
    readonly signal?: AbortSignal;
  },
): Promise<boolean> {
  const { transport, clock, recorder, resolved } = context;
  const { rehearsal, signal } = options;
  // The load refuses it with an existing application.
  const { namespace = "" } = resolved.experiment.application.guestbook ?? {};
  const startedAt = clock.now();
  const object = { kind: "Deployment", namespace, name: LEADER };
  const report = (ok: boolean, detail: string): boolean => {
    const tookMs = Math.round(clock.now() - startedAt);
    recorder.emit({ type: "churn", object, rehearsal, ok, tookMs, detail }, startedAt);
    return ok;
  };
  try {
    const call = signal === undefined ? {} : { signal };
    const before = new Set(
      (await podsLabelled(transport, namespace, LEADER_LABELS, call)).map((pod) => pod.metadata.uid),
    );
    const path = resourcePath(DEPLOYMENTS, namespace, LEADER);
    const stamp = { [REPLACED_AT]: clock.wall().toISOString() };
    const change = {
      spec: {
        strategy: { type: "RollingUpdate", rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
        template: { metadata: { annotations: stamp } },
      },
    };
    await patch<Deployment>(transport, path, change, call);
    const replaced = await pollUntil(
      clock,
      { everyMs: 250, limitMs: REPLACED_LIMIT_MS, ...call },
      async () => {
        const pods = await podsLabelled(transport, namespace, LEADER_LABELS, call);
        const old = pods.filter((pod) => before.has(pod.metadata.uid) && !hasEnded(pod));
        const fresh = pods.find((pod) => !before.has(pod.metadata.uid) && pod.status?.phase === "Running");
        return old.length === 0 ? fresh : undefined;
      },
    );
    if (replaced !== undefined) {
      const taken = `pod ${replaced.metadata.name} on ${replaced.spec?.nodeName ?? "?"} took its place`;
      const harmed = await options.harmless?.();
      return harmed === undefined
        ? report(true, taken)
        : report(false, `${taken}, but these probes failed: ${harmed}`);
    }
    if (signal?.aborted === true) return report(false, "the window was over before the old pod was replaced");
    const { status } = await get<Deployment>(transport, path, call);
    return report(
      false,
      `the old pod was not replaced within ${REPLACED_LIMIT_MS / 1000} s (${status?.updatedReplicas ?? 0} updated)`,
    );
  } catch (error) {
    return report(false, messageOf(error));
  }
}
