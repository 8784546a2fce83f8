import { readFileSync } from "node:fs";
import test from "ava";
import type { DaemonSet, Deployment, Event, Pod, ReplicaSet } from "../../../src/kube/objects.js";
import { type NotStarted, whyNotStarted } from "../../../src/kube/why-not-started.js";

interface Case {
  readonly what: string;
  readonly afterSeconds: number;
  readonly deployment: Deployment;
  readonly replicaSets: ReplicaSet[];
  readonly pods: Pod[];
  readonly events: Event[];
}

/** Deployments that cannot start, read from a kind cluster of Kubernetes 1.36.3 some seconds after their creation. */
const CASES = readFileSync("test/helpers/fixtures/not-started.ndjson", "utf8")
  .trim()
  .split("\n")
  .map((line) => JSON.parse(line) as Case);

function found(what: string, afterSeconds: number): NotStarted | undefined {
  const each = CASES.find((one) => one.what === what && one.afterSeconds === afterSeconds);
  if (each === undefined) throw new Error(`no case ${what} after ${afterSeconds} s`);
  return whyNotStarted(each.deployment, each.replicaSets, each.pods, each.events);
}

const EXPECTED: readonly [string, number, NotStarted["cause"], boolean, RegExp][] = [
  [
    "quota",
    10,
    "create",
    false,
    /^Deployment g12-shapes-q\/quota: no pod can be created: pods .* exceeded quota: few/,
  ],
  ["psa", 10, "create", true, /violates PodSecurity "restricted:latest": .*seccompProfile/],
  ["nosa", 10, "create", false, /serviceaccount "missing" not found$/],
  [
    "noroom",
    10,
    "schedule",
    false,
    /pod noroom-\S+: it cannot be scheduled: 0\/3 nodes are available: .*2 Insufficient cpu/,
  ],
  ["nosel", 10, "schedule", false, /2 node\(s\) didn't match Pod's node affinity\/selector/],
  ["badname", 10, "pull", true, /InvalidImageName .*Bad:::Name/],
  [
    "never",
    10,
    "pull",
    true,
    /ErrImageNeverPull docker\.io\/library\/never-there:1 .*not present with pull policy of Never/,
  ],
  ["pull", 20, "starting", false, /Pulling image "registry\.invalid\/nothing:1"$/],
  [
    "pull",
    70,
    "pull",
    false,
    /ImagePullBackOff: Failed to pull image "registry\.invalid.*lookup registry\.invalid/,
  ],
  [
    "crash",
    10,
    "crash",
    false,
    /container c ended with exit code 3 \(Error, restarted 1 times\): cannot listen: EADDRINUSE$/,
  ],
  ["crash", 50, "crash", true, /exit code 3 \(Error, restarted 3 times\): cannot listen: EADDRINUSE$/],
  ["oom", 50, "crash", true, /exit code 137 \(OOMKilled, restarted 3 times\)$/],
  [
    "badcmd",
    50,
    "crash",
    true,
    /exit code 128 \(StartError, restarted 3 times\): .*\/nothing\/here: no such file/,
  ],
  [
    "nocm",
    10,
    "set up",
    false,
    /FailedMount MountVolume\.SetUp failed for volume "v" : configmap "missing" not found/,
  ],
  ["noenv", 10, "set up", false, /CreateContainerConfigError configmap "missing" not found/],
  ["nonroot", 10, "set up", false, /container has runAsNonRoot and image will run as root/],
  [
    "unready",
    10,
    "unready",
    false,
    /container c runs and is not ready: Readiness probe failed: .*connection refused/,
  ],
  ["startup", 50, "starting", false, /container c runs and is not ready: Startup probe failed:$/],
];
for (const [what, seconds, cause, final, reason] of EXPECTED) {
  test(`real objects: ${what} after ${seconds} s is "${cause}"${final ? ", final" : ""}`, (t) => {
    const problem = found(what, seconds);
    t.is(problem?.cause, cause);
    t.is(problem?.final, final);
    t.regex(problem?.reason ?? "", reason);
    t.is(problem?.pulling, what === "pull" && seconds === 20);
    t.notRegex(problem?.advice ?? "", /undefined|POD/);
  });
}

const meta = (name: string, owner?: string): Pod["metadata"] => ({
  name,
  namespace: "shop",
  uid: name,
  resourceVersion: "1",
  ...(owner === undefined
    ? {}
    : { ownerReferences: [{ apiVersion: "apps/v1", kind: "DaemonSet", name: owner, uid: owner }] }),
});
const daemonSet = (wanted: number): DaemonSet => ({
  kind: "DaemonSet",
  metadata: meta("ds"),
  status: {
    desiredNumberScheduled: wanted,
    currentNumberScheduled: 0,
    numberMisscheduled: 0,
    numberReady: 0,
  },
});
const pod = (status: object, name = "ds-1"): Pod =>
  ({ kind: "Pod", metadata: meta(name, "ds"), spec: { nodeName: "n" }, status }) as unknown as Pod;
