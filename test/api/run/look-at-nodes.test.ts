/** Before anything is deployed, the nodes are looked at: what preflight assumed is replaced by what is there. */
import { PassThrough } from "node:stream";
import test, { type ExecutionContext } from "ava";
import { ownPods } from "../../../src/application/own-pods.js";
import { systemClock } from "../../../src/common/clock.js";
import { resolveExperiment } from "../../../src/components/resolve.js";
import type { RunFacts } from "../../../src/evidence/facts.js";
import type { RunEventBody } from "../../../src/evidence/events.js";
import { experimentSchema } from "../../../src/experiment/schema.js";
import type { NodeAccess, NodeAccessSpec } from "../../../src/nodes/spec.js";
import type { RunContext } from "../../../src/run/context.js";
import { lookAtNodes } from "../../../src/run/phases/look-at-nodes.js";
import { RunState } from "../../../src/run/run-state.js";
import { findTarget } from "../../../src/targets/target.js";
import { createView } from "../../../src/ui/view.js";
import { serve, type Served } from "../../helpers/target-fixtures.js";

const DAEMONSET = "/apis/apps/v1/namespaces/kube-system-chaos-nodes/daemonsets/chaos-node-access";

const NODES = [
  { metadata: { name: "a" } },
  { metadata: { name: "b" }, status: { conditions: [{ type: "Ready", status: "Unknown" }] } },
] as unknown as RunContext["nodes"];

/** Nodes whose kubelet has this unit, which runs these processes. */
function access(spec: NodeAccessSpec, processes: string): NodeAccess & { readonly asked: string[] } {
  const asked: string[] = [];
  return {
    how: "asked",
    spec,
    asked,
    exec: async (node, argv) => {
      asked.push(node);
      return await Promise.resolve(
        argv[0] === "systemctl" ? "LoadState=loaded\nActiveState=active\nRestart=always" : processes,
      );
    },
  };
}

async function looked(
  t: ExecutionContext,
  served: Served,
  nodeAccess: NodeAccess,
): Promise<{ state: RunState; events: RunEventBody[]; undos: unknown[]; look: () => Promise<void> }> {
  const resolved = resolveExperiment(
    experimentSchema.parse({
      apiVersion: "kube-system-chaos/v1",
      kind: "Experiment",
      metadata: { name: "x" },
      target: { component: "kubelet" },
    }),
  );
  const target = await findTarget(served.transport, resolved.experiment.target, resolved.component, {
    nodes: NODES.slice(0, 1),
  });
  t.like(target, { assumed: true, unit: "kubelet.service" });
  const events: RunEventBody[] = [];
  const stream = new PassThrough().resume();
  const undos: unknown[] = [];
  const journal = { intent: async (undo: unknown) => await Promise.resolve(undos.push(undo)) };
  const context = {
    journal,
    made: [],
    pods: ownPods({}, ["amd64"]),
    resolved,
    target,
    nodeAccess,
    transport: served.transport,
    clock: systemClock(),
    nodes: NODES,
    recorder: { emit: (body: RunEventBody) => events.push(body) },
    view: createView({ stream, out: stream, mode: "plain" }),
    interrupted: new AbortController().signal,
  } as unknown as RunContext;
  const state = new RunState(context, {} as RunFacts);
  return { state, events, undos, look: async () => await lookAtNodes(state) };
}

test("the target's unit is the one that was found, in the run and in its facts", async (t) => {
  const engine = access(
    { type: "engine", command: "docker", env: {} },
    "process=kubelet snap.kubelet.daemon.service",
  );
  const { state, events, look } = await looked(t, await serve(t), engine);
  await look();
  t.like(state.context.target, { unit: "snap.kubelet.daemon.service", nodes: ["a"], assumed: undefined });
  t.deepEqual(state.facts.target?.ownerChain, ["snap.kubelet.daemon.service", "systemd (Restart=always)"]);
  t.deepEqual(
    events.map((event) => (event.type === "check" ? event.detail : event.type)),
    ["SystemdUnit kubelet, 1 desired; snap.kubelet.daemon.service → systemd (Restart=always)"],
  );
  t.deepEqual([...new Set(engine.asked)], ["a"], "a node that is not ready is not asked");
});

test("privileged pods are deployed first, not on nodes that are left out", async (t) => {
  const served = await serve(t);
  const pods = access({ type: "pod" }, "process=kubelet kubelet.service");
  const { state, look, undos } = await looked(t, served, pods);
  served.server.handle("GET", /daemonsets\/chaos-node-access$/, () => ({
    status: 200,
    body: {
      metadata: { name: "chaos-node-access", generation: 1 },
      status: { observedGeneration: 1, desiredNumberScheduled: 1, numberReady: 1 },
    },
  }));
  await look();
  t.like(undos, [{ object: { kind: "Namespace", name: "kube-system-chaos-nodes" } }]);
  const made = served.server.requestsOf("POST", "daemonsets")[0]?.body as {
    spec: { template: { spec: { affinity?: unknown } } };
  };
  t.deepEqual(made.spec.template.spec.affinity, {
    nodeAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: {
        nodeSelectorTerms: [{ matchFields: [{ key: "metadata.name", operator: "NotIn", values: ["b"] }] }],
      },
    },
  });
  t.like(state.context.target, { unit: "kubelet.service", assumed: undefined });
  t.true(served.server.requestsOf("GET", DAEMONSET).length > 0);
});

test("a target that cannot be attacked alone ends the run before anything is deployed", async (t) => {
  const engine = access({ type: "engine", command: "docker", env: {} }, "process=k3s-server k3s.service");
  const { look } = await looked(t, await serve(t), engine);
  await t.throwsAsync(look(), {
    message: /^cannot attack kubelet: kubelet cannot be taken down alone: it is in k3s\.service on a/,
  });
});
