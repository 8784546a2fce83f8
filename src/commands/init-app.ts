/** `chaos init --app NAMESPACE/SERVICE`: writes an experiment for the user's own application, and proves its probes. */
import { ExitCode, UsageError } from "../common/errors.js";
import type { RunView } from "../ui/base.js";
import type { SelectOptions } from "./select-cluster.js";

export interface InitAppOptions {
  /** "NAMESPACE/SERVICE", or "NAMESPACE/SERVICE:PORT" with the port's number or name. */
  readonly app: string;
  /** Gets the experiment file. */
  readonly folder: string;
  readonly select: Omit<SelectOptions, "progress" | "signal" | "ask" | "dryRun">;
  readonly view: RunView;
  /** Aborted by the first signal. */
  readonly interrupted: AbortSignal;
  /** Replaces a file that exists. Default: refuse. */
  readonly force?: boolean;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The local configuration file; undefined: the default one, if it exists. */
  readonly configFile?: string | undefined;
  /** Whether a context that is not local was named and confirmed. */
  readonly confirm: () => Promise<boolean>;
  /** The command line that names and confirms a context. */
  readonly allowing: (context: string) => string;
}

/** @returns asExpected: the samples are good; differs: some are not. @throws UsageError, RefusedError */
export async function initApp({ app }: InitAppOptions): Promise<ExitCode> {
  throw new UsageError(`--app ${app}: not available yet`);
}
