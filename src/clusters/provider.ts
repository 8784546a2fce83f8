import type { Progress } from "../common/progress.js";

export type ProviderName = "current" | "kind" | "lab";

/** How to reach a cluster that a provider has started or found. */
export interface ClusterHandle {
  readonly provider: ProviderName;
  /** Path of the kubeconfig file; undefined means the default resolution (KUBECONFIG, ~/.kube/config). */
  readonly kubeconfigPath?: string;
  /** The context inside it. */
  readonly context: string;
  /** For kind and lab: kind's cluster name. */
  readonly kindName?: string;
  /** Environment for docker, kind and kubectl child processes, such as DOCKER_HOST of the lab's own engine. */
  readonly env: Readonly<Record<string, string>>;
  /** Absolute path (or name on PATH) of the container engine's client that reaches the nodes, if any. */
  readonly engineCommand?: string;
}

/** One line of `chaos cluster status`. */
export interface ClusterStatus {
  readonly provider: ProviderName;
  readonly running: boolean;
  /** Human-readable facts: nodes, versions, the cache's path and size. */
  readonly details: readonly string[];
  /** Substitute images in use, with what they really are. */
  readonly standIns: readonly SubstituteImage[];
}

/** A substitute image: it has a public image's name and function, and a label that says that it is a substitute. */
export interface SubstituteImage {
  readonly image: string;
  /** What it really is, from the image's label. */
  readonly description: string;
}

export interface UpOptions {
  readonly progress: Progress;
  readonly signal?: AbortSignal;
  /** For kind: the node image of a new cluster. Default: kind's own. */
  readonly image?: string;
}

export interface DownOptions {
  readonly progress: Progress;
  /** Also remove the caches outside the source tree. */
  readonly purge: boolean;
}

/** Starts, deletes and inspects a cluster. */
export interface ClusterProvider {
  readonly name: ProviderName;
  /** Idempotent: reuses a running cluster; recreates its own one if that is incomplete. */
  up(options: UpOptions): Promise<ClusterHandle>;
  down(options: DownOptions): Promise<void>;
  status(): Promise<ClusterStatus>;
  /** How to reach its cluster, complete or not; undefined: there is none. Changes nothing, and is fast. */
  find(): Promise<ClusterHandle | undefined>;
}
