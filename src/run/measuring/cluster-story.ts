import { servicesOf } from "../../experiment/own-application.js";
import { ENDPOINT_SLICES, NODES, resourcePath } from "../../kube/api.js";
import type { EndpointSlice, Node } from "../../kube/objects.js";
import { ServiceEndpoints } from "../../kube/service-endpoints.js";
import { watch, type WatchEvent } from "../../kube/watch.js";
import type { RunContext } from "../context.js";

/** Interval at which the watches of few objects re-list them, ms. The watch of all nodes never does. */
const RESYNC_MS = 5_000;

/** At most this many attacked nodes have a watch of their own. */
const MOST_OWN_WATCHES = 10;

/**
 * Records what the cluster does during the run: nodes that are no longer Ready and endpoints of the application that
 * come and go. These two show what the loss of a kubelet does to an application.
 *
 * A cluster may have thousands of nodes, whose list has hundreds of megabytes: it is read once, and then watched. An
 * attacked node is what matters, so it has its own watch, whose list is that one node.
 *
 * @param attacked the attacked nodes; empty: the target is a workload.
 * @returns resolves when the signal has ended both watches.
 */
export async function watchStory(
  context: RunContext,
  attacked: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  const { transport, recorder, resolved } = context;
  const { existing, guestbook } = resolved.experiment.application;
  const { namespace } = existing ?? guestbook;
  // Beside an own application there may be others.
  const services = existing && servicesOf(existing);
  // These objects change rarely: a watch that was silent for long and restarted is no problem.
  const onNote = (resource: string) => (what: string) => {
    if (!signal.aborted && !what.includes("silent")) recorder.emit({ type: "watch", resource, what });
  };
  const nodes = new Map<string, string>();
  const endpoints = new ServiceEndpoints((service, { ready }, before) => {
    if (before?.ready !== ready && services?.includes(service) !== false)
      recorder.emit({ type: "app-endpoints", service, ready });
  });
  const onNode = ({ type, object }: WatchEvent<Node>): void => {
    const { name } = object.metadata;
    const condition = (object.status?.conditions ?? []).find((each) => each.type === "Ready");
    const ready = type === "DELETED" ? "gone" : (condition?.status ?? "Unknown");
    if (nodes.get(name) === ready) return;
    nodes.set(name, ready);
    const reason = condition?.reason;
    recorder.emit({ type: "node-ready", node: name, ready, ...(reason === undefined ? {} : { reason }) });
  };
  const own = attacked.slice(0, MOST_OWN_WATCHES);
  const shared = { transport, signal, onSynced: () => undefined };
  const ofNodes = { ...shared, path: resourcePath(NODES), onNote: onNote("nodes") };
  await Promise.all([
    watch<Node>({
      ...ofNodes,
      onEvent: (event) => {
        if (!own.includes(event.object.metadata.name)) onNode(event);
      },
    }),
    ...own.map(async (name) => {
      const fieldSelector = `metadata.name=${name}`;
      await watch<Node>({ ...ofNodes, fieldSelector, resyncMs: RESYNC_MS, onEvent: onNode });
    }),
    watch<EndpointSlice>({
      ...shared,
      resyncMs: RESYNC_MS,
      path: resourcePath(ENDPOINT_SLICES, namespace),
      onEvent: (event) => endpoints.apply(event),
      onNote: onNote("endpointslices"),
    }),
  ]);
}
