import { existsSync } from "node:fs";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { sleep } from "../common/clock.js";
import { ChaosError, ExitCode, messageOf, RefusedError } from "../common/errors.js";
import { claimFile } from "../common/file-claim.js";
import { makeFolder } from "../common/make-folder.js";
import { packageRoot } from "../common/package-root.js";
import { userFolder } from "../common/places.js";
import { identify, isAlive, type ProcessIdentity } from "../common/process-identity.js";
import { chooseEngine, ENGINE_NAMES, type KindEngine } from "./kind-engine.js";
import {
  CLUSTER_NAME,
  isSameImage,
  type KindNode,
  listNodes,
  parseNodes,
  weighWorkers,
} from "./kind-nodes.js";
import type {
  ClusterHandle,
  ClusterProvider,
  ClusterStatus,
  DownOptions,
  SubstituteImage,
  UpOptions,
} from "./provider.js";
import { type Env, type Ran, ranOf, tryRun, whyFailed } from "./try-run.js";

// Every command names the cluster: KIND_CLUSTER_NAME must not.
const CONTROL_PLANE = `${CLUSTER_NAME}-control-plane`;

/**
 * The first kind whose default node image (pkg/apis/config/defaults/image.go) has Kubernetes 1.30, the oldest that this
 * tool supports, and the first that can use nerdctl.
 */
const OLDEST_KIND = [0, 23] as const;

/** Includes pulling the node image over a slow network (guess). */
const CREATE_LIMIT_MS = 15 * 60_000;

/** How long the nodes, and then the cluster's DNS, may take to become ready, s. On two cores both take under one minute. */
const READY_LIMIT_S = 180;

/** What a killed kind had requested from the engine may appear within this time (guess), ms. */
const UNDER_WAY_MS = 1_000;
const DELETIONS = 3;

const REMEDY = "Remove it with `chaos cluster down --cluster kind`";

/** Noted while the cluster is created, until it is ready or what is left of it is removed. */
interface Attempt {
  readonly engine: KindEngine;
  /** kind's process, where /proc identifies it. It leads its own process group. */
  readonly kind?: ProcessIdentity;
}

/**
 * A kind cluster made with the user's own kind and container engine, from public images.
 *
 * @param env the environment of kind and of the engine's client. Default: this process's.
 */
export function createKindProvider(env: Env = process.env): ClusterProvider {
  // Apart from the user's own kubeconfigs.
  return new KindProvider(join(userFolder("state", env), "kind"), env);
}

class KindProvider implements ClusterProvider {
  readonly name = "kind";
  readonly #folder: string;
  readonly #kubeconfig: string;
  readonly #attempt: string;
  readonly #env: Env;

  constructor(folder: string, env: Env) {
    this.#folder = folder;
    this.#kubeconfig = join(folder, "kubeconfig");
    this.#attempt = join(folder, "creating.json");
    this.#env = env;
  }

  /**
   * @throws RefusedError when no engine answers, kind is missing or too old, or the cluster exists but is stopped or has
   *   another image than the requested one.
   * @throws ChaosError when kind fails or the cluster does not become ready. Nothing is left of a new cluster then.
   */
  async up(options: UpOptions): Promise<ClusterHandle> {
    const version = await this.#kindVersion();
    const engine = await chooseEngine(this.#env, (text) => options.progress.warn(text));
    if ((await this.#readAttempt(engine)) === undefined) {
      const nodes = await this.#nodes(engine);
      if (nodes.length > 0) return await this.#reuse(engine, nodes, options.image);
    }
    return await this.#alone(async () => {
      const interrupted = await this.#readAttempt(engine);
      if (interrupted !== undefined) {
        await options.progress.step("Removing the incomplete cluster of an interrupted attempt", async () => {
          await this.#delete(interrupted);
        });
      }
      const nodes = await this.#nodes(engine);
      if (nodes.length > 0) return await this.#reuse(engine, nodes, options.image);
      refuseOld(version);
      await this.#create(engine, options);
      return this.#handle(engine);
    });
  }

