/** Runs the points of test/crash/kinds.ts. */
import { execa } from "execa";
import { randomUUID } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pollUntil, systemClock } from "../../src/common/clock.js";
import { ExitCode, messageOf } from "../../src/common/errors.js";
import { create, NODES, remove, resourcePath, get } from "../../src/kube/api.js";
import type { Node } from "../../src/kube/objects.js";
import { isNodeUndo } from "../../src/safety/journal/undo.js";
import { journalRoot, unfinishedRuns } from "../../src/safety/journal/journal.js";
import type { TestCluster } from "../cluster/support/cluster.js";
import { chaos, chaosRun, chaosUnder, type Workspace, windowStarted } from "../cluster/support/run-cli.js";
import type { Kind, KindPoint } from "./kinds.js";
import { processesOf } from "./processes.js";
import { sleep } from "./runner.js";

const NODE_LIMIT_MS = 3 * 60_000;
const POLICY_LIMIT_MS = 20_000;
const POLICY = "chaos-crash-test";
const ADMISSION = "/apis/admissionregistration.k8s.io/v1";
const BOOT_ID = "/proc/sys/kernel/random/boot_id";

/** How a point ended: who restored, and what was wrong so far. */
export interface KindEnding {
  readonly restoredBy: string;
  readonly problems: readonly string[];
}

/** Runs a point up to the restore. */
export async function runKind(
  point: KindPoint,
  {
    cluster,
    flags,
    file,
    space,
  }: {
    readonly cluster: TestCluster;
    readonly flags: { readonly anyway: boolean };
    readonly file: string;
    readonly space: Workspace;
  },
): Promise<KindEnding> {
  const child = chaosRun(cluster, space, file, ["--keep-app", ...(flags.anyway ? ["--anyway"] : [])]);
  const problems: string[] = [];
  try {
    const early = await windowStarted(child).then(
      () => undefined,
      (error: unknown) => messageOf(error),
    );
    if (early !== undefined) return { restoredBy: "nobody", problems: [early] };
    await sleep(point.delayMs);
    const nodes = await attackedNodes(cluster, space);
    if (/policy/.test(point.kind)) await addPolicy(cluster);
    if (point.kind === "restart" || point.kind === "policy") {
      if (point.kind === "restart") await restart(cluster, nodes);
      const ended = await child;
      if (point.kind === "policy") problems.push(...refusalProblems("chaos run", ended));
      else if (![0, 1, 2].includes(ended.exitCode ?? -1))
        problems.push(`the run ended with ${ended.exitCode}: ${ended.stderr.slice(-800)}`);
    } else {
      await killAll(space);
      await writeFile(join(space.folder, "stdout.ndjson"), (await child).stdout);
      if (point.kind === "restart after kill") await restart(cluster, nodes);
      if (point.kind === "policy after kill")
        problems.push(...refusalProblems("chaos restore", await chaos(cluster, space, ["restore", "--all"])));
    }
  } finally {
    // Whatever went wrong: a process of this point must not act during the next one.
    await killAll(space, problems.length > 0 || !/^(restart|policy)$/.test(point.kind));
    if (/policy/.test(point.kind)) await removePolicy(cluster);
  }
  if (point.kind === "restart") return { restoredBy: "the run itself", problems };
  return {
    restoredBy: `restore (${point.kind})`,
    problems: [...problems, ...(await restored(point.kind, cluster, space))],
  };
}

/** While the policy exists, a restore fails, and says why. */
function refusalProblems(
  what: string,
  {
    exitCode,
    stdout,
    stderr,
  }: { readonly exitCode?: number; readonly stdout: string; readonly stderr: string },
): string[] {
  return [
    ...(exitCode === ExitCode.notRestored
      ? []
      : [`${what} ended with ${exitCode}, not with ${ExitCode.notRestored}, while ${POLICY} refused`]),
    ...(`${stdout}${stderr}`.includes(POLICY)
      ? []
      : [`${what} does not name the policy: ${stderr.slice(-800)}`]),
  ];
}

/** `chaos restore --all` must restore everything. */
async function restored(kind: Kind, cluster: TestCluster, space: Workspace): Promise<string[]> {
  const { exitCode, stdout, stderr } =
    kind === "other boot"
      ? await chaosUnder(await otherBoot(space), cluster, space, ["restore", "--all"])
      : await chaos(cluster, space, ["restore", "--all"]);
  await writeFile(join(space.folder, "restore.ndjson"), stdout);
  return exitCode === 0 ? [] : [`chaos restore --all ended with ${exitCode}: ${stderr.slice(-800)}`];
}

