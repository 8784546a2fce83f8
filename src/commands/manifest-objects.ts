/** The objects that run experiments inside the cluster: a ConfigMap with the files, and a Job or CronJob. Pure. */
import type { Experiment } from "../experiment/schema.js";
import { UsageError } from "../common/errors.js";
import { IN_CLUSTER_CONTEXT } from "../kube/kubeconfig/in-cluster.js";
import { CONTAINER_SECURITY, NODE_USER, podSecurity, pulledWith, type PullSecret } from "../own/pod-spec.js";
import type { CommentedObject, ServiceAccountName } from "../rbac/role-manifests.js";
import { CALM_LIMIT_MS } from "../run/phases/calm.js";
import { SETTLE_LIMIT_MS } from "../run/phases/settle.js";

export interface RunnerInput {
  /** Of the ConfigMap and of the Job or CronJob. */
  readonly name: string;
  readonly image: string;
  /** The Job's namespace is that of its account. */
  readonly account: ServiceAccountName;
  readonly experiments: readonly RunnerExperiment[];
  /** More arguments of `chaos run`. */
  readonly arguments: readonly string[];
  /** undefined: a Job. */
  readonly schedule: { readonly cron: string; readonly timeZone: string } | undefined;
  /** undefined: the reports go with the pod. */
  readonly reportsClaim: string | undefined;
  /** Those in the Job's namespace are also for its own image. */
  readonly pullSecrets: readonly PullSecret[];
}

interface RunnerExperiment {
  readonly name: string;
  /** The file's content. */
  readonly text: string;
  readonly phases: Pick<Experiment["phases"], "baseline" | "window" | "recovery">;
}

/**
 * No managed-by label: a run's end removes what has it in the prepared namespaces, and the Job can be there.
 */
const LABELS = { "app.kubernetes.io/name": "kube-system-chaos-runner" } as const;

/** Pulling images and deploying before the first experiment, and removing everything after the last. A guess, ms. */
const AROUND_MS = 15 * 60_000;
/** How long the end of a run may take besides its recovery: removals, reports. A guess, ms. */
const END_MS = 3 * 60_000;

const WEEK_SECONDS = 7 * 24 * 3_600;
/** A run that could not start in this time is left out: nobody expects it in the middle of the day. */
const LATEST_START_SECONDS = 600;

export function runnerObjects(input: RunnerInput): CommentedObject[] {
  const { name, account, experiments, schedule } = input;
  const metadata = { name, namespace: account.namespace, labels: LABELS };
  const job = jobSpec(input);
  const files = {
    object: { apiVersion: "v1", kind: "ConfigMap", metadata, data: filesOf(experiments) },
    why: ["The experiment files."],
  };
  if (schedule === undefined) {
    const spec = { ...job, ttlSecondsAfterFinished: WEEK_SECONDS };
    const again = `A Job cannot be changed: before applying it again, kubectl -n ${account.namespace} delete job ${name}`;
    return [files, { object: { apiVersion: "batch/v1", kind: "Job", metadata, spec }, why: [...WHY, again] }];
  }
  const spec = {
    schedule: schedule.cron,
    timeZone: schedule.timeZone,
    concurrencyPolicy: "Forbid",
    startingDeadlineSeconds: LATEST_START_SECONDS,
    successfulJobsHistoryLimit: 3,
    failedJobsHistoryLimit: 7,
    jobTemplate: { metadata: { labels: LABELS }, spec: job },
  };
  const now = `Now: kubectl -n ${account.namespace} create job now --from=cronjob/${name}`;
  return [files, { object: { apiVersion: "batch/v1", kind: "CronJob", metadata, spec }, why: [...WHY, now] }];
}

const WHY = [
  "Succeeds if every experiment ends as its file expects; otherwise it fails with the exit code of `chaos run`. It is " +
    "never repeated. When its pod is asked to end, it restores first.",
];

function filesOf(experiments: readonly RunnerExperiment[]): Record<string, string> {
  const files: Record<string, string> = {};
  for (const { name, text } of experiments) {
    const file = `${name}.yaml`;
    if (file in files)
      throw new UsageError(
        `two experiments have the name ${name}: inside the cluster their files would have one name. Rename one`,
      );
    files[file] = text;
  }
  return files;
}

/** The longest time of all phases (a disturbed baseline is repeated once), with what is around them, seconds. */
function deadlineSeconds(experiments: readonly RunnerExperiment[]): number {
  const phases = experiments.map(
    ({ phases: { baseline, window, recovery } }) =>
      2 * baseline + CALM_LIMIT_MS + window + recovery + 2 * SETTLE_LIMIT_MS,
  );
  return Math.ceil(phases.reduce((sum, each) => sum + each, AROUND_MS) / 1000);
}

function jobSpec(input: RunnerInput): Record<string, unknown> {
  const { account, image, experiments, reportsClaim } = input;
  const recovery = Math.max(...experiments.map(({ phases }) => phases.recovery));
  return {
    // A second pod would attack again, or be refused because the first has left something behind.
    backoffLimit: 0,
    activeDeadlineSeconds: deadlineSeconds(experiments),
    template: {
      metadata: {
        labels: LABELS,
        annotations: { "cluster-autoscaler.kubernetes.io/safe-to-evict": "false" },
      },
      spec: {
        restartPolicy: "Never",
        serviceAccountName: account.name,
        automountServiceAccountToken: true,
        enableServiceLinks: false,
        // Asked to end, the runner restores: it needs that time.
        terminationGracePeriodSeconds: Math.ceil((recovery + END_MS) / 1000),
        nodeSelector: { "kubernetes.io/os": "linux" },
        // A node that is NotReady because its kubelet was taken down must not evict the runner.
        tolerations: ["not-ready", "unreachable"].map((state) => ({
          key: `node.kubernetes.io/${state}`,
          operator: "Exists",
          effect: "NoExecute",
        })),
        ...pulledWith(input.pullSecrets.filter(({ namespace }) => namespace === account.namespace)),
        // The group may write to the volume of the reports.
        securityContext: { ...podSecurity(NODE_USER), fsGroup: NODE_USER },
        containers: [
          {
            name: "chaos",
            image,
            imagePullPolicy: "IfNotPresent",
            command: ["chaos"],
            args: [
              "run",
              "/experiments",
              "--plain",
              // A cluster that is not local must be named and confirmed.
              "--context",
              IN_CLUSTER_CONTEXT,
              "--yes",
              // A container's processes end with the first one, a watchdog, too.
              "--no-watchdog",
              "--reports",
              "/reports",
              ...input.arguments,
            ],
            env: [{ name: "HOME", value: "/work" }],
            workingDir: "/work",
            terminationMessagePolicy: "FallbackToLogsOnError",
            resources: { requests: { cpu: "100m", memory: "256Mi" }, limits: { memory: "512Mi" } },
            securityContext: { ...CONTAINER_SECURITY, readOnlyRootFilesystem: true },
            volumeMounts: [
              { name: "experiments", mountPath: "/experiments", readOnly: true },
              { name: "work", mountPath: "/work" },
              { name: "tmp", mountPath: "/tmp" },
              { name: "reports", mountPath: "/reports" },
            ],
          },
        ],
        volumes: [
          { name: "experiments", configMap: { name: input.name } },
          { name: "work", emptyDir: {} },
          { name: "tmp", emptyDir: {} },
          reportsClaim === undefined
            ? { name: "reports", emptyDir: {} }
            : { name: "reports", persistentVolumeClaim: { claimName: reportsClaim } },
        ],
      },
    },
  };
}
