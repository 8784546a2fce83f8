import { usableNodes } from "../../nodes/left-out.js";
import type { Collector } from "./collector.js";
import type { RunContext } from "../context.js";
import { GUESTBOOK_SCRIPT } from "./probers.js";

/**
 * Starts the probe from outside if the front end's NodePort is reachable from this machine.
 *
 * @returns why it is not measured; undefined: it is measured.
 */
export async function startOutside(context: RunContext, collector: Collector): Promise<string | undefined> {
  const { runId, resolved, nodes, clock } = context;
  const { probes, application } = resolved.experiment;
  if (!probes.outside) return "switched off in the experiment";
  const { guestbook } = application;
  if (guestbook === undefined) return "an existing application is not measured from outside";
  const { checkOutside } = await import("../../probes/outside-probe.js");
  // kind maps the NodePort to the host's loopback. On other clusters a node's address may be reachable. A Service has one
  // address family, and its NodePort answers only on the node's addresses of that family.
  const onKind = nodes.some((node) => node.spec?.providerID?.startsWith("kind://") === true);
  const addresses =
    usableNodes(nodes)[0]?.status?.addresses?.filter(({ type }) => type === "InternalIP") ?? [];
  const hosts = [...(onKind ? ["127.0.0.1", "::1"] : []), ...addresses.map(({ address }) => address)];
  const target = {
    port: guestbook.nodePort,
    path: GUESTBOOK_SCRIPT,
    runId,
    timeoutMs: probes.timeout,
  };
  for (const host of hosts) {
    const line = await checkOutside({ ...target, host, now: clock.now });
    if (!line.ok) continue;
    await collector.startOutside({ ...target, host, intervalMs: probes.interval });
    return undefined;
  }
  return `NodePort ${target.port} does not answer on ${hosts.join(" or ")} from the runner`;
}
