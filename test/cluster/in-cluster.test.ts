/** `chaos manifest` on a real cluster: a Job made from its CronJob runs an experiment with the printed rights alone. */
import { execa } from "execa";
import test, { type ExecutionContext } from "ava";
import { pollUntil, systemClock } from "../../src/common/clock.js";
import { CLUSTER_ROLES, getOrUndefined, list, NAMESPACES, PODS, resourcePath } from "../../src/kube/api.js";
import type { KubeObject, Namespace, Pod } from "../../src/kube/objects.js";
import { LOCK_PATH } from "../../src/safety/lock/lease.js";
import { type Manifest, manifestsOf, type PolicyRule, rightsOf } from "../helpers/rbac-fixtures.js";
import type { TestCluster } from "./support/cluster.js";
import { auditOf } from "./support/audit.js";
import { chaos, said, setUp, type Workspace, writeExperiment } from "./support/run-cli.js";
import { runnerImage } from "./support/runner-image.js";
import { changesSince, snapshot } from "./support/snapshot.js";

const HOME = "kube-system-chaos";
const ACCOUNT = `system:serviceaccount:${HOME}:${HOME}`;
/** A run with short phases takes a minute and a half; the switch acts a minute after the runner's end. */
const LIMIT_MS = 4 * 60_000;

/** The image of all tests of this file. */
let built: ReturnType<typeof runnerImage> | undefined;
test.after.always(async () => await (await built)?.remove());

type Kubectl = (args: readonly string[], input?: string) => Promise<string>;

/** The real kubectl of the control plane's node, as an administrator. */
function kubectlOf({ handle, nodes }: TestCluster): Kubectl {
  const role = "node-role.kubernetes.io/control-plane";
  const node = nodes.find(({ metadata }) => metadata.labels?.[role] !== undefined)?.metadata.name ?? "";
  const { engineCommand = "", env } = handle;
  const command = ["exec", "-i", node, "kubectl", "--kubeconfig=/etc/kubernetes/admin.conf"];
  return async (args, input = "") =>
    (await execa(engineCommand, [...command, ...args], { env, input })).stdout;
}

/** What the API server allows the account in a namespace, by a SelfSubjectRulesReview as that account. */
async function allowedIn(kubectl: Kubectl, namespace: string): Promise<string[]> {
  const review = {
    apiVersion: "authorization.k8s.io/v1",
    kind: "SelfSubjectRulesReview",
    spec: { namespace },
  };
  const answer = await kubectl(
    // Its own check would list the cluster's CRDs, which the account may not.
    ["create", `--as=${ACCOUNT}`, "--validate=false", "-o", "json", "-f", "-"],
    JSON.stringify(review),
  );
  const { status } = JSON.parse(answer) as { status: { resourceRules: PolicyRule[] } };
  // system:basic-user: everyone may ask what is allowed to oneself.
  return flat(
    status.resourceRules.filter(({ resources }) => !resources.some((each) => /^selfsubject/.test(each))),
  );
}

/** What the printed rules allow in a namespace: those of the ClusterRole count everywhere. */
function printedFor(manifests: readonly Manifest[], namespace: string): string[] {
  const roles = manifests.filter(
    ({ kind, metadata }) => kind === "ClusterRole" || (kind === "Role" && metadata.namespace === namespace),
  );
  return flat(roles.flatMap(({ rules = [] }) => rules));
}

function flat(rules: readonly PolicyRule[]): string[] {
  const all = rules.flatMap((rule) => rule.verbs.flatMap((verb) => rightsOf(rule, verb, undefined)));
  return [...new Set(all)].sort();
}

/** The pod of a Job. */
async function podOf({ connection }: TestCluster, job: string): Promise<Pod | undefined> {
  const labelSelector = `batch.kubernetes.io/job-name=${job}`;
  return (await list<Pod>(connection.transport, resourcePath(PODS, HOME), { labelSelector })).items[0];
}

/** SIGKILL to the runner, by the node's own processes. */
async function killed({ access }: TestCluster, pod: Pod | undefined): Promise<void> {
  const argv = ["pkill", "-KILL", "-f", "[c]haos run /experiments"];
  await access.exec(pod?.spec?.nodeName ?? "", argv, 20_000);
}

async function waitFor<T>(what: string, look: () => Promise<T | undefined>): Promise<T> {
  const found = await pollUntil(systemClock(), { everyMs: 1_000, limitMs: LIMIT_MS }, look);
  if (found === undefined) throw new Error(`timed out after ${LIMIT_MS / 1000} s waiting for ${what}`);
  return found;
}

/**
 * The dead-man's switch of a run that ended normally was there, and changed nothing. The audit log leaves out reads and
 * Leases (src/clusters/audit-policy.yaml), and has every other request.
 */
async function onlyWatched(t: ExecutionContext, cluster: TestCluster, since: number): Promise<void> {
  const audit = (await auditOf(cluster, "chaos-dead-man-")).filter(
    ({ requestReceivedTimestamp }) => Date.parse(requestReceivedTimestamp) >= since,
  );
  const pods = audit.filter(
    ({ verb, objectRef }) =>
      verb === "create" && objectRef?.resource === "pods" && objectRef.subresource === undefined,
  );
  t.is(pods.length, 1, "the switch's pod was created");
  const own = audit.filter(({ user }) =>
    user?.username?.startsWith(`system:serviceaccount:${HOME}:chaos-dead-man-`),
  );
  t.deepEqual(
    own.map(({ verb, objectRef }) => `${verb} ${objectRef?.resource} ${objectRef?.name}`),
    [],
  );
}

