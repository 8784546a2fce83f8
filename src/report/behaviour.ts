/**
 * "Behaviour when stopped", the slide's last column, written from the measurements. It is never copied from the
 * expectation or from the study.
 */
import type { ClientFinding, FunctionResult, ProbeResult, RunResult } from "../analysis/result.js";
import { affectedProbes, slowestOf, worstInWindow } from "../analysis/severity.js";
import { duration, percent, plural } from "../common/figures.js";
import type { Bilingual } from "../common/language.js";
import { FUNCTION_CHECKS, type FunctionFacts } from "../components/functions.js";
import { isControl } from "../experiment/attacks.js";
import { firstImpact, functionAloneUnknown, onWorkers, worstWrites } from "./pick.js";
import { clientText } from "./words.js";

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

const join = (parts: readonly Bilingual[]): Bilingual => ({
  en: `${capital(parts.map(({ en }) => en).join("; "))}.`,
  ja: `${parts.map(({ ja }) => ja).join("。")}。`,
});

/** When the first write failed, for a behaviour that began after the first kill. */
function since(result: RunResult): Bilingual {
  const ms = firstImpact(result)?.timeToImpactMs ?? null;
  if (ms === null) return { en: "", ja: "" };
  return {
    en: ` from ${duration(ms)} after the first kill`,
    ja: `(最初の攻撃から ${duration(ms)} 後に失敗し始める)`,
  };
}

function writesFailing(result: RunResult, worst: ProbeResult): Bilingual {
  const share = percent(worst.phases.window.availability);
  const some = result.severity === "outage" ? "fail" : "partly fail";
  const ja = result.severity === "outage" ? "失敗" : "一部失敗";
  const { en: sinceEn, ja: sinceJa } = since(result);
  return {
    en: `app → DB writes ${some} (${share} succeed from ${worst.source})${sinceEn}`,
    ja: `アプリ → DB の書き込みが${ja}(${worst.source} からの成功率 ${share})${sinceJa}`,
  };
}

/** An outage or an intermittent failure, as a client saw it. */
function seenByClient(result: RunResult, client: ClientFinding, worst: ProbeResult): Bilingual {
  const { en, ja } = clientText(client);
  const ofReads =
    client.probe === "app-read" ? worstInWindow(onWorkers(result, "app-read"), ["app-read"]) : undefined;
  const [what, whatJa] = ofReads === undefined ? ["writes", "書き込み"] : ["reads", "読み出し"];
  const { source, phases } = ofReads ?? worst;
  const share = percent(phases.window.availability);
  const { en: sinceEn, ja: sinceJa } = since(result);
  return {
    en: `app → DB is ${en} (${share} of ${what} succeed from ${source})${sinceEn}`,
    ja: `アプリ → DB の${whatJa}が${ja}(${source} からの成功率 ${share})${sinceJa}`,
  };
}

function slow(result: RunResult): Bilingual | null {
  const slowest = slowestOf(
    onWorkers(result, "app-write", "app-read"),
    result.facts.experiment.thresholds,
  )?.result;
  if (slowest === undefined) return null;
  const { baseline, window } = slowest.phases;
  const verb = slowest.probe === "app-write" ? ["writes", "書き込み"] : ["reads", "読み出し"];
  return {
    en: `app → DB ${verb[0]} slow down (p95 ${duration(baseline.p95Ms)} → ${duration(window.p95Ms)})`,
    ja: `アプリ → DB の${verb[1]}が遅くなる(p95 ${duration(baseline.p95Ms)} → ${duration(window.p95Ms)})`,
  };
}

function readsFailing(result: RunResult): Bilingual | null {
  const worst = worstInWindow(onWorkers(result, "app-read"), ["app-read"]);
  if (worst === undefined) return null;
  const { availability } = worst.phases.window;
  return {
    en: `app → DB reads partly fail (${percent(availability)} succeed from ${worst.source})`,
    ja: `アプリ → DB の読み出しが一部失敗(${worst.source} からの成功率 ${percent(availability)})`,
  };
}

