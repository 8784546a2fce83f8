/**
 * The facts of each function check that need no cluster: its times, and the phrases for a lost and for a kept function.
 * The checks themselves are in probes/functions/.
 */
import type { Bilingual } from "../common/language.js";
import type { ComponentName } from "../experiment/names.js";

export interface FunctionFacts {
  /** What `present` means, for the report: one sentence. */
  readonly means: string;
  /** Deadline of one check, ms: after it the function counts as absent. */
  readonly deadlineMs: number;
  /** Pause between two checks, ms. */
  readonly everyMs: number;
  /**
   * The check itself may disturb the application (a surplus replica of the cluster's DNS) or what is measured of it (pods
   * that are replaced on every node). So it does not run in the baseline and in the window, but before the baseline and
   * after the window, while the component is still kept down.
   */
  readonly disturbs: boolean;
  /** The workload of kube-system that it sets wrong, to see the component correct it. */
  readonly corrects?: {
    readonly component: ComponentName;
    readonly resource: "apps/deployments" | "apps/daemonsets";
    readonly labels: Readonly<Record<string, string>>;
  };
  /** The Japanese text ends in a verb's plain form: 「…ことがある」 can follow. */
  readonly lost: Bilingual;
  readonly kept: Bilingual;
  /** What arrives late or never, if the function forwards something. */
  readonly forwards?: Bilingual;
}

const FACTS = {
  "node-runs-pods": {
    means: "on every attacked node a new pod starts and a deleted pod ends within 12 s",
    deadlineMs: 12_000,
    everyMs: 2_000,
    disturbs: false,
    lost: { en: "pods can be neither started nor deleted", ja: "Podの起動も削除もできない" },
    kept: { en: "starting and deleting pods still works", ja: "Podの起動と削除は引き続きできる" },
  },
  "services-follow": {
    means:
      "from every node a new Service can be reached, and an existing Service leads to its replaced pod, within 15 s",
    deadlineMs: 15_000,
    everyMs: 3_000,
    disturbs: false,
    lost: { en: "Services do not follow their pods", ja: "ServiceがPodの変化に追従しない" },
    kept: { en: "Services still follow their pods", ja: "Serviceは引き続きPodの変化に追従する" },
  },
  "dns-is-scaled": {
    means: "a wrong number of replicas of the cluster's DNS is corrected within 25 s",
    // The autoscaler's interval is 10 s.
    deadlineMs: 25_000,
    everyMs: 2_000,
    disturbs: true,
    corrects: {
      component: "kube-dns",
      resource: "apps/deployments",
      // The label of every cluster's DNS, including CoreDNS.
      labels: { "k8s-app": "kube-dns" },
    },
    lost: { en: "the cluster's DNS is not scaled", ja: "クラスターDNSがスケールされない" },
    kept: { en: "scaling of the cluster's DNS still works", ja: "クラスターDNSは引き続きスケールされる" },
  },
  "logs-arrive": {
    means: "a line that a container prints on each node reaches the log backend within 10 s",
    deadlineMs: 10_000,
    everyMs: 3_000,
    disturbs: false,
    lost: { en: "logs are not forwarded", ja: "ログが転送されない" },
    kept: { en: "forwarding of logs still works", ja: "ログは引き続き転送される" },
    forwards: { en: "logs", ja: "ログ" },
  },
  "fluentd-is-scaled": {
    means: "changed resources of fluentd are corrected within 25 s",
    deadlineMs: 25_000,
    // Each change of the resources starts a rollout of fluentd, which should end before the next one.
    everyMs: 10_000,
    disturbs: true,
    corrects: {
      component: "fluentd",
      resource: "apps/daemonsets",
      labels: { "app.kubernetes.io/instance": "log-agent" },
    },
    lost: { en: "fluentd's resources are not set", ja: "fluentdのリソースが調整されない" },
    kept: { en: "setting fluentd's resources still works", ja: "fluentdのリソースは引き続き調整される" },
  },
  "events-arrive": {
    means: "a new Event reaches the log backend within 10 s",
    deadlineMs: 10_000,
    everyMs: 3_000,
    disturbs: false,
    lost: { en: "Events are not forwarded", ja: "イベントログが転送されない" },
    kept: { en: "forwarding of Events still works", ja: "イベントログは引き続き転送される" },
    forwards: { en: "Events", ja: "イベント" },
  },
  "metrics-are-served": {
    means: "metrics.k8s.io serves samples of every node, at most 90 s old, and an HPA is ScalingActive",
    // Longer than the HPA's interval of 15 s, so that the check sees its condition change.
    deadlineMs: 20_000,
    everyMs: 3_000,
    disturbs: false,
    lost: {
      en: "no resource metrics are served and the HPA does not work",
      ja: "リソースメトリクスが取得できず、HPAが機能しない",
    },
    kept: { en: "resource metrics and the HPA still work", ja: "リソースメトリクスとHPAは引き続き機能する" },
  },
  "metric-points-arrive": {
    means: "a new metric point of every node reaches the monitoring backend within 15 s",
    deadlineMs: 15_000,
    everyMs: 3_000,
    disturbs: false,
    lost: { en: "metrics are not forwarded", ja: "メトリクスが転送されない" },
    kept: { en: "forwarding of metrics still works", ja: "メトリクスは引き続き転送される" },
    forwards: { en: "metric points", ja: "メトリクス" },
  },
  "unknown-path-is-answered": {
    means: "an unknown path is answered with 404 through the component's Service, from every node",
    deadlineMs: 3_000,
    everyMs: 1_000,
    disturbs: false,
    lost: { en: "unknown paths get no answer", ja: "未知のパスに応答しない" },
    kept: { en: "unknown paths are still answered", ja: "未知のパスには引き続き応答する" },
  },
  "pods-are-scheduled": {
    means: "a new pod is assigned to a node within 5 s",
    deadlineMs: 5_000,
    everyMs: 2_000,
    disturbs: false,
    lost: { en: "new pods are not scheduled", ja: "新しいPodがノードに割り当てられない" },
    kept: { en: "scheduling of new pods still works", ja: "新しいPodは引き続きノードに割り当てられる" },
  },
  "replicas-are-made": {
    means: "the pod of a new ReplicaSet is created within 5 s",
    deadlineMs: 5_000,
    everyMs: 2_000,
    disturbs: false,
    lost: { en: "pods of ReplicaSets are not created", ja: "ReplicaSetがPodを作成しない" },
    kept: { en: "creating pods of ReplicaSets still works", ja: "ReplicaSetは引き続きPodを作成する" },
  },
  "api-stores": {
    means: "a ConfigMap that is created can be read back within 5 s",
    deadlineMs: 5_000,
    everyMs: 1_000,
    disturbs: false,
    lost: { en: "reading and writing the API fails", ja: "APIの読み書きができない" },
    kept: { en: "reading and writing the API still works", ja: "APIの読み書きは引き続きできる" },
  },
} as const satisfies Readonly<Record<string, FunctionFacts>>;

export type FunctionCheckName = keyof typeof FACTS;

export const FUNCTION_CHECKS: Readonly<Record<FunctionCheckName, FunctionFacts>> = FACTS;

/** The names of all function checks. */
export const FUNCTION_CHECK_NAMES = Object.keys(FACTS) as readonly FunctionCheckName[];

/** The facts of one check, with its name. */
export function functionFacts<Name extends FunctionCheckName>(
  name: Name,
): { readonly name: Name } & (typeof FACTS)[Name] {
  return { name, ...FACTS[name] };
}