const readyPod = pod({ conditions: [{ type: "Ready", status: "True" }] });
const event = (uid: string, reason: string, message: string, more: object = {}): Event => ({
  metadata: meta("e"),
  involvedObject: { uid },
  reason,
  message,
  ...more,
});

test("a DaemonSet tells in its events why it creates no pod", (t) => {
  const refused = event(
    "ds",
    "FailedCreate",
    "Error creating: pods \"ds-x\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no",
  );
  const problem = whyNotStarted(daemonSet(1), [], [], [refused]);
  t.is(
    problem?.reason,
    "DaemonSet shop/ds: no pod can be created: pods \"ds-x\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no",
  );
  t.true(problem?.final);
  // Another object's event, and an event of the past: all pods exist.
  t.is(whyNotStarted(daemonSet(1), [], [], [{ ...refused, involvedObject: { uid: "other" } }])?.final, false);
  t.is(whyNotStarted(daemonSet(1), [], [readyPod], [refused]), undefined);
});

test("refusals that depend on the pod alone are final, others may pass", (t) => {
  const final = (message: string): boolean | undefined =>
    whyNotStarted(daemonSet(1), [], [], [event("ds", "FailedCreate", `Error creating: ${message}`)])?.final;
  t.true(final('pods "x" is forbidden: maximum cpu usage per Container is 50m, but limit is 100m'));
  t.true(final('pods "x" is forbidden: failed quota: q: must specify limits.cpu for: c'));
  t.true(final('admission webhook "validate.kyverno.svc-fail" denied the request: policy'));
  t.false(final('Internal error occurred: failed calling webhook "w": connect: connection refused'));
  t.false(
    final('pods "x" is forbidden: exceeded quota: q, requested: pods=1, used: pods=5, limited: pods=5'),
  );
});

test("the newest event counts, whichever fields carry its time", (t) => {
  const older = event("ds", "FailedCreate", "Error creating: old", { lastTimestamp: "2026-01-01T00:00:01Z" });
  const newer = event("ds", "FailedCreate", "(combined from similar events): Error creating: new", {
    series: { lastObservedTime: "2026-01-01T00:00:02.5Z" },
  });
  t.regex(whyNotStarted(daemonSet(1), [], [], [newer, older])?.reason ?? "", /created: new$/);
});

test("the third failed pull is final, unless the registry only delays", (t) => {
  const waiting = { reason: "ImagePullBackOff", message: "Back-off pulling image" };
  const status = { containerStatuses: [{ name: "c", image: "i:1", ready: false, state: { waiting } }] };
  const pulls = (count: number, why: string): NotStarted | undefined =>
    whyNotStarted(
      daemonSet(1),
      [],
      [pod(status)],
      [event("ds-1", "Failed", `Failed to pull image "i:1": ${why}`, { count })],
    );
  t.false(pulls(2, "not found")?.final);
  t.true(pulls(3, "not found")?.final);
  t.false(pulls(3, "unexpected status: 429 Too Many Requests")?.final);
  t.regex(pulls(3, "not found")?.advice ?? "", /load it onto them/);
});

test("a pod that waits for a new node has not failed; one that no scheduler sees has", (t) => {
  const message = "0/1 nodes are available";
  const pending = pod({ conditions: [{ type: "PodScheduled", status: "False", message }] });
  t.is(whyNotStarted(daemonSet(1), [], [pending], [])?.cause, "schedule");
  const grows = event("ds-1", "TriggeredScaleUp", "pod triggered scale-up");
  t.is(whyNotStarted(daemonSet(1), [], [pending], [grows])?.cause, "starting");
  const unseen = { ...pod({ phase: "Pending" }), spec: undefined } as unknown as Pod;
  t.regex(whyNotStarted(daemonSet(1), [], [unseen], [])?.reason ?? "", /the scheduler has not seen it yet/);
});

test("the worst reason counts; a pod of its own is judged alone", (t) => {
  const creating = pod({ containerStatuses: [{ name: "c", ready: false, state: {} }] }, "ds-2");
  const evicted = pod({ phase: "Failed", reason: "Evicted", message: "low on memory" }, "ds-3");
  t.regex(
    whyNotStarted(daemonSet(3), [], [readyPod, creating, evicted], [])?.reason ?? "",
    /^DaemonSet shop\/ds, pod ds-3: it failed: Evicted low on memory$/,
  );
  t.regex(
    whyNotStarted(creating, [], [], [])?.reason ?? "",
    /^Pod shop\/ds-2: its containers are being created$/,
  );
  t.is(whyNotStarted(readyPod, [], [], []), undefined);
});

test("a workload that its controller has not seen has a reason, too", (t) => {
  const unseen = { ...daemonSet(0), metadata: { ...meta("ds"), generation: 1 } };
  t.regex(whyNotStarted(unseen, [], [], [])?.reason ?? "", /its controller has created no pod yet/);
});