/** A command that runs another one with another boot id, in its own mount namespace. */
async function otherBoot(space: Workspace): Promise<string[]> {
  const path = join(space.folder, "boot_id");
  await writeFile(path, `${randomUUID()}\n`);
  return ["unshare", "-m", "sh", "-c", `mount --bind '${path}' ${BOOT_ID} && exec "$@"`, "sh"];
}

/** SIGKILL for all processes of the point: runner, watchdog, and what they have started. */
async function killAll(space: Workspace, wanted = true): Promise<void> {
  if (!wanted) return;
  for (const { pid } of await processesOf(space.env["XDG_STATE_HOME"] ?? "")) {
    try {
      process.kill(pid, "SIGKILL");
    } catch (error) {
      // It has ended meanwhile.
      if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
    }
  }
}

/** The nodes with a fault; where there is none, the first worker: probers and pods of the application run there. */
async function attackedNodes(cluster: TestCluster, space: Workspace): Promise<string[]> {
  const { runs } = await unfinishedRuns(journalRoot(space.env));
  const faulty = runs.flatMap(({ pending }) => pending.map(({ undo }) => undo).filter(isNodeUndo));
  const worker = cluster.nodes.find(
    ({ metadata }) => !("node-role.kubernetes.io/control-plane" in (metadata.labels ?? {})),
  );
  const nodes = [...new Set(faulty.map(({ node }) => node))];
  return nodes.length > 0 ? nodes : [worker?.metadata.name ?? ""];
}

/** Restarts the containers of nodes, and waits until the API server answers and knows them again. */
async function restart({ access, connection }: TestCluster, nodes: readonly string[]): Promise<void> {
  const { spec } = access;
  if (spec.type !== "engine") throw new Error("only the nodes of kind can be restarted");
  for (const node of nodes) await execa(spec.command, ["restart", node], { env: spec.env });
  const back = await pollUntil(systemClock(), { everyMs: 500, limitMs: NODE_LIMIT_MS }, async () => {
    const found = await Promise.all(
      nodes.map(
        async (node) =>
          await get<Node>(connection.transport, resourcePath(NODES, undefined, node), { retry: false }),
      ),
    ).catch(() => undefined);
    return found === undefined ? undefined : true;
  });
  if (back === undefined)
    throw new Error(`timed out waiting for the API server after the restart of ${nodes.join(", ")}`);
}

/** Refuses to create Deployments and DaemonSets in kube-system. Resolves when the API server follows it. */
async function addPolicy(cluster: TestCluster): Promise<void> {
  const { transport } = cluster.connection;
  await create(transport, `${ADMISSION}/validatingadmissionpolicies`, {
    metadata: { name: POLICY },
    spec: {
      matchConstraints: {
        namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "kube-system" } },
        resourceRules: [
          {
            apiGroups: ["apps"],
            apiVersions: ["v1"],
            operations: ["CREATE"],
            resources: ["deployments", "daemonsets"],
          },
        ],
      },
      validations: [{ expression: "false", message: "no new workloads" }],
    },
  });
  await create(transport, `${ADMISSION}/validatingadmissionpolicybindings`, {
    metadata: { name: POLICY },
    spec: { policyName: POLICY, validationActions: ["Deny"] },
  });
  const refuses = await pollUntil(systemClock(), { everyMs: 200, limitMs: POLICY_LIMIT_MS }, async () =>
    (await creatable(cluster)) ? undefined : true,
  );
  if (refuses === undefined) throw new Error(`timed out waiting for the policy ${POLICY} to refuse`);
}

/** Also when there is none: then it changes nothing. */
export async function removePolicy(cluster: TestCluster): Promise<void> {
  const { transport } = cluster.connection;
  for (const kind of ["validatingadmissionpolicybindings", "validatingadmissionpolicies"])
    await remove(transport, `${ADMISSION}/${kind}/${POLICY}`);
  await pollUntil(systemClock(), { everyMs: 200, limitMs: POLICY_LIMIT_MS }, async () =>
    (await creatable(cluster)) ? true : undefined,
  );
}

/** Whether a Deployment could be created in kube-system, by a dry run. */
async function creatable(cluster: TestCluster): Promise<boolean> {
  const labels = { app: POLICY };
  const body = {
    metadata: { name: POLICY },
    spec: {
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers: [{ name: "none", image: "none" }] } },
    },
  };
  const path = "/apis/apps/v1/namespaces/kube-system/deployments";
  const { status } = await cluster.connection.transport.request({
    method: "POST",
    path,
    query: { dryRun: "All" },
    body,
  });
  if (status !== 201 && status !== 403 && status !== 422)
    throw new Error(`a dry run was answered with ${status}`);
  return status === 201;
}
