/** The words of the impact matrix in English and Japanese. */
import type { InconclusiveReason } from "../analysis/result.js";
import type { Bilingual } from "../common/language.js";

export const NOT_RUN: Bilingual = { en: "not run", ja: "未実施" };

/** The table's head: the slide's five columns, the measured ones, the study's. */
export const HEADER: readonly Bilingual[] = [
  { en: "Name", ja: "Name" },
  { en: "Type", ja: "Type" },
  { en: "Count", ja: "数" },
  { en: "Severity", ja: "重要度" },
  { en: "Behaviour when stopped", ja: "止めたときの挙動" },
  { en: "app → DB writes in the window", ja: "停止中のアプリ → DB 書き込み" },
  { en: "Time to impact", ja: "影響が出るまで" },
  { en: "Longest outage", ja: "最長の断" },
  { en: "Recovery", ja: "復旧まで" },
  { en: "Own function", ja: "コンポーネント自体の機能" },
  { en: "Time to down", ja: "停止するまで" },
  { en: "Suppression (evidence)", ja: "停止を維持できた割合 (根拠)" },
  { en: "The study said", ja: "発表での記載" },
  { en: "Study: impact", ja: "発表との比較: 影響" },
  { en: "Study: function", ja: "発表との比較: 機能" },
];

/**
 * Why nothing can be concluded. The English matrix has the run's own message with its figures. The Japanese one has
 * these texts instead, with a link to the figures.
 */
export const REASONS_JA: Readonly<Record<InconclusiveReason, string>> = {
  "target-not-found": "停止する対象がクラスタに見つからなかった",
  "target-not-ready": "開始時点で対象が稼働していなかった",
  "baseline-unhealthy": "停止前の時点でアプリケーションの測定値が正常でなかった",
  "nothing-killed": "停止操作が一度も受け付けられなかった",
  "target-not-down": "対象を停止した状態に保てなかった",
  "no-samples": "測定値が得られなかったワーカーノードがある",
  "too-few-samples": "停止中の測定数が少なすぎて割合を出せない",
  "attack-failed": "停止操作そのものが失敗した",
  interrupted: "停止中に実行が中断された",
  "deploy-failed": "測定用のアプリケーションを配備できなかった",
  "control-arm-failed": "DNS を使わない比較用の経路が停止前から正常でなかった",
  "function-not-measured":
    "コンポーネント自体の機能が停止前から働いていなかったか、停止中に一度も確かめられなかった",
  "churn-not-harmless": "停止前の予行で、データベースの Pod の入れ替えだけでアプリケーションに影響が出た",
  "cluster-not-settled": "前の実行のあと、クラスタが制限時間内に落ち着かなかった",
  "abort-condition-at-baseline":
    "停止前の時点で中止条件 (abortWhen) の確認先が正常でなかったため、何も停止せずに終えた",
  aborted: "中止条件 (abortWhen) が成立したため、停止期間の途中で打ち切って元に戻した",
  "application-changed": "実行中に、測定対象のアプリケーションが第三者に削除または変更された",
  "target-changed": "実行中に、停止する対象が第三者に削除、改名、または規模変更された",
  "lock-lost": "実行中にロックを失ったため打ち切った",
  stopped: "実行が途中で打ち切られた",
  disturbed: "測定する側のマシンが混んでいて、測定が遅れた時間が長すぎた",
};

/** Short words of the cells. */
export const CELL = {
  none: { en: "none", ja: "なし" },
  intermittent: { en: "intermittent", ja: "断続的" },
  neverFailed: { en: "never failed", ja: "失敗なし" },
  neverDown: { en: "never", ja: "停止せず" },
  notMeasured: { en: "not measured", ja: "未測定" },
  notSeen: { en: "not seen", ja: "確認できず" },
  nothingKilled: { en: "nothing was taken down", ja: "何も停止していない" },
  everyWorker: { en: "every worker", ja: "全ワーカー" },
  worstWorker: { en: "worst worker", ja: "最も低いワーカー" },
  study: { en: "study", ja: "発表" },
  note: { en: "note", ja: "注" },
  report: { en: "report", ja: "レポート" },
  timeline: { en: "timeline", ja: "タイムライン" },
  noReport: { en: "no report", ja: "レポートがない。" },
} as const satisfies Readonly<Record<string, Bilingual>>;

/** The texts around the table. */
export const TEXT = {
  title: {
    en: "Impact matrix: what happens when a kube-system component goes down",
    ja: "影響一覧: kube-system のコンポーネントを落とすと何が起きるか",
  },
  intro: {
    en: "Computed by `chaos matrix` from the result of each run. Figures link to the run's report. If something could not be measured, the table says so and why.",
    ja: "`chaos matrix` が各実行の結果から算出したもの。数値は各実行のレポートにリンクしている。測定できなかったものは、その旨と理由を記す。",
  },
  notes: { en: "Notes", ja: "注" },
  summary: { en: "Compared with the study", ja: "発表との比較のまとめ" },
  words: { en: "What the words mean", ja: "用語" },
  thresholds: { en: "Thresholds", ja: "しきい値" },
  runs: { en: "Runs and clusters", ja: "実行とクラスタ" },
  substituteImages: { en: "Substitute images", ja: "代替イメージ" },
  source: { en: "The study", ja: "元の発表" },
} as const satisfies Readonly<Record<string, Bilingual>>;

