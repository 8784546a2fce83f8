import { join } from "node:path";
import { packageRoot } from "../common/package-root.js";
import { absoluteFrom, userFolder } from "../common/places.js";

/** Where the containerd that unpacks the images for the nodes has its socket and configuration. */
export function unpackFolder(paths: LabPaths): string {
  return join(paths.run, "unpack");
}

/** Every place on the machine that the lab writes to. Nothing else is touched. */
export interface LabPaths {
  /** The package's own folder, where kind-config.yaml is. */
  readonly root: string;
  /** Sources that ship with the package: Dockerfiles, units, manifests, programs. */
  readonly assets: string;
  /** Everything that survives `down`; `down --purge` removes it. */
  readonly cache: string;
  /** One folder per finished build step. */
  readonly steps: string;
  /** apt's lists and sources for the lab alone. */
  readonly apt: string;
  /** Go's own build cache: it makes an interrupted compilation go on where it was. */
  readonly goCache: string;
  /** The data root of the lab's own container engine. */
  readonly engineData: string;
  /** The data root of the containerd below it. */
  readonly containerdData: string;
  /** Logs of the engine. */
  readonly logs: string;
  /** The kubeconfig and what is known of the cluster that was made. */
  readonly state: string;
  /** Sockets and process ids; gone after a restart of the machine, as they should be. */
  readonly run: string;
}

/** The folder for everything the lab keeps: $KUBE_SYSTEM_CHAOS_CACHE, or below the user's cache folder. */
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
    goCache: join(cache, "go-cache"),
    engineData: join(cache, "engine/docker"),
    containerdData: join(cache, "engine/containerd"),
    logs: join(cache, "logs"),
    state: join(cache, "state"),
    // A fixed place: unix socket paths are limited to 107 bytes, and there is one lab per machine.
    run: "/run/kube-system-chaos-lab",
  };
}