function application(result: RunResult): Bilingual[] {
  const worst = worstWrites(result);
  const availability = worst?.phases.window.availability ?? null;
  if (worst === undefined || availability === null) {
    return [{ en: "the application was not measured", ja: "アプリケーションは測定されていない" }];
  }
  const { client } = result;
  if (client?.class === "unreachable" || client?.class === "intermittent") {
    return [seenByClient(result, client, worst)];
  }
  if (result.severity === "outage") return [writesFailing(result, worst)];
  const affected = affectedProbes(result.probes, [], result.facts.experiment.thresholds.degradedBelow);
  const reads = affected.has("app-read") ? readsFailing(result) : null;
  const failing = affected.has("app-write") ? writesFailing(result, worst) : reads;
  const harm = [failing, slow(result)].filter((part) => part !== null);
  if (harm.length > 0) return harm;
  return [
    {
      en: `app → DB writes continue (${percent(availability)} succeed)`,
      ja: `アプリ → DB の書き込みは継続(成功率 ${percent(availability)})`,
    },
  ];
}

/** The component's own function, from the samples of a layer. */
function bySamples(result: RunResult): Bilingual {
  const worst = worstInWindow(result.probes, result.facts.functionProbes);
  if (result.functionLost === null || worst === undefined) {
    return { en: "its own function was not measured", ja: "コンポーネント自体の機能は未測定" };
  }
  const share = `${worst.probe}: ${percent(worst.phases.window.availability)}`;
  if (result.functionLost) {
    return { en: `its own function is lost (${share})`, ja: `コンポーネント自体の機能は停止(${share})` };
  }
  return result.ownFunction.state === "partly lost"
    ? {
        en: `its own function is partly lost (${share})`,
        ja: `コンポーネント自体の機能は一部停止(${share})`,
      }
    : { en: `its own function continues (${share})`, ja: `コンポーネント自体の機能は継続(${share})` };
}

/** What happened to the items to forward during the outage: late, lost, or some of each. */
function afterwards({ late, lostForGood }: FunctionResult, { forwards }: FunctionFacts): Bilingual {
  if (forwards === undefined || late + lostForGood === 0) return { en: "", ja: "" };
  if (lostForGood === 0) {
    return {
      en: `; ${forwards.en} written meanwhile arrived late`,
      ja: `。その間の${forwards.ja}は遅れて到着`,
    };
  }
  if (late === 0) {
    return { en: `; ${forwards.en} written meanwhile were lost`, ja: `。その間の${forwards.ja}は失われた` };
  }
  return {
    en: `; of the ${forwards.en} written meanwhile ${late} arrived late, ${lostForGood} never`,
    ja: `。その間の${forwards.ja}のうち ${late} 件は遅れて到着、${lostForGood} 件は失われた`,
  };
}

/** The component's own function, from its function checks. */
function byChecks({ ownFunction: found }: RunResult, phrases: FunctionFacts): Bilingual {
  const { state, window } = found;
  const { looks, present } = window ?? { looks: 0, present: 0 };
  const after = afterwards(found, phrases);
  const en = `present in ${present} of ${plural(looks, "check")}`;
  const ja = `${looks} 回中 ${present} 回確認`;
  switch (state) {
    case "lost":
      return { en: `${phrases.lost.en} (${en})${after.en}`, ja: `${phrases.lost.ja}(${ja})${after.ja}` };
    case "partly lost":
      return {
        en: `${phrases.lost.en} at times (${en})${after.en}`,
        ja: `${phrases.lost.ja}ことがある(${ja})${after.ja}`,
      };
    case "kept":
      return { en: `${phrases.kept.en} (${en})`, ja: `${phrases.kept.ja}(${ja})` };
    case "inconclusive":
    case "not measured":
      return {
        en: "no statement on its own function (inconclusive)",
        ja: "コンポーネント自体の機能は判定不能",
      };
  }
}

function ownFunction(result: RunResult): Bilingual {
  const { functionProbe } = result.facts;
  if (functionProbe === null) return bySamples(result);
  return byChecks(result, FUNCTION_CHECKS[functionProbe.name]);
}

/**
 * One sentence in both languages. An inconclusive run makes no statement. If only the component's own function is
 * unknown, the sentence still says what the application did.
 */
export function behaviourOf(result: RunResult): Bilingual {
  if (result.severity === "inconclusive" && !functionAloneUnknown(result)) {
    const codes = [...new Set(result.reasons.map(({ code }) => code))].join(", ");
    return { en: `No statement: inconclusive (${codes}).`, ja: `判定不能のため記載なし(${codes})。` };
  }
  const parts = [...application(result), ownFunction(result)];
  if (!isControl(result.facts.experiment.attack)) return join(parts);
  return join([{ en: "nothing was stopped (control run)", ja: "何も停止していない(対照実験)" }, ...parts]);
}
