/** Clusters that do not let the run's pods start: the reason appears within a minute, and nothing was attacked. */
import test, { type ExecutionContext } from "ava";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { systemClock } from "../../src/common/clock.js";
import { create, NAMESPACES, remove, resourcePath } from "../../src/kube/api.js";
import { MANAGED_BY, MANAGED_BY_LABEL } from "../../src/own/manifest.js";
import { gone, PREPARED_LABEL } from "../../src/own/namespaces.js";
import type { TestCluster } from "./support/cluster.js";
import { chaosRun, setUp, type Workspace } from "./support/run-cli.js";

/** The reason must appear this soon, ms; the rest of a run is preflight and tear-down. */
const WHOLE_RUN_MS = 100_000;

async function write(space: Workspace, namespace: string): Promise<string> {
  const path = join(space.folder, "stuck.yaml");
  await writeFile(
    path,
    `apiVersion: kube-system-chaos/v1
kind: Experiment
metadata: { name: stuck }
target: { component: kube-dns }
attack: { type: delete-workload }
application: { guestbook: { namespace: ${namespace} } }
phases: { window: 10s }
`,
  );
  return path;
}

/** Creates an object. The end of the test deletes it, and waits until a namespace is gone. */
async function put(
  t: ExecutionContext,
  { connection }: TestCluster,
  collection: string,
  object: { readonly metadata: { readonly name: string } },
): Promise<void> {
  await create(connection.transport, collection, object);
  t.teardown(async () => {
    const { transport } = connection;
    await remove(transport, `${collection}/${object.metadata.name}`);
    if (collection === resourcePath(NAMESPACES)) await gone(transport, systemClock(), object.metadata.name);
  });
}

async function startedRun(
  t: ExecutionContext,
  { cluster, space }: { readonly cluster: TestCluster; readonly space: Workspace },
  namespace: string,
): Promise<string> {
  const started = Date.now();
  const { exitCode, stdout, stderr } = await chaosRun(cluster, space, await write(space, namespace));
  const took = Date.now() - started;
  t.is(exitCode, 4, stderr);
  t.true(took < WHOLE_RUN_MS, `took ${took} ms`);
  t.notRegex(stdout, /"phase":"window"/);
  return `${stdout}${stderr}`;
}

test.serial(
  "a quota in a prepared namespace: the reason within a minute, and nothing was attacked",
  async (t) => {
    const at = await setUp(t);
    const name = "chaos-test-quota";
    await put(t, at.cluster, resourcePath(NAMESPACES), {
      metadata: { name, labels: { [MANAGED_BY_LABEL]: MANAGED_BY, [PREPARED_LABEL]: "true" } },
    } as { metadata: { name: string } });
    await create(at.cluster.connection.transport, `/api/v1/namespaces/${name}/resourcequotas`, {
      metadata: { name: "few" },
      spec: { hard: { pods: "2" } },
    });
    const printed = await startedRun(t, at, name);
    t.regex(
      printed,
      /cannot start the guestbook and the probers: Deployment chaos-test-quota\/[a-z-]+: no pod can be created: .*exceeded quota: few.*Allow these pods in namespace chaos-test-quota/,
    );
  },
);

test.serial("an admission policy: its refusal appears at once, and everything is removed", async (t) => {
  const at = await setUp(t);
  const namespace = "chaos-test-policy";
  const policies = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies";
  const matched = {
    namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": namespace } },
    resourceRules: [{ apiGroups: [""], apiVersions: ["v1"], operations: ["CREATE"], resources: ["pods"] }],
  };
  await put(t, at.cluster, policies, {
    metadata: { name: "chaos-test" },
    spec: {
      matchConstraints: matched,
      validations: [{ expression: "false", message: "no pods on Fridays" }],
    },
  } as { metadata: { name: string } });
  await put(t, at.cluster, policies.replace("policies", "policybindings"), {
    metadata: { name: "chaos-test" },
    spec: { policyName: "chaos-test", validationActions: ["Deny"] },
  } as { metadata: { name: string } });
  const printed = await startedRun(t, at, namespace);
  t.regex(printed, /no pod can be created: .*denied request: no pods on Fridays/);
});
