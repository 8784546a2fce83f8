import type { Progress } from "../common/progress.js";

export type ProviderName = "current" | "kind" | "lab";

/** How to reach a cluster that a provider has brought up (or found). */
export interface ClusterHandle {
  readonly provider: ProviderName;
  /** Path of the kubeconfig file; undefined means the default resolution (KUBECONFIG, ~/.kube/config). */
  readonly kubeconfigPath?: string;
  /** The context inside it. */
  readonly context: string;
  /** For kind and lab: kind's cluster name. */
  readonly kindName?: string;
  /** Environment for docker, kind and kubectl children (DOCKER_HOST of the lab's own engine, say). */
  readonly env: Readonly<Record<string, string>>;
  /** Absolute path (or name on PATH) of the container engine's client that reaches the nodes, if any. */
  readonly engineCommand?: string;
}

/** One line of `chaos cluster status`. */
export interface ClusterStatus {
  readonly provider: ProviderName;
  readonly running: boolean;
  /** What is there, for people: nodes, versions, where the cache is and how large. */
  readonly details: readonly string[];
  /** Images that carry a public name here but are not the public image, with what they are. */
  readonly standIns: readonly SubstituteImage[];
}

/** A stand-in image: it carries a public image's name and does its job, and says that it is not it. */
export interface SubstituteImage {
  readonly image: string;
  /** What it really is, from the image's label. */
  readonly description: string;
}

export interface UpOptions {
  readonly progress: Progress;
  readonly signal?: AbortSignal;
}

export interface DownOptions {
  readonly progress: Progress;
  /** Also remove what is cached outside the tree. */
  readonly purge: boolean;
}

/** Brings a cluster up, takes it down, says how it is. */
export interface ClusterProvider {
  readonly name: ProviderName;
  /** Idempotent: a running cluster is reused; one that is not whole, or not what it would be now, is made anew. */
  up(options: UpOptions): Promise<ClusterHandle>;
  down(options: DownOptions): Promise<void>;
  status(): Promise<ClusterStatus>;
  /** How to reach its cluster, whole or not; undefined: there is none. Changes nothing, and is quick. */
  find(): Promise<ClusterHandle | undefined>;
}
