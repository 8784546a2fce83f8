import { UsageError, type ExitCode } from "../common/errors.js";
import { loadLocalConfig } from "../config/local-config.js";
import { podSettingsOf, withSets } from "../config/pod-settings.js";
import { ALIASES } from "../experiment/aliases.js";
import { COMPONENTS, type ComponentName } from "../experiment/names.js";
import { parseDurationMs } from "../experiment/schema.js";
import { heal as healComponent } from "../heal/heal.js";
import { externalOf } from "../run/probing/external.js";
import type { Watchdog } from "../safety/watchdog.js";
import { didYouMean } from "../strict-yaml/near.js";
import type { RunView } from "../ui/base.js";
import type { HealFlags } from "./program.js";
import { selectCluster, type SelectOptions } from "./select-cluster.js";

export interface HealCommandOptions extends Omit<HealFlags, "context" | "kubeconfig" | "watchdog"> {
  readonly component: string;
  readonly select: Omit<SelectOptions, "progress" | "signal" | "ask">;
  readonly view: RunView;
  readonly interrupted: AbortSignal;
  /** Aborted when the user ends the removal of the probers, too. */
  readonly abandoned?: AbortSignal;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly toolVersion: string;
  readonly ask?: (question: string) => Promise<boolean>;
  /** The command line that names and confirms a context. */
  readonly allowing: (context: string) => string;
  readonly onJournal?: (id: string) => void;
  readonly watchdog?: Watchdog;
  /** How long is measured before and after, ms. Default: 10 s. */
  readonly measureMs?: number;
}

const MEASURE_MS = 10_000;

/**
 * `chaos heal`: deletes the pods of a component one at a time, each replaced before the next, and measures before and
 * after.
 */
export async function heal(options: HealCommandOptions): Promise<ExitCode> {
  const component = componentOf(options.component);
  const external = externalOf(options.external);
  const limitMs = timeoutOf(options.timeout);
  const podSettings = withSets(
    podSettingsOf(await loadLocalConfig(options.config, options.env)),
    options.set,
  );
  const { select, view, interrupted, measureMs = MEASURE_MS } = options;
  const handle = await selectCluster({
    provider: "current",
    ...select,
    dryRun: options.dryRun,
    progress: view,
    signal: interrupted,
  });
  const { exitCode, lines, summary } = await healComponent({
    ...{ handle, component, external, limitMs, podSettings, measureMs, view, interrupted },
    allowLast: options.allowLast,
    disableEviction: options.disableEviction,
    dryRun: options.dryRun,
    env: options.env,
    toolVersion: options.toolVersion,
    allowing: options.allowing,
    confirm: async () => {
      const { context } = select;
      if (context === undefined) return false;
      const question = `Replace the pods of ${component} in context ${context}, one at a time?`;
      return options.yes || (await options.ask?.(question)) === true;
    },
    ...(options.abandoned === undefined ? {} : { abandoned: options.abandoned }),
    ...(options.onJournal === undefined ? {} : { onJournal: options.onJournal }),
    ...(options.watchdog === undefined ? {} : { watchdog: options.watchdog }),
  });
  view.result(lines, summary);
  return exitCode;
}

/** @throws UsageError */
function componentOf(text: string): ComponentName {
  const known = COMPONENTS.find((name) => name === text);
  if (known !== undefined) return known;
  const near = didYouMean(text, COMPONENTS, ALIASES) || ".";
  throw new UsageError(
    `there is no component ${JSON.stringify(text)}${near} The components are ${COMPONENTS.join(", ")}`,
  );
}

/** @throws UsageError */
function timeoutOf(text: string): number {
  const ms = parseDurationMs(text);
  if (ms !== undefined && ms >= 1_000) return ms;
  throw new UsageError(
    `--timeout must be a duration of at least 1s, such as 5m; found ${JSON.stringify(text)}`,
  );
}
