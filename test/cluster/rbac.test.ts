/** Runs as a ServiceAccount with the shipped Roles alone, and with single verbs removed from them. */
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { KubeConfig } from "@kubernetes/client-node";
import test from "ava";
import type { ExecutionContext } from "ava";
import { stringify } from "yaml";
import { isOwn } from "../../src/own/manifest.js";
import {
  create,
  getOrUndefined,
  type Gvr,
  get,
  list,
  NAMESPACES,
  remove,
  replace,
  resourcePath,
} from "../../src/kube/api.js";
import { connect } from "../../src/kube/connect.js";
import type { KubeObject, Namespace } from "../../src/kube/objects.js";
import type { Transport } from "../../src/kube/transport.js";
import { packageRoot } from "../../src/common/package-root.js";
import { pollUntil, systemClock } from "../../src/common/clock.js";
import { kindsMadeIn } from "../../src/own/namespaces.js";
import {
  isOptionalRight,
  type Manifest,
  manifestsOf,
  type PolicyRule,
  rightsOf,
} from "../helpers/rbac-fixtures.js";
import { mulberry32 } from "../helpers/random.js";
import { auditOf } from "./support/audit.js";
import type { TestCluster } from "./support/cluster.js";
import { chaos, onlyReport, said, setUp, type Workspace, writeExperiment } from "./support/run-cli.js";
import { changesSince, snapshot } from "./support/snapshot.js";

const ACCOUNT = { namespace: "kube-system-chaos", name: "kube-system-chaos" } as const;
const ACCOUNTS: Gvr = { group: "", version: "v1", resource: "serviceaccounts" };
const TOKEN_SECONDS = 3_600;
/** How long the authorizer may take to apply a changed Role, ms. A guess: it takes moments. */
const FOLLOW_LIMIT_MS = 30_000;
const GONE_LIMIT_MS = 180_000;
/** How many verbs of each Role are removed, one after the other. */
const VERBS_PER_ROLE = 3;

const rbac = (resource: string): Gvr => ({ group: "rbac.authorization.k8s.io", version: "v1", resource });
const GVRS: Readonly<Record<string, Gvr>> = {
  Namespace: NAMESPACES,
  ServiceAccount: ACCOUNTS,
  ClusterRole: rbac("clusterroles"),
  ClusterRoleBinding: rbac("clusterrolebindings"),
  Role: rbac("roles"),
  RoleBinding: rbac("rolebindings"),
};

function collectionOf({ kind, metadata }: Manifest): string {
  const gvr = GVRS[kind];
  if (gvr === undefined) throw new Error(`unexpected kind in the file of Roles: ${kind}`);
  return resourcePath(gvr, metadata.namespace);
}

const pathOf = (manifest: Manifest): string => `${collectionOf(manifest)}/${manifest.metadata.name}`;

/** Deletes the file's objects and waits until they are gone. */
async function clear(transport: Transport, manifests: readonly Manifest[]): Promise<void> {
  for (const manifest of [...manifests].reverse()) await remove(transport, pathOf(manifest));
  const gone = await pollUntil(systemClock(), { everyMs: 500, limitMs: GONE_LIMIT_MS }, async () => {
    const left = await Promise.all(
      manifests.map(async (each) => await getOrUndefined(transport, pathOf(each))),
    );
    return left.every((each) => each === undefined) ? true : undefined;
  });
  if (gone !== true)
    throw new Error(`timed out after ${GONE_LIMIT_MS / 1000} s waiting until the test's objects are deleted`);
}

/** A kubeconfig with the ServiceAccount's token alone, as a user creates it from the shipped file. */
async function kubeconfigOf(
  { handle, connection }: TestCluster,
  space: Workspace,
): Promise<{ path: string; token: string }> {
  const { namespace, name } = ACCOUNT;
  const { status } = await create<{ status: { token: string } }>(
    connection.transport,
    resourcePath(ACCOUNTS, namespace, name, "token"),
    {
      apiVersion: "authentication.k8s.io/v1",
      kind: "TokenRequest",
      spec: { expirationSeconds: TOKEN_SECONDS },
    },
  );
  const admin = new KubeConfig();
  if (handle.kubeconfigPath === undefined) admin.loadFromDefault();
  else admin.loadFromFile(handle.kubeconfigPath);
  admin.setCurrentContext(handle.context);
  const cluster = admin.getCurrentCluster();
  const authority =
    cluster?.caFile === undefined ? cluster?.caData : (await readFile(cluster.caFile)).toString("base64");
  const path = join(space.folder, "kubeconfig");
  const text = stringify({
    apiVersion: "v1",
    kind: "Config",
    clusters: [
      {
        name: "chaos",
        cluster: { server: connection.server, "certificate-authority-data": authority },
      },
    ],
    users: [{ name: "chaos", user: { token: status.token } }],
    contexts: [{ name: "chaos", context: { cluster: "chaos", user: "chaos" } }],
    "current-context": "chaos",
  });
  await writeFile(path, text, { mode: 0o600 });
  return { path, token: status.token };
}