/** Prints the CronJob for a short experiment, with an image that the nodes have, and applies it. */
async function applied(
  t: Parameters<typeof setUp>[0],
  cluster: TestCluster,
  space: Workspace,
): Promise<{
  kubectl: Kubectl;
  manifests: Manifest[];
  name: string;
  printed: (...flags: string[]) => Promise<string>;
}> {
  const kubectl = kubectlOf(cluster);
  const { image } = await (built ??= runnerImage(cluster, space));
  const file = await writeExperiment(space, {
    name: "in-cluster",
    attack: "{ type: delete-workload }",
    window: "20s",
    impact: "outage",
  });
  const printed = async (...flags: string[]): Promise<string> => {
    const ended = await chaos(cluster, space, ["manifest", file, "--image", image, ...flags]);
    t.is(ended.exitCode, 0, said(ended));
    return ended.stdout;
  };
  const text = await printed("--schedule", "0 3 * * 1");
  t.teardown(async () => {
    // With its Roles a run that is not over would lose the rights to restore.
    const context = ["--context", cluster.handle.context];
    const kubeconfig = cluster.handle.kubeconfigPath;
    const where = kubeconfig === undefined ? context : [...context, "--kubeconfig", kubeconfig];
    const restored = await chaos(cluster, space, ["restore", "--all", "--yes", ...where]);
    if (restored.exitCode !== 0) throw new Error(`not restored: ${said(restored)}`);
    await kubectl(["delete", "--ignore-not-found", "--wait", "--timeout=180s", "-f", "-"], text);
  });
  await kubectl(["apply", "-f", "-"], text);
  return { kubectl, manifests: manifestsOf(text), name: "kube-system-chaos-in-cluster", printed };
}

test.serial(
  "a Job made from the printed CronJob: the verdict is in its log, everything is restored, and its account has the printed rights alone",
  async (t) => {
    const { cluster, space } = await setUp(t);
    const { kubectl, manifests, name, printed } = await applied(t, cluster, space);
    // The namespaces exist now, so the API server can check every object of the other form, too.
    const checked = await kubectl(["apply", "--dry-run=server", "-f", "-"], await printed());
    t.regex(checked, /job\.batch\/kube-system-chaos-in-cluster created \(server dry run\)/);
    t.notRegex(checked, /[Ww]arning/);
    for (const namespace of ["kube-system", "default", HOME, "guestbook", "kube-node-lease"])
      t.deepEqual(await allowedIn(kubectl, namespace), printedFor(manifests, namespace), namespace);

    const prepared = await snapshot(cluster);
    await kubectl(["-n", HOME, "create", "job", "now", `--from=cronjob/${name}`]);
    const startedAt = Date.now();
    const state = await waitFor("the end of the Job's pod", async () => {
      const { status } = (await podOf(cluster, "now")) ?? {};
      return status?.containerStatuses?.[0]?.state?.terminated;
    });
    const log = await kubectl(["-n", HOME, "logs", "job/now"]);
    t.is(state.exitCode, 0, log.split("\n").slice(-15).join("\n"));
    t.regex(log, /^kube-dns: outage \(as expected\)/m);
    t.log(`the Job took ${Math.round((Date.now() - startedAt) / 1000)} s`);
    await kubectl(["-n", HOME, "wait", "--for=condition=complete", "--timeout=60s", "job/now"]);
    t.deepEqual(await changesSince(cluster, prepared), [], "as before, with the CronJob and its rights");
    await onlyWatched(t, cluster, startedAt);
    t.is(await getOrUndefined(cluster.connection.transport, LOCK_PATH), undefined);
    await kubectl(["-n", HOME, "delete", "job", "now"]);
  },
);

test.serial(
  "the runner's pod is lost in the window: the dead-man's switch restores, keeps the prepared namespace, and removes itself",
  async (t) => {
    const { cluster, space } = await setUp(t);
    const { kubectl, name } = await applied(t, cluster, space);
    const { transport } = cluster.connection;
    const prepared = await snapshot(cluster);
    await kubectl(["-n", HOME, "create", "job", "lost", `--from=cronjob/${name}`]);
    const target = "/apis/apps/v1/namespaces/kube-system/deployments/coredns";
    await waitFor("the attack", async () =>
      (await getOrUndefined<KubeObject>(transport, target)) === undefined ? true : undefined,
    );
    // Killed as by a lost machine: it gets no time to restore, and its watchdog would have gone with it.
    await killed(cluster, await podOf(cluster, "lost"));
    const killedAt = performance.now();
    const since = (): number => Math.round((performance.now() - killedAt) / 1000);
    await waitFor("kube-dns", async () =>
      (await getOrUndefined<KubeObject>(transport, target)) === undefined ? undefined : true,
    );
    t.log(`kube-dns is there again ${since()} s after the kill`);
    await waitFor("the end of the switch", async () => {
      const labelSelector = "app=chaos-dead-man";
      const { items } = await list(transport, resourcePath(CLUSTER_ROLES), { labelSelector });
      return items.length === 0 ? true : undefined;
    });
    t.log(`the switch is gone after ${since()} s`);
    t.deepEqual(await changesSince(cluster, prepared), []);
    t.is(await getOrUndefined(transport, LOCK_PATH), undefined);
    const home = await getOrUndefined<Namespace>(transport, resourcePath(NAMESPACES, undefined, HOME));
    t.is(home?.metadata.deletionTimestamp, undefined);
    await kubectl(["-n", HOME, "delete", "job", "lost"]);
  },
);
