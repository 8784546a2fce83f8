/** `chaos manifest`: a Job or CronJob that runs experiments inside the cluster. */
import type { ReferenceOptions } from "../load/read.js";
import { UsageError } from "../common/errors.js";
import { quoted } from "../common/shell-word.js";
import { resolveExperiment } from "../components/resolve.js";
import { type PodSettings, podSettingsOf, withSets } from "../config/pod-settings.js";
import { isControl } from "../experiment/attacks.js";
import type { Loaded } from "../load/choose.js";
import { loadGood } from "../load/load-files.js";
import type { PullSecret } from "../own/pod-spec.js";
import { formsOfTarget } from "../rbac/scope.js";
import { runnerObjects } from "./manifest-objects.js";
import { accountOf, experimentLines, nameOf, rightsText } from "./rbac-command.js";

export interface ManifestOptions extends ReferenceOptions {
  /** Files, folders, or names of experiments. */
  readonly references: readonly string[];
  /** The image with this tool. */
  readonly image?: string;
  /** A cron schedule; undefined: a Job that runs once. */
  readonly schedule?: string;
  readonly timeZone?: string;
  readonly name?: string;
  /** "NAMESPACE/NAME"; default: `kube-system-chaos/kube-system-chaos`. */
  readonly serviceAccount?: string;
  readonly nodeAccess?: "pod";
  readonly openshift?: boolean;
  /** "KEY=VALUE": settings of the run's pods. */
  readonly set: readonly string[];
  /** A PersistentVolumeClaim for the reports. */
  readonly reportsClaim?: string;
  readonly deadMan: boolean;
}

/** A CronJob's Jobs have 11 more characters (ValidateCronJobSpec), and a Job's name is a label of its pods. */
const LONGEST_NAME = { CronJob: 52, Job: 63 } as const;

/** As the API server's parser (robfig/cron, ParseStandard): five fields, or a name. It checks the values itself. */
const SCHEDULE = /^(@(yearly|annually|monthly|weekly|daily|midnight|hourly)|@every \S+|\S+( +\S+){4})$/;
const LABEL = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;

/**
 * The rights as `chaos rbac` prints them, the experiment files and the Job, as YAML for `kubectl apply -f`. Needs no
 * cluster.
 *
 * @throws UsageError when a file or a flag is bad, or when an experiment cannot run inside the cluster.
 */
export async function manifest(options: ManifestOptions): Promise<string> {
  const { image = "", schedule, deadMan, nodeAccess, openshift, serviceAccount, set, reportsClaim } = options;
  const good = await loadGood(options.references, options);
  const loaded = good.map(({ file, experiment }) => ({ file, resolved: resolveExperiment(experiment) }));
  for (const each of loaded) checkReachable(each, nodeAccess === "pod");
  // As `chaos run` reads them: a bad one must not fail at night.
  const pullSecrets = pullSecretsOf(withSets(podSettingsOf({}), set));
  if (image === "")
    throw new UsageError(
      "--image is missing: name the image that has this tool, built from its package with Node 20.19 or newer",
    );
  if (/\s/.test(image))
    throw new UsageError(
      `--image names no image: ${JSON.stringify(image)}. Name the image that has this tool`,
    );
  const name = checkedName(options.name ?? nameOf(loaded), schedule === undefined ? "Job" : "CronJob");
  if (reportsClaim !== undefined && !LABEL.test(reportsClaim))
    throw new UsageError(`--reports-claim ${JSON.stringify(reportsClaim)} cannot be the name of a claim`);
  const more = runnerObjects({
    name,
    image,
    account: accountOf(serviceAccount),
    experiments: good.map(({ experiment, text }) => ({
      name: experiment.metadata.name,
      text,
      phases: experiment.phases,
    })),
    arguments: [
      ...(nodeAccess === undefined ? [] : ["--node-access", nodeAccess]),
      ...(deadMan ? ["--dead-man"] : []),
      ...set.flatMap((each) => ["--set", each]),
    ],
    schedule: scheduleOf(options),
    reportsClaim,
    pullSecrets,
  });
  const rights = {
    references: options.references,
    deadMan,
    pullSecrets,
    ...(nodeAccess === undefined ? {} : { nodeAccess }),
    ...(openshift === undefined ? {} : { openshift }),
    ...(serviceAccount === undefined ? {} : { serviceAccount }),
  };
  return rightsText(loaded, rights, { head: headOf(loaded, options), more });
}

