import test from "ava";
import { newRunId } from "../../../src/common/run-id.js";
import type { Undo } from "../../../src/safety/journal/journal.js";
import { implausible, isRunId } from "../../../src/safety/journal/plausible.js";

const OURS = { "app.kubernetes.io/managed-by": "kube-system-chaos" };
const DEPLOYMENTS = "/apis/apps/v1/namespaces/kube-system/deployments";
const metadata = { name: "kube-dns", uid: "u", resourceVersion: "1" };

const workload = (change: object = {}): Undo => ({
  action: "restore-workload",
  collection: DEPLOYMENTS,
  path: `${DEPLOYMENTS}/kube-dns`,
  object: { kind: "Deployment", metadata },
  ...change,
});
const removal = (change: object = {}): Undo => ({
  action: "remove",
  path: "/api/v1/namespaces/guestbook",
  object: { kind: "Namespace", name: "guestbook" },
  labels: OURS,
  ...change,
});

test("entries of real runs are plausible", (t) => {
  t.is(implausible(workload()), undefined);
  t.is(implausible(removal()), undefined);
  t.is(implausible({ ...removal(), action: "empty" } as Undo), undefined);
  t.true(isRunId(newRunId(new Date("2026-01-02T03:04:05Z"), "kube-dns")));
});

for (const [what, entry] of Object.entries({
  "another kind than a workload": workload({
    collection: "/api/v1/namespaces/kube-system/secrets",
    path: "/api/v1/namespaces/kube-system/secrets/kube-dns",
  }),
  "another object than its own": workload({ path: `${DEPLOYMENTS}/other` }),
  "a path upwards": workload({ collection: `${DEPLOYMENTS}/../../default/deployments` }),
  "a namespace without the tool's label": removal({ labels: {} }),
  "a namespace with someone else's label": removal({ labels: { "app.kubernetes.io/managed-by": "Helm" } }),
  "another host": removal({ path: "//elsewhere/api/v1/namespaces/x" }),
  "a query": removal({ path: "/api/v1/namespaces/x?dryRun=All" }),
  "a path out of the API": removal({ path: "/api/../healthz" }),
  "an unknown action": { ...removal(), action: "run" } as never,
})) {
  test(`not plausible: ${what}`, (t) => {
    t.is(typeof implausible(entry), "string");
  });
}

test("a run's ID must be a valid folder name", (t) => {
  for (const id of ["", "..", "../x", "a/b", ".hidden", "a..b", "a\n", "x".repeat(100)])
    t.false(isRunId(id), id);
});