  async down({ progress }: DownOptions): Promise<void> {
    await this.#kindVersion();
    const engine = await chooseEngine(this.#env, (text) => progress.warn(text));
    await this.#alone(async () => {
      await progress.step(`Deleting the cluster ${CLUSTER_NAME}`, async () => {
        const interrupted = await this.#readAttempt(engine);
        if (interrupted !== undefined) await this.#delete(interrupted);
        if (interrupted?.engine.command !== engine.command) await this.#delete({ engine });
      });
    });
  }

  async status(): Promise<ClusterStatus> {
    const standIns: readonly SubstituteImage[] = [];
    try {
      const engine = await chooseEngine(this.#env, () => undefined);
      const nodes = await this.#nodes(engine);
      const incomplete = (await this.#readAttempt(engine)) !== undefined;
      const stopped = nodes.filter((node) => !node.running).map(({ name }) => name);
      const details = [
        `container engine: ${engine.command}`,
        ...(nodes[0] === undefined
          ? [`no cluster named ${CLUSTER_NAME}`]
          : [`node image: ${nodes[0].image}`, `kubeconfig: ${this.#kubeconfig}`]),
        ...(incomplete ? ["incomplete: it is being created, or creating it was interrupted"] : []),
        ...(stopped.length > 0 ? [`stopped nodes: ${stopped.join(", ")}`] : []),
      ];
      const running = nodes.length > 0 && stopped.length === 0 && !incomplete;
      return { provider: this.name, running, details, standIns };
    } catch (error) {
      return { provider: this.name, running: false, details: [messageOf(error)], standIns };
    }
  }

  async find(): Promise<ClusterHandle | undefined> {
    // Without it there is nothing to reach, and asking an engine that does not answer takes long.
    if (!existsSync(this.#kubeconfig)) return undefined;
    try {
      const engine = await chooseEngine(this.#env, () => undefined);
      return (await this.#nodes(engine)).length > 0 ? this.#handle(engine) : undefined;
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      return undefined;
    }
  }

  /** What `kind version` prints, such as "kind v0.33.0 go1.26.3 linux/amd64". @throws RefusedError without kind. */
  async #kindVersion(): Promise<string> {
    const result = await tryRun(this.#env, "kind", ["version"], { timeout: 15_000 });
    if (!result.failed) return result.stdout;
    throw new RefusedError(
      result.notStarted !== undefined
        ? "kind was not found on PATH. Install it (https://kind.sigs.k8s.io), or on Debian 12 use --cluster lab."
        : `kind does not work: \`kind version\` failed (${whyFailed(result)}). Install it again (https://kind.sigs.k8s.io).`,
    );
  }

  /** @throws RefusedError when the engine cannot list its containers. */
  async #nodes(engine: KindEngine): Promise<KindNode[]> {
    const listed = await this.#ask(engine, engine.command, listNodes(CLUSTER_NAME), 30_000);
    if (!listed.failed) return parseNodes(listed.stdout);
    throw new RefusedError(
      `${engine.command} cannot list the nodes of kind clusters: ${whyFailed(listed)}. Repair the engine.`,
    );
  }

  /** An existing cluster is never changed: a run that is not yet restored may have broken it. */
  async #reuse(
    engine: KindEngine,
    nodes: readonly KindNode[],
    image: string | undefined,
  ): Promise<ClusterHandle> {
    const other = image === undefined ? undefined : nodes.find((node) => !isSameImage(node.image, image));
    if (other !== undefined) {
      throw new RefusedError(
        `the cluster ${CLUSTER_NAME} already exists with the image ${other.image}: --image ${image} is for a new ` +
          `one. ${REMEDY}, or omit --image.`,
      );
    }
    const stopped = nodes.filter((node) => !node.running).map(({ name }) => name);
    if (stopped.length > 0) {
      throw new RefusedError(
        `the cluster ${CLUSTER_NAME} is stopped: ${stopped.join(", ")} ${stopped.length === 1 ? "does" : "do"} not ` +
          `run. Start it with \`${engine.command} start ${stopped.join(" ")}\`. Or ${lower(REMEDY)}.`,
      );
    }
    await makeFolder(this.#folder);
    const exported = await this.#kind(engine, ["export", "kubeconfig"], 60_000);
    if (exported.failed) {
      throw new ChaosError(
        `the cluster ${CLUSTER_NAME} exists, but kind cannot read its kubeconfig: ${whyFailed(exported)}\n` +
          `It may be incomplete. ${REMEDY}, then create it again.`,
      );
    }
    return this.#handle(engine);
  }

  async #create(engine: KindEngine, options: UpOptions): Promise<void> {
    const { progress, signal } = options;
    try {
      await progress.step(
        `Creating the cluster ${CLUSTER_NAME} with kind and ${engine.command}`,
        async (note) => await this.#runCreate(engine, options, note),
      );
      await this.#weighWorkers(engine, options);
      await progress.step("Waiting for the nodes and the cluster's DNS", async () => {
        await this.#waitUntilReady(engine, signal);
      });
    } catch (error) {
      const interrupted = signal?.aborted === true;
      const what = interrupted ? "creating the cluster was interrupted" : "the cluster was not created";
      let left = "nothing of it is left";
      try {
        await progress.step("Removing what kind had created", async () => {
          const attempt = await this.#readAttempt(engine);
          if (attempt !== undefined) await this.#delete(attempt);
        });
      } catch (failed) {
        left = `a part of it is left (${messageOf(failed)}). ${REMEDY}`;
      }
      throw new ChaosError(`${what}, and ${left}`, {
        cause: error,
        ...(interrupted ? { exitCode: ExitCode.interrupted } : {}),
      });
    }
    await rm(this.#attempt, { force: true });
  }

  /** Without --wait: kind waits only for the control plane, and succeeds when that is not ready in time. */
  async #runCreate(
    engine: KindEngine,
    { signal, image }: UpOptions,
    note: (text: string) => void,
  ): Promise<void> {
    await this.#writeAttempt({ engine });
    const args = [
      ...["create", "cluster", "--name", CLUSTER_NAME, "--config", "kind-config.yaml"],
      ...["--kubeconfig", this.#kubeconfig, ...(image === undefined ? [] : ["--image", image])],
    ];
    const child = execa("kind", args, {
      env: { ...this.#env, ...engine.env },
      extendEnv: false,
      stdin: "ignore",
      reject: false,
      // kind-config.yaml has the audit policy's path relative to the package.
      cwd: packageRoot(),
      // Its own process group: the terminal's Ctrl-C does not reach it, and its engine's clients are killed with it.
      detached: true,
    });
    const { pid } = child;
    const stop = AbortSignal.any([
      AbortSignal.timeout(CREATE_LIMIT_MS),
      ...(signal === undefined ? [] : [signal]),
    ]);
    const kill = (): void => (pid === undefined ? undefined : killGroup(pid));
    child.stderr.on("data", (chunk: Buffer) => {
      const line = progressLine(chunk.toString());
      if (line !== "") note(line);
    });
    stop.addEventListener("abort", kill, { once: true });
    if (stop.aborted) kill();
    const kind = pid === undefined ? undefined : await identify(pid);
    if (kind !== undefined) await this.#writeAttempt({ engine, kind });
    const result = ranOf(await child);
    stop.removeEventListener("abort", kill);
    if (stop.aborted) await sleep(UNDER_WAY_MS);
    if (signal?.aborted === true) throw new ChaosError("kind was ended");
    if (stop.aborted) throw new ChaosError(`kind did not finish in ${CREATE_LIMIT_MS / 60_000} minutes`);
    if (result.failed) throw new ChaosError(`kind failed: ${whyFailed(result)}`);
  }

  /** An engine without the right or the means (rootless without the cpu controller) still has a cluster that works. */
  async #weighWorkers(engine: KindEngine, { progress, signal }: UpOptions): Promise<void> {
    const nodes = await this.#nodes(engine);
    for (const args of weighWorkers(nodes.map(({ name }) => name))) {
      if (signal?.aborted === true) return;
      const weighed = await this.#ask(engine, engine.command, args, 30_000);
      if (!weighed.failed) continue;
      progress.warn(
        `the workers have no larger share of the CPUs than the control plane: \`${engine.command} ${args.join(" ")}\` ` +
          `failed (${whyFailed(weighed)}). On a busy machine a run may be inconclusive (disturbed).`,
      );
      return;
    }
  }

  /** Asks with the node's kubectl, as kind does (pkg/cluster/internal/create/actions/waitforready). */
  async #waitUntilReady(engine: KindEngine, signal: AbortSignal | undefined): Promise<void> {
    const timeout = `--timeout=${READY_LIMIT_S}s`;
    const inNode = async (args: readonly string[], cancel: { cancelSignal?: AbortSignal }): Promise<Ran> =>
      await this.#ask(
        engine,
        engine.command,
        ["exec", CONTROL_PLANE, "kubectl", "--kubeconfig=/etc/kubernetes/admin.conf", ...args],
        (READY_LIMIT_S + 20) * 1000,
        { ...cancel, detached: true },
      );
    for (const args of [
      ["wait", "--for=condition=Ready", "nodes", "--all", timeout],
      ["-n", "kube-system", "rollout", "status", "deployment/coredns", timeout],
    ]) {
      const result = await inNode(args, signal === undefined ? {} : { cancelSignal: signal });
      if (!result.failed) continue;
      if (signal?.aborted === true) throw new ChaosError("waiting for it was ended");
      const state = await inNode(["get", "nodes,pods", "-A", "-o", "wide", "--request-timeout=15s"], {});
      throw new ChaosError(
        `it did not become ready: ${whyFailed(result)}. Its nodes and pods:\n${state.stdout}`,
      );
    }
  }

  /** Deletes the cluster in any state, with its kubeconfig and the note of the attempt. */
  async #delete({ engine, kind }: Attempt): Promise<void> {
    // A kind that outlived its runner would continue, and delete nodes of this name when it fails.
    if (kind !== undefined && (await isAlive(kind))) {
      killGroup(kind.pid);
      await sleep(UNDER_WAY_MS);
    }
    for (let tries = 1; ; tries++) {
      const deleted = await this.#kind(engine, ["delete", "cluster"], 180_000);
      if (deleted.failed) throw new ChaosError(`kind could not delete the cluster: ${whyFailed(deleted)}`);
      if ((await this.#nodes(engine)).length === 0) break;
      if (tries === DELETIONS) throw new ChaosError(`nodes of the cluster ${CLUSTER_NAME} still exist`);
      await sleep(UNDER_WAY_MS);
    }
    await rm(this.#kubeconfig, { force: true });
    await rm(this.#attempt, { force: true });
  }

  /**
   * Runs `work` while no other process creates or deletes the cluster.
   *
   * @throws RefusedError when another one does.
   */
  async #alone<T>(work: () => Promise<T>): Promise<T> {
    await makeFolder(this.#folder);
    const file = join(this.#folder, "lock");
    const claim = await claimFile(file, {
      onHeld: ({ pid }) => {
        throw new RefusedError(
          `another process (${pid}) is creating or deleting the kind cluster. Wait until it has ended. The lock is ${file}.`,
        );
      },
    });
    try {
      return await work();
    } finally {
      await claim.release();
    }
  }

  /** The noted attempt. If the note cannot be read: one with this engine. */
  async #readAttempt(engine: KindEngine): Promise<Attempt | undefined> {
    let text: string;
    try {
      text = await readFile(this.#attempt, "utf8");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
      throw error;
    }
    try {
      const attempt = JSON.parse(text) as Attempt;
      if (ENGINE_NAMES.includes(attempt.engine.command)) return attempt;
    } catch {
      // Only half of it was written.
    }
    return { engine };
  }

  async #writeAttempt(attempt: Attempt): Promise<void> {
    await writeFile(this.#attempt, JSON.stringify(attempt), { mode: 0o600 });
  }

  async #kind(engine: KindEngine, args: readonly string[], timeoutMs: number): Promise<Ran> {
    const ours = ["--name", CLUSTER_NAME, "--kubeconfig", this.#kubeconfig];
    return await this.#ask(engine, "kind", [...args, ...ours], timeoutMs, { detached: true });
  }

  async #ask(
    engine: KindEngine,
    file: string,
    args: readonly string[],
    timeoutMs: number,
    more: { readonly cancelSignal?: AbortSignal; readonly detached?: boolean } = {},
  ): Promise<Ran> {
    return await tryRun({ ...this.#env, ...engine.env }, file, args, { timeout: timeoutMs, ...more });
  }

  #handle({ command, env }: KindEngine): ClusterHandle {
    return {
      provider: this.name,
      kubeconfigPath: this.#kubeconfig,
      context: `kind-${CLUSTER_NAME}`,
      kindName: CLUSTER_NAME,
      env,
      engineCommand: command,
    };
  }
}

function refuseOld(version: string): void {
  const [, major, minor] = /v(\d+)\.(\d+)\./.exec(version) ?? [];
  // A version that is not understood is a build of the user's own.
  if (major === undefined || minor === undefined) return;
  const [oldestMajor, oldestMinor] = OLDEST_KIND;
  if (Number(major) > oldestMajor || Number(minor) >= oldestMinor) return;
  throw new RefusedError(
    `kind ${major}.${minor} is too old: its node images have a Kubernetes before 1.30. Install kind ` +
      `${oldestMajor}.${oldestMinor} or newer (https://kind.sigs.k8s.io).`,
  );
}

/** The last line of kind's progress, without its icons. */
function progressLine(chunk: string): string {
  const line = chunk.trim().split("\n").at(-1) ?? "";
  return line.replace(/[^\x20-\x7e]/g, "").trim();
}

/** kind does nothing at SIGTERM that SIGKILL would prevent. */
function killGroup(pid: number): void {
  try {
    process.kill(-pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

const lower = (text: string): string => text.charAt(0).toLowerCase() + text.slice(1);
