import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { execa, type ResultPromise } from "execa";
import { ChaosError, messageOf, RefusedError } from "../common/errors.js";
import { packageRoot } from "../common/package-root.js";
import { userFolder } from "../common/places.js";
import type {
  ClusterHandle,
  ClusterProvider,
  ClusterStatus,
  DownOptions,
  SubstituteImage,
  UpOptions,
} from "./provider.js";

/** The cluster's name in kind, as in kind-config.yaml. */
const CLUSTER_NAME = "kube-system-chaos";

/**
 * The default node image of kind 0.27.0, as its source (pkg/apis/config/defaults) pins it. Later releases of kind run
 * it too.
 */
const NODE_IMAGE =
  "kindest/node:v1.32.2@sha256:f226345927d7e348497136874b6d207e0b32cc52154ad8323129352923a3142f";

/** Includes pulling the node image over a slow network (guess). */
const CREATE_LIMIT_MS = 15 * 60_000;

type EngineName = "docker" | "podman";

async function answers(command: string, args: readonly string[]): Promise<boolean> {
  const result = await execa(command, args, { timeout: 15_000, reject: false, stdin: "ignore" });
  return result.exitCode === 0;
}

/** A kind cluster with an installed Docker or Podman and an installed kind, from public images. */
export function createKindProvider(): ClusterProvider {
  // Kept apart from the user's own kubeconfigs.
  return new KindProvider(join(userFolder("state", process.env), "kind", "kubeconfig"));
}

class KindProvider implements ClusterProvider {
  readonly name = "kind";
  readonly #kubeconfig: string;

  constructor(kubeconfig: string) {
    this.#kubeconfig = kubeconfig;
  }

  /**
   * @throws RefusedError when no engine answers or kind is not installed.
   * @throws ChaosError when kind fails.
   */
  async up({ progress, signal }: UpOptions): Promise<ClusterHandle> {
    const engine = await this.#engine();
    const env = kindEnv(engine);
    await mkdir(join(this.#kubeconfig, ".."), { recursive: true });
    if (await this.#exists(env)) {
      await this.#kind(["export", "kubeconfig", "--name", CLUSTER_NAME], { env, timeoutMs: 60_000 });
      return this.#handle(engine, env);
    }
    await progress.step(`Creating the cluster ${CLUSTER_NAME} with kind and ${engine}`, async (note) => {
      const child = this.#kind(
        ["create", "cluster", "--config", "kind-config.yaml", "--image", NODE_IMAGE, "--wait", "3m"],
        { env, timeoutMs: CREATE_LIMIT_MS, ...(signal === undefined ? {} : { signal }) },
      );
      child.stderr?.on("data", (chunk: Buffer) => note(chunk.toString().trim().split("\n").at(-1) ?? ""));
      try {
        await child;
      } catch (error) {
        throw new ChaosError("kind could not create the cluster; the output of kind names the reason", {
          cause: error,
        });
      }
    });
    return this.#handle(engine, env);
  }

  async down({ progress }: DownOptions): Promise<void> {
    const env = kindEnv(await this.#engine());
    await progress.step(`Deleting the cluster ${CLUSTER_NAME}`, async () => {
      try {
        await this.#kind(["delete", "cluster", "--name", CLUSTER_NAME], { env, timeoutMs: 180_000 });
      } catch (error) {
        throw new ChaosError("kind could not delete the cluster", { cause: error });
      }
      await rm(this.#kubeconfig, { force: true });
    });
  }

  async status(): Promise<ClusterStatus> {
    const standIns: readonly SubstituteImage[] = [];
    try {
      const engine = await this.#engine();
      const running = await this.#exists(kindEnv(engine));
      const details = [
        `container engine: ${engine}`,
        running ? `kubeconfig: ${this.#kubeconfig}` : `no cluster named ${CLUSTER_NAME}`,
      ];
      return { provider: this.name, running, details, standIns };
    } catch (error) {
      return { provider: this.name, running: false, details: [messageOf(error)], standIns };
    }
  }

  async find(): Promise<ClusterHandle | undefined> {
    try {
      const engine = await this.#engine();
      const env = kindEnv(engine);
      return (await this.#exists(env)) ? this.#handle(engine, env) : undefined;
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      return undefined;
    }
  }

  /** The engine that answers, Docker first. KIND_EXPERIMENTAL_PROVIDER, when set, decides. */
  async #engine(): Promise<EngineName> {
    if (!(await answers("kind", ["version"]))) {
      throw new RefusedError(
        "kind was not found on PATH. Install it (https://kind.sigs.k8s.io), or on Debian 12 use the lab provider.",
      );
    }
    const wanted = process.env["KIND_EXPERIMENTAL_PROVIDER"];
    const names: readonly EngineName[] =
      wanted === "docker" || wanted === "podman" ? [wanted] : ["docker", "podman"];
    for (const name of names) if (await answers(name, ["info"])) return name;
    throw new RefusedError(
      `no container engine answers (tried: ${names.map((name) => `${name} info`).join(", ")}). ` +
        "Start Docker or Podman, or on Debian 12 use the lab provider.",
    );
  }

  async #exists(env: Record<string, string>): Promise<boolean> {
    const listed = await execa("kind", ["get", "clusters"], { env, timeout: 30_000, reject: false });
    return listed.exitCode === 0 && (listed.stdout ?? "").split("\n").includes(CLUSTER_NAME);
  }

  #kind(
    args: readonly string[],
    options: { env: Record<string, string>; timeoutMs: number; signal?: AbortSignal },
  ): ResultPromise {
    return execa("kind", [...args, "--kubeconfig", this.#kubeconfig], {
      // kind-config.yaml has the audit policy's path relative to the package.
      cwd: packageRoot(),
      env: options.env,
      timeout: options.timeoutMs,
      stdin: "ignore",
      ...(options.signal === undefined ? {} : { cancelSignal: options.signal }),
    });
  }

  #handle(engine: EngineName, env: Record<string, string>): ClusterHandle {
    return {
      provider: this.name,
      kubeconfigPath: this.#kubeconfig,
      context: `kind-${CLUSTER_NAME}`,
      kindName: CLUSTER_NAME,
      env,
      engineCommand: engine,
    };
  }
}

function kindEnv(engine: EngineName): Record<string, string> {
  return { KIND_EXPERIMENTAL_PROVIDER: engine };
}