export const CITATION: readonly Bilingual[] = [
  {
    en: "Shuntaro Saiba, “kube-system 落としてみました” (Kubernetes Meetup Tokyo #16, 18 March 2019), the table of slide 18: GKE 1.11.7-gke.4, three nodes, the guestbook sample.",
    ja: "Shuntaro Saiba「kube-system 落としてみました」(Kubernetes Meetup Tokyo #16、2019 年 3 月 18 日) スライド 18 の表。環境は GKE 1.11.7-gke.4、3 ノード、サンプルアプリ guestbook。",
  },
  {
    en: "“(はず)” in the study's words means “should be”: not verified there, because the fault was hard to reproduce and to measure. It appears here only where the study is quoted.",
    ja: "発表の「(はず)」は「未確認 (障害の再現と測定が難しかった)」を意味する。この一覧で「(はず)」が出てくるのは、発表を引用した箇所だけである。",
  },
  {
    en: "The study's severities were symbols; they are not compared.",
    ja: "発表の重要度は記号で示されていたため、比較の対象にしていない。",
  },
];

/** Where a row has an existing application. */
const WRITES_OF_ANY: Bilingual = {
  en: "**app → DB writes**: share of the application's writes that succeeded while the component was down, at the worst worker; rounded down. The application is the guestbook, unless a run names another one.",
  ja: "**停止中のアプリ → DB 書き込み**: コンポーネントの停止中に成功したアプリケーションの書き込みの割合。最も低いワーカーの値で、端数は切り捨て。ほかのアプリケーションを挙げた実行を除き、アプリケーションは guestbook である。",
};

/** @param others whether any row is about another application than the guestbook. */
export function legend(others: boolean): readonly Bilingual[] {
  return LEGEND.map((line) => (others && line.en.startsWith("**app → DB writes**") ? WRITES_OF_ANY : line));
}

const LEGEND: readonly Bilingual[] = [
  {
    en: "**Severity**: *outage*, *degraded* (writes or reads partly fail, or are slow), *function lost* (the application is fine, the component's own function is lost), *none*, *inconclusive*; from measurements only.",
    ja: "**重要度**: *サービス障害*、*性能低下* (読み書きの一部が失敗する、または遅い)、*機能停止* (アプリケーションは正常だが、コンポーネント自体の機能が失われる)、*影響なし*、*判定不能*。測定値だけで決める。",
  },
  {
    en: "**app → DB writes**: share of the guestbook's writes that succeeded while the component was down, at the worst worker; rounded down.",
    ja: "**停止中のアプリ → DB 書き込み**: コンポーネントの停止中に成功した guestbook の書き込みの割合。最も低いワーカーの値で、端数は切り捨て。",
  },
  {
    en: "**Time to impact**: first kill → first failed write that noise does not explain. **Longest outage**: every write fails, from the first failed one to the first answer; *intermittent*: some writes fail and some do not. **Recovery**: release → the component is ready and every probe is healthy.",
    ja: "**影響が出るまで**: 最初の停止操作から、偶然の失敗を除いて書き込みが初めて失敗するまで。**最長の断**: 書き込みがすべて失敗した最長の時間で、失敗し始めてから最初に応答があるまで。*断続的*は、失敗と成功が混在したことを示す。**復旧まで**: 停止を解いてから、コンポーネントが稼働し、すべての測定が正常に戻るまで。",
  },
  {
    en: "**Own function**: what the component is for, checked while it was down. *lost*: present in no check; *partly lost*: present in some checks; *kept*: present in every check. If samples show it, the thresholds above apply.",
    ja: "**コンポーネント自体の機能**: そのコンポーネントの本来の役割が、停止中に果たされたか。*停止*: 一度も果たされない。*一部停止*: 果たされないときがある。*継続*: 毎回果たされる。連続した測定値で判断する場合は、上記のしきい値による。",
  },
  {
    en: "**Time to down**: first kill → the first moment at which nothing of the component served. **Suppression**: share of the time from then to the release in which nothing of it served. Evidence *asked on the node*: the attacked nodes were asked whether its unit runs; *runtime*: the nodes' container runtimes were asked; *API only*: only the API server was asked.",
    ja: "**停止するまで**: 最初の停止操作から、コンポーネントがまったく応答できなくなるまで。**停止を維持できた割合**: その時点から停止を解くまでのうち、コンポーネントがまったく応答できなかった時間の割合。根拠の*ノードで確認*は対象ノードでユニットが動いているかを、*コンテナランタイムで確認*はノードのコンテナランタイムを調べたことを示す。*APIのみで確認*は API サーバーにしか問い合わせていない。",
  },
  {
    en: "**Study**: *confirmed* (seen there and here), *newly verified* (assumed there, measured here), *differs*, *inconclusive*. Only the first row of a component is compared; the rows marked ↳ are variants of it.",
    ja: "**発表との比較**: *確認* (発表でも今回も確認)、*新たに検証* (発表では推測、今回は測定)、*相違*、*判定不能*。比較するのは各コンポーネントの先頭の行だけで、↳ の行は条件を変えた実験である。",
  },
  {
    en: "**on a substitute image**: the component itself was replaced by a program of this project. It shows that the method works, not what the real component would do.",
    ja: "**代替イメージでの測定**: コンポーネント自体を、このプロジェクトのプログラムで代用した。手法が働くことは示すが、本物の挙動を示すものではない。",
  },
  {
    en: "**—**: does not apply.",
    ja: "**—**: 該当しない。",
  },
];
