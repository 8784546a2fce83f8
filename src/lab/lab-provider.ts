import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import { dirname } from "node:path";
import { RefusedError } from "../common/errors.js";
import type { Progress } from "../common/progress.js";
import { CLUSTER_NAME } from "../clusters/kind-nodes.js";
import type {
  ClusterHandle,
  ClusterProvider,
  ClusterStatus,
  DownOptions,
  SubstituteImage,
  UpOptions,
} from "../clusters/provider.js";
import { buildImages, buildParts, type Built } from "./build.js";
import {
  CLUSTER_CONTEXT,
  clusterKey,
  createCluster,
  hasOnlyNodesOf,
  isHealthy,
  kubeconfigPath,
  readRecord,
  removeCluster,
} from "./kind-cluster.js";
import { ask, interruptible } from "./command.js";
import { Engine } from "./engine.js";
import { Kubectl } from "./kubectl.js";
import { withLock } from "./build-lock.js";
import { labPaths, type LabPaths } from "./paths.js";
import { placeOf } from "./build-plan.js";
import { examineMachine, type Machine } from "./machine-checks.js";
import { readSubstituteImages } from "./substitutes.js";
import { toolsIn, toolsStep, type Tools } from "./steps/tools.js";
import { NODE_IMAGE } from "./versions.js";
import { Apt } from "./apt.js";

export interface LabOptions {
  /** The environment that names the cache folder. Default: this process's. */
  readonly env?: NodeJS.ProcessEnv;
}

/**
 * A kind cluster on a bare Debian 12 machine without a container registry. kind, Kubernetes, containerd, etcd, CoreDNS
 * and the add-ons are compiled from their Go modules; the engine and the systems come from Debian's packages. All of it
 * is built here and kept in the cache.
 */
export function createLabProvider(options: LabOptions = {}): ClusterProvider {
  return new LabProvider(labPaths(options.env ?? process.env));
}

/**
 * The lab's engine with kind and the node image, in place of a user's own, to try the kind provider: the environment in
 * which `docker` and `kind` are found, and the image under its public name. The lab's own cluster is removed, because
 * kind's has the same name.
 */
export async function engineForKind(
  progress: Progress,
): Promise<{ readonly env: Readonly<Record<string, string>>; readonly image: string }> {
  return await new LabProvider(labPaths(process.env)).forKind(progress);
}

class LabProvider implements ClusterProvider {
  readonly name = "lab";
  readonly #paths: LabPaths;

  constructor(paths: LabPaths) {
    this.#paths = paths;
  }

  /**
   * @throws RefusedError when the machine cannot run a lab. Nothing was changed.
   * @throws ChaosError when a step fails. Finished steps stay in the cache and are not performed again.
   */
  async up({ progress, signal }: UpOptions): Promise<ClusterHandle> {
    const machine = await examineMachine();
    return await interruptible(
      signal,
      async () => await withLock(this.#paths, async () => await this.#up(machine, progress)),
    );
  }

  async #up(machine: Machine, progress: Progress): Promise<ClusterHandle> {
    const paths = this.#paths;
    const { engine, images } = await this.#build(machine, progress);
    const parts = { paths, engine };
    const record = await readRecord(paths);
    const current = record?.key === (await clusterKey(paths, images.nodeImage));
    if (record === undefined || !current || !(await isHealthy(parts, record))) {
      await removeCluster(parts);
      await createCluster(parts, images, progress);
    }
    return this.#handle(engine);
  }

