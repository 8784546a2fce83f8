import { DEPLOYMENTS, get, list, patch, PODS, resourcePath, selectorString } from "../cluster/api.js";
import type { Deployment, Pod } from "../cluster/objects.js";
import { LEADER_LABELS } from "../application/guestbook.js";
import { messageOf } from "../errors.js";
import { hasEnded } from "../cluster/pod-state.js";
import { pollUntil } from "./clock.js";
import type { RunContext } from "./context.js";

/** Name of the database's Deployment in the guestbook. */
const LEADER = "redis-leader";
/** The new pod starts within a second or two; a slow node takes longer, ms. */
const LIMIT_MS = 30_000;

/**
 * Replaces the application's database pod, the gentle way: the new one is there, and in its Service, before the
 * old one goes (a rolling restart with one more than wanted). Whether anything was harmed by it, the probes say.
 */
export async function replaceDatabasePod(
  context: RunContext,
  options: {
    readonly rehearsal: boolean;
    /** Of a rehearsal: asked afterwards what is not healthy; undefined: everything is. */
    readonly harmless?: () => Promise<string | undefined>;
  },
): Promise<boolean> {
  const { transport, clock, recorder, resolved } = context;
  const { rehearsal } = options;
  const { namespace } = resolved.experiment.application.guestbook;
  const startedAt = clock.now();
  const object = { kind: "Deployment", namespace, name: LEADER };
  const report = (ok: boolean, detail: string): boolean => {
    const tookMs = Math.round(clock.now() - startedAt);
    recorder.emit({ type: "churn", object, rehearsal, ok, tookMs, detail }, startedAt);
    return ok;
  };
  try {
    const before = new Set((await podsOf(context, namespace)).map((pod) => pod.metadata.uid));
    const path = resourcePath(DEPLOYMENTS, namespace, LEADER);
    const stamp = { "kube-system-chaos/replaced-at": clock.wall().toISOString() };
    await patch<Deployment>(transport, path, {
      spec: {
        strategy: { type: "RollingUpdate", rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
        template: { metadata: { annotations: stamp } },
      },
    });
    const replaced = await pollUntil(clock, { everyMs: 250, limitMs: LIMIT_MS }, async () => {
      const pods = await podsOf(context, namespace);
      const old = pods.filter((pod) => before.has(pod.metadata.uid) && !hasEnded(pod));
      const fresh = pods.find((pod) => !before.has(pod.metadata.uid) && pod.status?.phase === "Running");
      return old.length === 0 ? fresh : undefined;
    });
    if (replaced !== undefined) {
      const taken = `pod ${replaced.metadata.name} on ${replaced.spec?.nodeName ?? "?"} took its place`;
      const harmed = await options.harmless?.();
      return harmed === undefined
        ? report(true, taken)
        : report(false, `${taken}, and these failed: ${harmed}`);
    }
    const { status } = await get<Deployment>(transport, path);
    return report(
      false,
      `the old pod was not replaced within ${LIMIT_MS / 1000} s (${status?.updatedReplicas ?? 0} updated)`,
    );
  } catch (error) {
    return report(false, messageOf(error));
  }
}

async function podsOf(context: RunContext, namespace: string): Promise<Pod[]> {
  const { items } = await list<Pod>(context.transport, resourcePath(PODS, namespace), {
    labelSelector: selectorString(LEADER_LABELS),
  });
  return items;
}
