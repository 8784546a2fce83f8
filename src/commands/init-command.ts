import { randomUUID } from "node:crypto";
import { constants, copyFile, link, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { ClusterHandle } from "../clusters/provider.js";
import { ChaosError, ExitCode, messageOf, RefusedError } from "../common/errors.js";
import { makeFolder } from "../common/make-folder.js";
import { objectName } from "../common/object-name.js";
import { packageRoot } from "../common/package-root.js";
import { quoted } from "../common/shell-word.js";
import { systemReason } from "../common/system-reason.js";
import { components } from "../components/all-components.js";
import type { ComponentDefinition } from "../components/component.js";
import { fitted, type ResolvedExperiment, resolveExperiment } from "../components/resolve.js";
import { loadLocalConfig } from "../config/local-config.js";
import { fittingAttacks } from "../experiment/attacks.js";
import { experimentJsonSchema } from "../experiment/json-schema.js";
import { list, NODES, resourcePath, serverVersion } from "../kube/api.js";
import { withConnection } from "../kube/connect.js";
import type { Node } from "../kube/objects.js";
import { ApiError, type Transport } from "../kube/transport.js";
import { loadExperiment, parseExperiment } from "../load/read.js";
import { usableNodes } from "../nodes/left-out.js";
import type { NodeAccess } from "../nodes/spec.js";
import { foundWords } from "../run/phases/dry-run-table.js";
import {
  accessBefore,
  attackProblem,
  nodeAccessCheck,
  type NoNodeAccess,
  runsWords,
  targetVerdict,
} from "../run/phases/preflight.js";
import { durationOf, durationWords } from "../run/phases/run-duration.js";
import { accessOf } from "../run/run.js";
import { type Platform, platformOf } from "../targets/platform.js";
import { type AnyTarget, findTarget, isNodeTarget } from "../targets/target.js";
import type { RunView } from "../ui/base.js";
import { hanging } from "../ui/wrap.js";
import { experimentText, SCHEMA_FILE } from "./experiment-text.js";
import { nodeAccessOptions } from "./node-access-options.js";
import { schemaText } from "./schema-command.js";
import { selectCluster, type SelectOptions } from "./select-cluster.js";

export interface InitOptions {
  /** Gets the files; it is created if it does not exist. */
  readonly folder: string;
  readonly select: Omit<SelectOptions, "progress" | "signal" | "ask" | "dryRun">;
  /** Replace files that exist. */
  readonly force: boolean;
  readonly nodeAccess: "engine" | "pod" | "command" | undefined;
  readonly allowCommands: boolean;
  /** The local configuration file; undefined: the default one, if it exists. */
  readonly configFile: string | undefined;
  readonly view: RunView;
  readonly interrupted: AbortSignal;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** For the date in the files. */
  readonly now: () => Date;
}

/** A component that can be attacked here. */
interface Found {
  readonly name: string;
  readonly text: string;
  /** "Deployment kube-system/coredns, 2 of 2 pods ready; delete-workload". */
  readonly words: string;
}

/** A component that cannot, and why. */
interface LeftOut {
  readonly name: string;
  readonly why: string;
}

/** What was learned about the cluster as a whole. */
interface Cluster {
  readonly transport: Transport;
  readonly context: string;
  readonly version: string;
  readonly nodes: readonly Node[];
  readonly platform: Platform | undefined;
  readonly access: NodeAccess | NoNodeAccess;
  readonly now: Date;
}

/**
 * `chaos init`: reads the cluster and writes one commented experiment file for each component that runs there and can be
 * attacked there, and the schema beside them for editors. A file that exists is kept unless it is to be replaced.
 *
 * @throws RefusedError when the cluster cannot be read or has nothing to attack. Then nothing is written.
 */
export async function init(options: InitOptions): Promise<ExitCode> {
  const { view, interrupted, folder } = options;
  const config = await loadLocalConfig(options.configFile, options.env);
  const nodeAccess = nodeAccessOptions(options, config);
  const select = { ...options.select, dryRun: true, progress: view, signal: interrupted };
  const handle = await selectCluster(select);
  const { kubeconfigPath, context } = handle;
  const looked = await withConnection(
    { kubeconfigPath, context, userAgent: "kube-system-chaos", signal: interrupted },
    async (connection) =>
      await view.step("look at the components of the cluster", async (note) => {
        const cluster = await lookAt(connection, handle, nodeAccess, options.now());
        const outcomes: (Found | LeftOut)[] = [];
        for (const component of Object.values(components)) {
          interrupted.throwIfAborted();
          note(component.name);
          outcomes.push(await lookFor(component, cluster));
        }
        return { cluster, outcomes };
      }),
  );
  const found = looked.outcomes.filter((each): each is Found => "text" in each);
  const leftOut = looked.outcomes.filter((each): each is LeftOut => "why" in each);
  if (found.length === 0) throw new RefusedError(nothingFound(context, leftOut));
  const files = [
    ...found.map(({ name, text, words }) => ({ file: `${name}.yaml`, text, words })),
    { file: SCHEMA_FILE, text: schemaText(), words: "the format of the files, for editors" },
  ];
  const written = await writeAll(folder, files, options.force);
  const outcome = {
    written: files.filter(({ file }) => written.has(file)),
    kept: files.filter(({ file }) => !written.has(file)),
    leftOut,
    next: nextCommands(options, found),
  };
  view.result(lines(options, looked.cluster, outcome), {
    folder,
    context,
    platform: looked.cluster.platform?.name ?? null,
    ...outcome,
    written: outcome.written.map(({ file, words }) => ({ file, words })),
    kept: outcome.kept.map(({ file }) => file),
  });
  return ExitCode.asExpected;
}

/** @throws RefusedError when the nodes may not be listed: no run would be possible either. */
async function lookAt(
  { transport, context }: { readonly transport: Transport; readonly context: string },
  handle: ClusterHandle,
  nodeAccess: ReturnType<typeof nodeAccessOptions>,
  now: Date,
): Promise<Cluster> {
  try {
    const version = await serverVersion(transport);
    const { items: nodes } = await list<Node>(transport, resourcePath(NODES));
    const access = await accessOf(transport, nodes, { handle, nodeAccess });
    return { transport, context, version, nodes, platform: platformOf(nodes), access, now };
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    throw new RefusedError(
      `cannot look at the cluster of context ${context}: ${messageOf(error)}. Nothing was written. ` +
        "`chaos rbac EXPERIMENT` prints the rights that a run needs",
      { cause: error },
    );
  }
}

/** The experiment for a component, or why there is none. A read that is forbidden is such a reason. */
async function lookFor(component: ComponentDefinition, cluster: Cluster): Promise<Found | LeftOut> {
  const { name } = component;
  const leftOut = (why: string): LeftOut => ({ name, why });
  const file = join(packageRoot(), "experiments", `${name}.yaml`);
  const { experiment, text: template } = await loadExperiment(file);
  const { transport, nodes, access } = cluster;
  const reach = accessBefore(access);
  let target: Awaited<ReturnType<typeof findTarget>>;
  try {
    target = await findTarget(transport, experiment.target, component, {
      nodes: usableNodes(nodes),
      all: nodes,
      ...(reach === undefined ? {} : { access: reach }),
    });
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    return leftOut(messageOf(error));
  }
  if ("problem" in target) return leftOut(notHere(target.problem));
  const resolved = fitted(resolveExperiment(experiment), target.kind);
  const here = targetVerdict(target);
  const reached = nodeAccessCheck(access, target, resolved);
  const problem =
    (here.ok ? undefined : here.detail) ??
    attackProblem(target, resolved) ??
    (reached.ok ? undefined : reached.detail);
  if (problem !== undefined) return leftOut(problem);
  const assumed = here.assumed === true ? " (assumed: no node was looked at)" : "";
  const runs = `${foundWords(target)}, ${runsWords(target)}${assumed}`;
  const text = experimentText({
    template,
    schema: experimentJsonSchema(),
    role: `${name} ${component.role}.`,
    facts: factsOf({ cluster, component, target, resolved, runs }),
  });
  // The cluster's names are in comments only. A file that `chaos validate` would refuse must not be written.
  const parsed = parseExperiment(text, `${name}.yaml`);
  if ("problems" in parsed)
    throw new Error(`the experiment for ${name} is not valid: ${parsed.problems[0]?.message ?? ""}`);
  return { name, text, words: `${runs}; ${resolved.attack.type}` };
}

/** Says first that it is not here, then what was looked for. */
function notHere(problem: string): string {
  return problem.startsWith("looked for ") ? `does not run here (${problem})` : problem;
}

function factsOf({
  cluster,
  component,
  target,
  resolved,
  runs,
}: {
  readonly cluster: Cluster;
  readonly component: ComponentDefinition;
  readonly target: AnyTarget;
  readonly resolved: ResolvedExperiment;
  readonly runs: string;
}): string[] {
  const { type } = resolved.attack;
  const others = fittingAttacks(target.kind).filter((each) => each !== type);
  return [
    `Found on ${cluster.now.toISOString().slice(0, 10)} in ${clusterWords(cluster)}: ${runs}.`,
    ...(isNodeTarget(target) ? [`On ${target.nodes.join(", ")}.`] : []),
    ...(target.images.length === 0 ? [] : [`Images: ${target.images.join(", ")}.`]),
    ...(target.services.length === 0
      ? []
      : [`Services that lead to it: ${target.services.map(objectName).join(", ")}.`]),
    `Who restores it: ${target.ownerChain.join(" → ")}.`,
    `Attack: ${type}${others.length === 0 ? "" : ` (also possible here: ${others.join(", ")})`}.`,
    `A run takes ${durationWords(durationOf(resolved, target))}.`,
    ...studyWords(component),
  ];
}

/** "context kind-chaos (Kubernetes v1.34.0, kind)". */
function clusterWords({ context, version, platform }: Cluster): string {
  return `context ${context} (Kubernetes ${version}${platform === undefined ? "" : `, ${platform.name}`})`;
}

function studyWords({ study }: ComponentDefinition): string[] {
  if (study === null) return [];
  const verified =
    study.impactVerified && study.functionVerified ? "verified there" : "in part not verified there";
  return [`The study (GKE 1.11.7) says: ${study.behaviour.en} (${verified}).`];
}

interface FileToWrite {
  readonly file: string;
  readonly text: string;
  readonly words: string;
}

/** @returns the names of the files that were written. */
async function writeAll(
  folder: string,
  files: readonly FileToWrite[],
  force: boolean,
): Promise<ReadonlySet<string>> {
  const written = new Set<string>();
  try {
    await makeFolder(folder);
    for (const { file, text } of files)
      if (await writeWhole(join(folder, file), text, force)) written.add(file);
    return written;
  } catch (error) {
    const already = written.size === 0 ? "Nothing was written" : `${[...written].join(", ")} were written`;
    throw new ChaosError(
      `cannot write into ${folder}: ${error instanceof Error ? systemReason(error) : String(error)}. ${already}. Name another folder: chaos init FOLDER`,
      { exitCode: ExitCode.usage, cause: error },
    );
  }
}

/** Writes a file whole or not at all. @returns false: it exists, and was left as it is. */
async function writeWhole(path: string, text: string, force: boolean): Promise<boolean> {
  const part = `${path}.${randomUUID()}.part`;
  try {
    await writeFile(part, text, { flag: "wx" });
    if (force) await rename(part, path);
    else await linkOrCopy(part, path);
    return true;
  } catch (error) {
    if (force || (error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    // The same text is no file that was kept.
    return (await readFile(path, "utf8").catch(() => undefined)) === text;
  } finally {
    await rm(part, { force: true });
  }
}

/** A link never replaces a file and appears whole; some file systems have none. */
async function linkOrCopy(from: string, to: string): Promise<void> {
  try {
    await link(from, to);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") throw error;
    await copyFile(from, to, constants.COPYFILE_EXCL);
  }
}

function nothingFound(context: string, leftOut: readonly LeftOut[]): string {
  return [
    `no component of context ${context} can be attacked from here, so nothing was written:`,
    ...leftOut.map(({ name, why }) => `  ${name}: ${why}`),
    "Name another cluster with --context, or give access to the nodes with --node-access",
  ].join("\n");
}

/** The commands that come next, with the flags that lead to the same cluster. */
function nextCommands({ folder, select }: InitOptions, found: readonly Found[]): string[] {
  const cluster = [
    ...(select.provider === undefined || select.provider === "current" ? [] : ["--cluster", select.provider]),
    ...(select.kubeconfigPath === undefined ? [] : ["--kubeconfig", select.kubeconfigPath]),
    ...(select.context === undefined ? [] : ["--context", select.context]),
  ];
  const first = found.find(({ name }) => name === "kube-dns") ?? found[0];
  const command = (...words: readonly string[]): string => ["chaos", ...words].map(quoted).join(" ");
  const file = join(folder, `${first?.name ?? ""}.yaml`);
  return [
    command("validate", folder),
    command("run", file, "--dry-run", ...cluster),
    command("run", file, ...cluster),
  ];
}

function lines(
  { folder, force }: InitOptions,
  cluster: Cluster,
  outcome: {
    readonly written: readonly FileToWrite[];
    readonly kept: readonly FileToWrite[];
    readonly leftOut: readonly LeftOut[];
    readonly next: readonly string[];
  },
): string[] {
  const { written, kept, leftOut, next } = outcome;
  const names = [...[...written, ...kept].map(({ file }) => file), ...leftOut.map(({ name }) => name)];
  const columns = Math.max(...names.map((name) => name.length)) + 4;
  const row = (name: string, words: string): string[] => hanging(`  ${name.padEnd(columns - 2)}`, words);
  return [
    `${clusterWords(cluster)}: wrote ${written.length} files into ${folder}${force ? ", also over files that existed" : ""}`,
    ...written.flatMap(({ file, words }) => row(file, words)),
    ...(kept.length === 0 ? [] : ["kept, because they exist (--force replaces them):"]),
    ...kept.flatMap(({ file, words }) => row(file, words)),
    ...(leftOut.length === 0 ? [] : ["left out:"]),
    ...leftOut.flatMap(({ name, why }) => row(name, why)),
    "next:",
    ...next.map((command) => `  ${command}`),
  ];
}