/** Every file below a folder, with its text; gzip files are unpacked. */
async function textsBelow(folder: string): Promise<{ path: string; text: string }[]> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true });
  return await Promise.all(
    entries
      .filter((entry) => entry.isFile())
      .map(async (entry) => {
        const path = join(entry.parentPath, entry.name);
        const bytes = await readFile(path);
        return { path, text: (path.endsWith(".gz") ? gunzipSync(bytes) : bytes).toString("latin1") };
      }),
  );
}

/** Objects in a namespace, without those that every namespace has by default. */
async function contentOf(transport: Transport, namespace: string): Promise<string[]> {
  const found: string[] = [];
  for (const gvr of kindsMadeIn(namespace)) {
    const { items } = await list<KubeObject>(transport, resourcePath(gvr, namespace));
    // Every namespace has its root certificates and, up to Kubernetes 1.23, the tokens of its ServiceAccounts.
    const byDefault = ["configmaps", "secrets"].includes(gvr.resource);
    const here = items.filter((item) => !byDefault || isOwn(item));
    found.push(...here.map(({ metadata }) => `${gvr.resource} ${metadata.name}`));
  }
  return found;
}

interface RemovedVerb {
  readonly role: Manifest;
  readonly rule: PolicyRule;
  readonly verb: string;
}

/** Some verbs of each Role, chosen by the seed, without rules that only a cluster with the study's add-ons needs. */
function choose(manifests: readonly Manifest[], random: () => number): RemovedVerb[] {
  return manifests.flatMap((role) => {
    const verbs = (role.rules ?? [])
      .filter(({ resourceNames = [] }) => !resourceNames.some((name) => /addon|drift/.test(name)))
      .flatMap((rule) => rule.verbs.map((verb) => ({ role, rule, verb })));
    return verbs
      .map((removed) => ({ removed, order: random() }))
      .sort((a, b) => a.order - b.order)
      .slice(0, VERBS_PER_ROLE)
      .map(({ removed }) => removed);
  });
}

/** Waits until the authorizer applies a changed Role: the ServiceAccount asks with a SelfSubjectAccessReview. */
async function judged(
  transport: Transport,
  { role, rule, verb }: RemovedVerb,
  allowed: boolean,
): Promise<void> {
  const [each = ""] = rule.resources;
  const [resource, subresource] = each.split("/");
  const resourceAttributes = {
    verb,
    group: rule.apiGroups[0],
    resource,
    subresource,
    namespace: role.metadata.namespace,
    name: rule.resourceNames?.[0],
  };
  const followed = await pollUntil(systemClock(), { everyMs: 200, limitMs: FOLLOW_LIMIT_MS }, async () => {
    const { status } = await create<{ status: { allowed: boolean } }>(
      transport,
      "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
      {
        apiVersion: "authorization.k8s.io/v1",
        kind: "SelfSubjectAccessReview",
        spec: { resourceAttributes },
      },
    );
    return status.allowed === allowed ? true : undefined;
  });
  if (followed !== true) throw new Error(`${verb} ${each} is not ${allowed ? "allowed" : "forbidden"} yet`);
}

/** The Role without that verb. */
function without({ role, rule, verb }: RemovedVerb): Manifest {
  const rules = (role.rules ?? [])
    .map((other) => (other === rule ? { ...rule, verbs: rule.verbs.filter((one) => one !== verb) } : other))
    .filter(({ verbs }) => verbs.length > 0);
  return { ...role, rules };
}