  /** Builds everything that is not in the cache, and starts the engine unless it runs. */
  async #build(machine: Machine, progress: Progress): Promise<{ engine: Engine; images: Built }> {
    const paths = this.#paths;
    await this.#endOtherVersion(machine, progress);
    const built = await buildParts(paths, machine, progress);
    const engine = new Engine(paths, built.tools);
    if (!(await engine.isRunning())) {
      await progress.step("Starting the lab's own container engine", async () => await engine.start());
    } else {
      await engine.start();
    }
    return { engine, images: await buildImages({ paths, engine, progress }, built) };
  }

  /** See `engineForKind`. */
  async forKind(progress: Progress): Promise<{ env: Record<string, string>; image: string }> {
    const machine = await examineMachine();
    return await withLock(this.#paths, async () => {
      const { engine, images } = await this.#build(machine, progress);
      const parts = { paths: this.#paths, engine };
      // The lab's own cluster, complete or not, or one of an older image.
      if (!(await hasOnlyNodesOf(parts, NODE_IMAGE)) || (await readRecord(this.#paths)) !== undefined) {
        await removeCluster(parts);
      }
      const path = [dirname(images.kind), dirname(engine.client), engine.env["PATH"] ?? ""].join(":");
      return { env: { ...engine.env, PATH: path }, image: NODE_IMAGE };
    });
  }

  async down({ progress, purge }: DownOptions): Promise<void> {
    const machine = await examineMachine();
    await withLock(this.#paths, async () => {
      const tools = await this.#existingTools(machine);
      if (tools !== undefined) {
        const engine = new Engine(this.#paths, tools);
        await engine.refuseForeign();
        await progress.step("Taking the lab down", async () => {
          await engine.stop();
          await rm(this.#paths.state, { recursive: true, force: true });
        });
      }
      if (purge) {
        await progress.step(`Removing ${this.#paths.cache}`, async () => {
          await rm(this.#paths.cache, { recursive: true, force: true, maxRetries: 3 });
        });
      }
    });
  }

  async status(): Promise<ClusterStatus> {
    const details: string[] = [];
    let machine: Machine;
    try {
      machine = await examineMachine();
    } catch (error) {
      // On a machine that cannot run a lab, no lab runs: this is the status, not an error.
      if (!(error instanceof RefusedError)) throw error;
      return { provider: this.name, running: false, details: [error.message], standIns: [] };
    }
    const tools = await this.#existingTools(machine);
    const engine = tools === undefined ? undefined : new Engine(this.#paths, tools);
    const record = await readRecord(this.#paths);
    let running = false;
    let substitutes: readonly SubstituteImage[] = [];
    if (tools !== undefined && engine !== undefined && (await engine.isRunning())) {
      details.push(`container engine: ${engine.env["DOCKER_HOST"] ?? ""}`);
      if (record === undefined) {
        details.push("no complete cluster: `chaos cluster up` creates one");
      } else {
        details.push(`built from: ${record.versions}`);
        running = await isHealthy({ paths: this.#paths, engine }, record);
        const kubectl = new Kubectl(record.kubernetes, kubeconfigPath(this.#paths));
        const nodes = await kubectl.ask(["get", "nodes", "-o", "wide", "--request-timeout=5s"], 10_000);
        details.push(...(nodes.exitCode === 0 ? nodes.stdout : nodes.stderr).trimEnd().split("\n"));
        details.push(`kubeconfig: ${kubeconfigPath(this.#paths)}`);
        substitutes = await readSubstituteImages(engine, record.images);
      }
    } else {
      details.push("container engine: not running");
    }
    details.push(await describeCache(this.#paths));
    return { provider: this.name, running, details, standIns: substitutes };
  }

  async find(): Promise<ClusterHandle | undefined> {
    let machine: Machine;
    try {
      machine = await examineMachine();
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      return undefined;
    }
    const tools = await this.#existingTools(machine);
    const engine = tools === undefined ? undefined : new Engine(this.#paths, tools);
    if (engine === undefined || (await readRecord(this.#paths)) === undefined) return undefined;
    return (await engine.isRunning()) ? this.#handle(engine) : undefined;
  }

  /** The tools of the running engine, or else those in the cache; undefined: nothing was built yet. */
  async #existingTools(machine: Machine): Promise<Tools | undefined> {
    const used = await Engine.toolsInUse(this.#paths);
    const folder = used ?? this.#toolsFolder(machine);
    return existsSync(folder) ? toolsIn(folder, machine) : undefined;
  }

  #toolsFolder(machine: Machine): string {
    return placeOf(this.#paths.steps, toolsStep(new Apt(this.#paths), machine)).folder;
  }

  /** Stops an engine that another version of this program started: its tools would be replaced while they run. */
  async #endOtherVersion(machine: Machine, progress: Progress): Promise<void> {
    const used = await Engine.toolsInUse(this.#paths);
    if (used === undefined || used === this.#toolsFolder(machine)) return;
    const engine = new Engine(this.#paths, toolsIn(used, machine));
    await engine.refuseForeign();
    await progress.step("Stopping the lab of another version", async () => await engine.stop());
  }

  #handle(engine: Engine): ClusterHandle {
    return {
      provider: this.name,
      kubeconfigPath: kubeconfigPath(this.#paths),
      context: CLUSTER_CONTEXT,
      kindName: CLUSTER_NAME,
      env: engine.env,
      engineCommand: engine.client,
    };
  }
}

async function describeCache(paths: LabPaths): Promise<string> {
  const size = await ask("du", ["-s", "-h", "-x", paths.cache], { timeoutMs: 60_000 });
  const text = size.stdout.split("\t")[0] ?? "";
  return `cache: ${paths.cache}, ${text === "" ? "empty" : text}`;
}
