/** What each component's own function is in words: when it is gone, and when it goes on. */

import type { Bilingual } from "../common/language.js";

/** Probes of a component's own function: one a component, each on a deadline. */
export const FUNCTION_PROBES = [
  "node-runs-pods",
  "services-follow",
  "dns-is-scaled",
  "logs-arrive",
  "fluentd-is-scaled",
  "events-arrive",
  "metrics-are-served",
  "metric-points-arrive",
  "unknown-path-is-answered",
  "pods-are-scheduled",
  "replicas-are-made",
  "api-stores",
] as const;

export type FunctionProbeName = (typeof FUNCTION_PROBES)[number];

export interface FunctionPhrases {
  readonly lost: Bilingual;
  readonly kept: Bilingual;
  /** What was forwarded late, or not at all, where the function is to forward something. */
  readonly forwards?: Bilingual;
}

/** Lost in Japanese ends in a verb's plain form: 「…ことがある」 can follow. */
export const FUNCTION_PHRASES: Readonly<Record<FunctionProbeName, FunctionPhrases>> = {
  "node-runs-pods": {
    lost: { en: "pods can be neither started nor deleted", ja: "Podの起動も削除もできない" },
    kept: { en: "starting and deleting pods still works", ja: "Podの起動と削除は引き続きできる" },
  },
  "services-follow": {
    lost: { en: "Services do not follow their pods", ja: "ServiceがPodの変化に追従しない" },
    kept: { en: "Services still follow their pods", ja: "Serviceは引き続きPodの変化に追従する" },
  },
  "dns-is-scaled": {
    lost: { en: "the cluster's DNS is not scaled", ja: "クラスターDNSがスケールされない" },
    kept: { en: "scaling of the cluster's DNS still works", ja: "クラスターDNSは引き続きスケールされる" },
  },
  "logs-arrive": {
    lost: { en: "logs are not forwarded", ja: "ログが転送されない" },
    kept: { en: "forwarding of logs still works", ja: "ログは引き続き転送される" },
    forwards: { en: "logs", ja: "ログ" },
  },
  "fluentd-is-scaled": {
    lost: { en: "fluentd's resources are not set", ja: "fluentdのリソースが調整されない" },
    kept: { en: "setting fluentd's resources still works", ja: "fluentdのリソースは引き続き調整される" },
  },
  "events-arrive": {
    lost: { en: "Events are not forwarded", ja: "イベントログが転送されない" },
    kept: { en: "forwarding of Events still works", ja: "イベントログは引き続き転送される" },
    forwards: { en: "Events", ja: "イベント" },
  },
  "metrics-are-served": {
    lost: {
      en: "no resource metrics are served and the HPA does not work",
      ja: "リソースメトリクスが取得できず、HPAが機能しない",
    },
    kept: { en: "resource metrics and the HPA still work", ja: "リソースメトリクスとHPAは引き続き機能する" },
  },
  "metric-points-arrive": {
    lost: { en: "metrics are not forwarded", ja: "メトリクスが転送されない" },
    kept: { en: "forwarding of metrics still works", ja: "メトリクスは引き続き転送される" },
    forwards: { en: "metric points", ja: "メトリクス" },
  },
  "unknown-path-is-answered": {
    lost: { en: "unknown paths get no answer", ja: "未知のパスに応答しない" },
    kept: { en: "answering unknown paths still works", ja: "未知のパスには引き続き応答する" },
  },
  "pods-are-scheduled": {
    lost: { en: "new pods get no node", ja: "新しいPodがノードに割り当てられない" },
    kept: { en: "scheduling of new pods still works", ja: "新しいPodは引き続きノードに割り当てられる" },
  },
  "replicas-are-made": {
    lost: { en: "ReplicaSets make no pods", ja: "ReplicaSetがPodを作成しない" },
    kept: { en: "making pods of ReplicaSets still works", ja: "ReplicaSetは引き続きPodを作成する" },
  },
  "api-stores": {
    lost: { en: "the API can be neither written nor read", ja: "APIの読み書きができない" },
    kept: { en: "writing and reading the API still works", ja: "APIの読み書きは引き続きできる" },
  },
};