function pullSecretsOf({ imagePullSecrets = [] }: PodSettings): PullSecret[] {
  return imagePullSecrets.map((each) => {
    const [namespace = "", name = ""] = each.split("/");
    return { namespace, name };
  });
}

/** Refuses what no pod of the cluster could take down and restore. */
function checkReachable({ file, resolved }: Loaded, privilegedPods: boolean): void {
  const forms = formsOfTarget(resolved);
  const onNodes =
    forms.length > 0 && forms.every(({ kind }) => kind === "StaticPod" || kind === "SystemdUnit");
  if (!onNodes || isControl(resolved.attack)) return;
  const name = resolved.component?.name ?? resolved.experiment.metadata.name;
  if (resolved.component?.carriesApi === true)
    throw new UsageError(
      `${file}: ${name} cannot be taken down from inside the cluster: its pods reach the nodes through the API server, ` +
        "which would be away, so nothing could restore it. Run this experiment from a machine that reaches the nodes in another way",
    );
  if (!privilegedPods)
    throw new UsageError(
      `${file}: ${name} is taken down on its nodes, and only privileged pods reach them from inside the cluster. Add --node-access pod`,
    );
}

function checkedName(name: string, kind: "Job" | "CronJob"): string {
  if (!LABEL.test(name))
    throw new UsageError(`${JSON.stringify(name)} cannot be the name of a ${kind}. Name another with --name`);
  if (name.length > LONGEST_NAME[kind])
    throw new UsageError(
      `the name ${name} has ${name.length} characters, but that of a ${kind} can have only ${LONGEST_NAME[kind]}. Name a shorter one with --name`,
    );
  return name;
}

function scheduleOf({ schedule, timeZone }: ManifestOptions): { cron: string; timeZone: string } | undefined {
  if (schedule === undefined) {
    if (timeZone !== undefined)
      throw new UsageError("--time-zone is the time zone of --schedule: add a schedule");
    return undefined;
  }
  if (!SCHEDULE.test(schedule))
    throw new UsageError(
      `--schedule ${JSON.stringify(schedule)} is no cron schedule: it has five fields (minute, hour, day of month, month, day of week), such as "0 3 * * 1"`,
    );
  return { cron: schedule, timeZone: checkedZone(timeZone ?? "Etc/UTC") };
}

function checkedZone(timeZone: string): string {
  try {
    new Intl.DateTimeFormat("en", { timeZone });
    return timeZone;
  } catch (cause) {
    throw new UsageError(
      `--time-zone ${JSON.stringify(timeZone)} is not known. Name one of the IANA time zones, such as Europe/Berlin`,
      { cause },
    );
  }
}

function headOf(loaded: readonly Loaded[], options: ManifestOptions): string[] {
  const flag = (name: string, value: string | undefined): string[] =>
    value === undefined ? [] : [`${name} ${quoted(value)}`];
  const flags = [
    ...flag("--image", options.image),
    ...flag("--schedule", options.schedule),
    ...flag("--time-zone", options.timeZone),
    ...flag("--name", options.name),
    ...flag("--service-account", options.serviceAccount),
    ...flag("--node-access", options.nodeAccess),
    ...(options.openshift === true ? ["--openshift"] : []),
    ...options.set.flatMap((each) => flag("--set", each)),
    ...flag("--reports-claim", options.reportsClaim),
    ...(options.deadMan ? [] : ["--no-dead-man"]),
  ];
  return [
    `Runs inside the cluster, ${options.schedule === undefined ? "once" : "by schedule"}:`,
    ...experimentLines(loaded),
    `Printed by: ${["chaos manifest", ...loaded.map(({ file }) => quoted(file)), ...flags].join(" ")}`,
    "Workloads have their usual names. If a workload has another name in your cluster, the run refuses and its log names the missing permission: replace the name in here.",
  ];
}