const missingIn = (output: string): string[] =>
  (/permissions: missing: (.*?)(?:\\n|"|\n|$)/.exec(output)?.[1] ?? "")
    .replace(/\. `chaos rbac`.*$/, "")
    .split("; ")
    .filter((right) => right !== "");

test.serial(
  "the shipped Roles are enough for a run, and preflight names each verb that is removed from them",
  async (t) => {
    const { cluster, space } = await setUp(t);
    const { transport } = cluster.connection;
    const text = await readFile(join(packageRoot(), "rbac/delete-workload.yaml"), "utf8");
    const manifests = manifestsOf(text);
    t.teardown(async () => await clear(transport, manifests));
    for (const manifest of manifests) await create(transport, collectionOf(manifest), manifest);
    const { path: kubeconfig, token } = await kubeconfigOf(cluster, space);
    const asAccount = await connect({ kubeconfigPath: kubeconfig, userAgent: "kube-system-chaos-tests" });
    t.teardown(() => asAccount.transport.close());
    for (const role of manifests) {
      const [rule] = role.rules ?? [];
      if (rule !== undefined)
        await judged(asAccount.transport, { role, rule, verb: rule.verbs[0] ?? "" }, true);
    }
    const run = (file: string, ...flags: string[]): ReturnType<typeof chaos> => {
      const where = [
        "--kubeconfig",
        kubeconfig,
        "--context",
        "chaos",
        "--reports",
        join(space.folder, "reports"),
      ];
      return chaos(cluster, space, ["run", file, ...where, ...flags]);
    };
    const prepared = await snapshot(cluster);

    await runs(t, { cluster, space, token }, run);
    t.deepEqual(await changesSince(cluster, prepared), [], "as before, with the prepared namespaces");
    for (const { kind, metadata } of manifests) {
      if (kind !== "Namespace") continue;
      const namespace = await get<Namespace>(transport, resourcePath(NAMESPACES, undefined, metadata.name));
      t.is(namespace.metadata.deletionTimestamp, undefined);
      t.deepEqual(await contentOf(transport, metadata.name), [], metadata.name);
    }

    const seed = Number(process.env["CHAOS_TEST_SEED"] ?? Date.now() % 2 ** 31);
    t.log(`seed ${seed}: CHAOS_TEST_SEED=${seed} removes the same verbs`);
    const file = await writeExperiment(space, {
      name: "one-verb-less",
      attack: "{ type: delete-workload }",
      window: "10s",
    });
    const removed = choose(manifests, mulberry32(seed));
    const roles = manifests.filter(({ kind }) => kind === "Role" || kind === "ClusterRole");
    t.deepEqual([...new Set(removed.map(({ role }) => pathOf(role)))].sort(), roles.map(pathOf).sort());
    // Each round removes one verb of every Role, and asks preflight once.
    for (let round = 0; round < VERBS_PER_ROLE; round++) {
      const less = roles.flatMap((role) =>
        removed.filter((each) => each.role === role).slice(round, round + 1),
      );
      await Promise.all(less.map(async (each) => await replace(transport, pathOf(each.role), without(each))));
      await Promise.all(less.map(async (each) => await judged(asAccount.transport, each, false)));
      const ended = await run(file, "--dry-run");
      const missing = missingIn(`${ended.stdout}\n${ended.stderr}`);
      const needed = less
        .map(({ rule, verb, role }) => rightsOf(rule, verb, role.metadata.namespace))
        .filter((rights) => !rights.every(isOptionalRight));
      t.log(`without ${needed.flat().join("; ")}: missing ${missing.join("; ")}`);
      t.is(ended.exitCode, needed.length > 0 ? 4 : 0, said(ended));
      for (const rights of needed)
        t.true(
          rights.some((right) => missing.includes(right)),
          `names none of ${rights.join()}: ${missing.join()}`,
        );
      t.deepEqual(
        missing.filter((right) => !needed.flat().includes(right)),
        [],
        "names others",
      );
      await Promise.all(less.map(async ({ role }) => await replace(transport, pathOf(role), role)));
      await Promise.all(less.map(async (each) => await judged(asAccount.transport, each, true)));
    }
    const { exitCode, stdout, stderr } = await run(file, "--dry-run");
    t.is(exitCode, 0, said({ stdout, stderr }));
  },
);

/** A whole run: it measures, restores, and writes its token nowhere. */
async function runs(
  t: ExecutionContext,
  {
    cluster,
    space,
    token,
  }: { readonly cluster: TestCluster; readonly space: Workspace; readonly token: string },
  run: (file: string, ...flags: string[]) => ReturnType<typeof chaos>,
): Promise<void> {
  const file = await writeExperiment(space, {
    name: "least-rights",
    attack: "{ type: delete-workload }",
    window: "20s",
    impact: "outage",
  });
  const { exitCode, stdout, stderr } = await run(file);
  const { result } = await onlyReport(space);
  t.is(exitCode, 0, `${said({ stdout, stderr })}\n${result.verdictBecause}`);
  t.deepEqual(result.reasons, [], "conclusive");

  const written = [
    ...(await textsBelow(join(space.folder, "reports"))),
    ...(await textsBelow(join(space.folder, "state"))),
    { path: "stdout", text: stdout },
    { path: "stderr", text: stderr },
  ];
  t.true(written.length > 5);
  // Its parts, too: a part of the token (its claims) can appear without the rest.
  const parts = [token, ...token.split(".").filter((part) => part.length > 40)];
  for (const { path, text } of written) {
    t.false(
      parts.some((part) => text.includes(part)),
      `the token is in ${path}`,
    );
    t.notRegex(text, /HTTP 403|403 Forbidden/, `something was forbidden: ${path}`);
  }

  // The audit log has the requests that change something. The texts above show that no read was forbidden.
  const entries = await auditOf(cluster, result.facts.runId);
  t.true(entries.length > 20);
  const user = `system:serviceaccount:${ACCOUNT.namespace}:${ACCOUNT.name}`;
  t.deepEqual([...new Set(entries.map((entry) => entry.user?.username))], [user]);
  t.deepEqual(
    entries.filter(({ responseStatus }) => responseStatus?.code === 403),
    [],
  );
}
