import type { ClusterHandle } from "../clusters/provider.js";
import { loadLocalConfig } from "../config/local-config.js";
import { podSettingsOf, withSets } from "../config/pod-settings.js";
import type { Finding } from "../doctor/finding.js";
import { probeFindings, type ProbeOptions } from "../doctor/probe.js";
import { externalOf } from "../run/probing/external.js";

export interface DoctorProbeOptions extends Omit<
  ProbeOptions,
  "handle" | "external" | "podSettings" | "confirm"
> {
  /** --external: a host name, or none. */
  readonly external: string;
  /** --config and --set: the image of the probers. */
  readonly config?: string;
  readonly set: readonly string[];
  /** --context and --yes: both are needed for a cluster that is not local. */
  readonly context?: string | undefined;
  readonly yes: boolean;
  readonly ask?: (question: string) => Promise<boolean>;
}

/**
 * What `chaos doctor --probe` finds, besides what it reads. Bad flags are refused before anything is created.
 *
 * @throws UsageError when a flag is bad; the errors of `probeFindings`.
 */
export function doctorProbe(options: DoctorProbeOptions): (handle: ClusterHandle) => Promise<Finding[]> {
  const { external: name, config, set, context, yes, ask, ...common } = options;
  const external = externalOf(name);
  return async (handle) => {
    const podSettings = withSets(podSettingsOf(await loadLocalConfig(config, options.env)), set);
    return await probeFindings({
      ...common,
      handle,
      external,
      podSettings,
      confirm: async () => {
        if (context === undefined) return false;
        return yes || (await ask?.(`Deploy probers in context ${context} for a minute?`)) === true;
      },
    });
  };
}
