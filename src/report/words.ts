/** The words of the results in English and Japanese. */
import type { Sampling } from "../evidence/facts.js";
import { duration, percent, plural } from "../common/figures.js";
import type {
  ClientClass,
  ClientFinding,
  FunctionState,
  StudyComparison,
  Suppression,
  Verdict,
} from "../analysis/result.js";
import type { Bilingual } from "../common/language.js";
import type { Severity } from "../experiment/names.js";

export const SEVERITY_WORDS: Readonly<Record<Severity, Bilingual>> = {
  outage: { en: "outage", ja: "サービス障害" },
  degraded: { en: "degraded", ja: "性能低下" },
  "function lost": { en: "function lost", ja: "機能停止" },
  none: { en: "none", ja: "影響なし" },
  inconclusive: { en: "inconclusive", ja: "判定不能" },
};

export const VERDICT_WORDS: Readonly<Record<Verdict, Bilingual>> = {
  "as expected": { en: "as expected", ja: "想定どおり" },
  differs: { en: "differs", ja: "想定と異なる" },
  inconclusive: { en: "inconclusive", ja: "判定不能" },
  control: { en: "control", ja: "対照実験" },
  "not restored": { en: "not restored", ja: "復旧未完了" },
  interrupted: { en: "interrupted", ja: "中断" },
};

export const STUDY_WORDS: Readonly<Record<StudyComparison, Bilingual>> = {
  confirmed: { en: "confirmed", ja: "確認" },
  "newly verified": { en: "newly verified", ja: "新たに検証" },
  differs: { en: "differs", ja: "相違" },
  inconclusive: { en: "inconclusive", ja: "判定不能" },
  "not in the study": { en: "not in the study", ja: "発表になし" },
};

/** Added to a verdict that was measured on a substitute image. */
export const ON_SUBSTITUTE_IMAGE: Bilingual = { en: "on a substitute image", ja: "代替イメージでの測定" };

export const FUNCTION_WORDS: Readonly<Record<FunctionState, Bilingual>> = {
  lost: { en: "lost", ja: "停止" },
  "partly lost": { en: "partly lost", ja: "一部停止" },
  kept: { en: "kept", ja: "継続" },
  inconclusive: { en: "inconclusive", ja: "判定不能" },
  "not measured": { en: "not measured", ja: "未測定" },
};

/** The evidence that the target was down. */
export const EVIDENCE_WORDS: Readonly<Record<Suppression["evidence"], Bilingual>> = {
  node: { en: "asked on the node", ja: "ノードで確認" },
  runtime: { en: "runtime", ja: "コンテナランタイムで確認" },
  "API only": { en: "API only", ja: "APIのみで確認" },
};

/** "12 of 100 workers, every 480 ms instead of 250 ms". */
export function samplingText({ workers, of, intervalMs, askedMs }: Sampling): string {
  const slower = intervalMs === askedMs ? "" : ` instead of ${askedMs} ms`;
  return `${workers === of ? `all ${of}` : `${workers} of ${of}`} workers, every ${intervalMs} ms${slower}`;
}

/** What a client saw. */
export const CLIENT_WORDS: Readonly<Record<ClientClass, Bilingual>> = {
  unreachable: { en: "unreachable", ja: "到達不能" },
  intermittent: { en: "intermittent", ja: "断続的に失敗" },
  slow: { en: "slow", ja: "応答遅延" },
  unaffected: { en: "unaffected", ja: "影響なし" },
};

const PART_JA = {
  "front end": "フロントエンド",
  worker: "ワーカー",
  node: "ノード",
} as const;

/** "1 of 3 front ends (frontend-x)", "from 1 of 3 workers (kind-worker)", "one node (kind-worker)"; empty: not explained. */
function explanation({ explainedBy }: ClientFinding): Bilingual {
  if (explainedBy === null) return { en: "", ja: "" };
  const { what, names, of } = explainedBy;
  const named = names.join(", ");
  const ja =
    what === "node" ? `、ノード ${named} のみ` : `、${PART_JA[what]} ${of} 中 ${names.length} (${named})`;
  if (what === "node") return { en: `, one node (${named})`, ja };
  return { en: `, ${what === "worker" ? "from " : ""}${names.length} of ${plural(of, what)} (${named})`, ja };
}

/** "intermittent, 33.3 % of writes failed for 30.0 s, 1 of 3 front ends (frontend-x)". */
export function clientText(client: ClientFinding): Bilingual {
  const word = CLIENT_WORDS[client.class];
  if (client.class === "unaffected") return word;
  if (client.class === "slow") return { en: client.because, ja: word.ja };
  const lasted = `${client.open ? "≥ " : ""}${duration(client.lastedMs)}`;
  const part = explanation(client);
  const [writes, writesJa] = client.probe === "app-read" ? ["reads", "読み出し"] : ["writes", "書き込み"];
  const share = percent(client.share);
  const allFail = client.class === "unreachable" && client.explainedBy?.what !== "worker";
  const alone = client.probe === "app-read" ? { en: " (reads)", ja: "(読み出し)" } : { en: "", ja: "" };
  const some = allFail
    ? { en: ` for ${lasted}${alone.en}`, ja: ` ${lasted}${alone.ja}` }
    : {
        en: `, ${share} of ${writes} failed for ${lasted}`,
        ja: `、${lasted} にわたり${writesJa}の ${share} が失敗`,
      };
  return { en: `${word.en}${some.en}${part.en}`, ja: `${word.ja}${some.ja}${part.ja}` };
}
