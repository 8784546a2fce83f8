import { join } from "node:path";
import { packageRoot } from "../common/package-root.js";
import { absoluteFrom, userFolder } from "../common/places.js";

/** The folder with the socket and configuration of the containerd that unpacks the images for the nodes. */
export function unpackFolder(paths: LabPaths): string {
  return join(paths.run, "unpack");
}

/** Every path on the machine that the lab writes to. It changes nothing else. */
export interface LabPaths {
  /** The package's own folder, with kind-config.yaml. */
  readonly root: string;
  /** Sources that ship with the package: scripts, units, manifests, pages. */
  readonly assets: string;
  /** Everything that `down` keeps and `down --purge` removes. */
  readonly cache: string;
  /** One folder for each finished build step. */
  readonly steps: string;
  /** The lab's own apt lists and sources. */
  readonly apt: string;
  /** The Go modules' committed go.mod and go.sum files, and the project's own Go programs. */
  readonly goModules: string;
  /** Go's caches for downloads (mod) and builds (build): with them, an interrupted build continues where it stopped. */
  readonly goCache: string;
  /** The data root of the lab's own container engine. */
  readonly engineData: string;
  /** The data root of the engine's containerd. */
  readonly containerdData: string;
  /** Logs of the engine. */
  readonly logs: string;
  /** The kubeconfig and the record of the created cluster. */
  readonly state: string;
  /** Sockets and process ids. Gone after a reboot, as they should be. */
  readonly run: string;
}

/** The lab's cache folder: below $KUBE_SYSTEM_CHAOS_CACHE, or below the user's cache folder. */
export function cacheFolder(env: NodeJS.ProcessEnv): string {
  return join(absoluteFrom(env, "KUBE_SYSTEM_CHAOS_CACHE") ?? userFolder("cache", env), "lab");
}

export function labPaths(env: NodeJS.ProcessEnv = process.env): LabPaths {
  const root = packageRoot();
  const cache = cacheFolder(env);
  return {
    root,
    assets: join(root, "src/lab/assets"),
    cache,
    steps: join(cache, "steps"),
    apt: join(cache, "apt"),
    goModules: join(root, "src/lab/go"),
    goCache: join(cache, "go"),
    engineData: join(cache, "engine/docker"),
    containerdData: join(cache, "engine/containerd"),
    logs: join(cache, "logs"),
    state: join(cache, "state"),
    // A fixed path: unix socket paths are limited to 107 bytes, and there is one lab per machine.
    run: "/run/kube-system-chaos-lab",
  };
}
