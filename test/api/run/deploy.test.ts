import test from "ava";
import { podStates, wantedPods } from "../../../src/run/phases/deploy.js";
import { PROBER_NAMESPACE } from "../../../src/own/own-names.js";
import type { Manifest } from "../../../src/own/manifest.js";
import type { Draft } from "../../helpers/fake-api-server.js";
import { serve } from "../../helpers/target-fixtures.js";

const LABELS = { app: "chaos-prober" };
const PATH = `/api/v1/namespaces/${PROBER_NAMESPACE}/pods`;

function workload(kind: string, replicas?: number): Manifest {
  return {
    kind,
    metadata: { name: "prober", namespace: PROBER_NAMESPACE },
    spec: { replicas, selector: { matchLabels: LABELS } },
  } as unknown as Manifest;
}

function pod(name: string, labels: object, ready: boolean, phase = "Running"): Draft {
  return {
    metadata: { name, labels },
    status: { phase, conditions: [{ type: "Ready", status: ready ? "True" : "False" }] },
  };
}

test("wanted pods: one per node of a DaemonSet, the replicas of a Deployment", (t) => {
  t.is(wantedPods("a", [workload("DaemonSet")], 3).count, 3);
  t.is(wantedPods("a", [workload("Deployment", 2), workload("Service"), workload("DaemonSet")], 3).count, 5);
});

test("only the run's own pods are waited for: not the Job that runs it, nor earlier ones that have ended", async (t) => {
  const { server, transport } = await serve(t);
  server.put(PATH, pod("prober-1", LABELS, true));
  server.put(PATH, pod("prober-2", LABELS, false));
  server.put(PATH, pod("runner", { "job-name": "now" }, true));
  server.put(PATH, pod("earlier", { "job-name": "earlier" }, false, "Succeeded"));
  const wanted = wantedPods(PROBER_NAMESPACE, [workload("DaemonSet")], 2);
  t.deepEqual(await podStates(transport, wanted), { all: 2, ready: 1 });
});
