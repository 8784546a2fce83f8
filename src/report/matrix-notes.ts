/** Notes below the table: why a run differs from the study, or why it is inconclusive. */
import { type Language } from "../common/language.js";
import type { StudyClaim } from "../components/component.js";
import type { Severity } from "../experiment/names.js";
import { cell } from "./markdown-text.js";
import type { MatrixFunction, MatrixRun } from "./matrix-run.js";
import type { MatrixGroup } from "./matrix-summary.js";
import { REASONS_JA } from "./matrix-words.js";
import { functionAloneUnknown } from "./pick.js";
import { FUNCTION_WORDS, SEVERITY_WORDS, STUDY_WORDS } from "./words.js";

/** Whether the run is the one of its group that is compared with the study. */
export const isMain = (group: MatrixGroup, run: MatrixRun): boolean => group.main === run;

export const isOpen = ({ state }: Pick<MatrixFunction, "state">): boolean =>
  state === "inconclusive" || state === "not measured";

const end = (text: string): string => (/[.。]$/.test(text) ? text : `${text}.`);

function reasons({ reasons: all, refused }: MatrixRun, lang: Language): string {
  const notAttacked = lang === "en" ? ", nothing was attacked" : "(停止は未実施)";
  const word = `${SEVERITY_WORDS.inconclusive[lang]}${refused === true ? notAttacked : ""}`;
  if (lang === "en") {
    return all.map(({ code, message }) => `${word}: \`${code}\`: ${end(cell(message))}`).join(" ");
  }
  const codes = [...new Set(all.map(({ code }) => code))];
  // A result of a newer version may have an unknown reason.
  return codes
    .map((code) => (REASONS_JA[code] === undefined ? `\`${code}\`` : `\`${code}\` (${REASONS_JA[code]})`))
    .map((text) => `${word}: ${text}。`)
    .join("");
}

/** For a run that is conclusive for the application but not for the component's own function. */
function openFunction({ ownFunction }: MatrixRun, lang: Language): string {
  const word = FUNCTION_WORDS[ownFunction.state][lang];
  if (lang === "en") {
    return `own function ${word}: \`function-not-measured\`: ${end(cell(ownFunction.because))}`;
  }
  const { state, baseline, window } = ownFunction;
  if (state === "not measured") {
    return `コンポーネント自体の機能は${word}: \`function-not-measured\` (機能を示す測定値がない)。`;
  }
  const looks = (phase: typeof baseline): string =>
    phase === null ? "" : `${phase.looks} 回中 ${phase.present} 回`;
  const figures = [
    baseline === null ? "" : `停止前に働いていた確認は ${looks(baseline)}`,
    window === null ? "" : `停止中は ${looks(window)}`,
  ].filter((text) => text !== "");
  const seen = figures.length === 0 ? "" : `。${figures.join("、")}`;
  return `コンポーネント自体の機能は${word}: \`function-not-measured\` (${REASONS_JA["function-not-measured"]}${seen})。`;
}

const IMPACT_JA: Readonly<Record<Severity, string>> = {
  outage: "サービス障害",
  degraded: "サービスの性能低下",
  "function lost": "サービスに影響なし",
  none: "サービスに影響なし",
  inconclusive: "判定不能",
};

const said = (verified: boolean): string => (verified ? "確認済み" : "未確認の推測");

/** The comparison of `study.because` in Japanese, built from the same parts. */
function comparisonJa(claim: StudyClaim, run: MatrixRun): string {
  const { row, ownFunction } = run;
  // Only the function is unknown, so the application was fine. Otherwise the severity would not depend on the function.
  const severity = functionAloneUnknown(run) ? "none" : row.severity;
  const impact = `影響: 発表は「${IMPACT_JA[claim.impact]}」(${said(claim.impactVerified)})、今回の測定は「${IMPACT_JA[severity]}」。`;
  const claimed = FUNCTION_WORDS[claim.functionLost ? "lost" : "kept"].ja;
  const measured = FUNCTION_WORDS[ownFunction.state].ja;
  const own = `機能: 発表は「${claimed}」(${said(claim.functionVerified)})、今回の測定は「${measured}」。`;
  const substitute = row.onStandIn
    ? "代替イメージでの測定のため、手法が働くことは示すが、本物のコンポーネントの挙動を示すものではない。"
    : "";
  return `${impact}${own}${substitute}`;
}

/** The comparison in full; `word` is its result. */
function comparison(run: MatrixRun, word: "differs" | "inconclusive", lang: Language): string {
  const text =
    lang === "ja" && run.claim !== null ? comparisonJa(run.claim, run) : end(cell(run.row.study.because));
  return `${STUDY_WORDS[word][lang]}: ${text}`;
}

/** What a run's cells do not say; undefined: nothing. */
export function noteOf(group: MatrixGroup, run: MatrixRun, lang: Language): string | undefined {
  const { impact, function: ownFunction } = run.row.study;
  const parts: string[] = [];
  if (run.reasons.length > 0) parts.push(reasons(run, lang));
  else if (isOpen(run.ownFunction)) parts.push(openFunction(run, lang));
  const words = isMain(group, run) ? [impact, ownFunction] : [];
  if (words.includes("differs")) parts.push(comparison(run, "differs", lang));
  else if (words.includes("inconclusive") && parts.length === 0) {
    parts.push(comparison(run, "inconclusive", lang));
  }
  return parts.length === 0 ? undefined : parts.join(lang === "en" ? " " : "");
}
