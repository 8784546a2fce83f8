/** The cells of a row of the impact matrix. They are already escaped. The table does not escape them again. */
import type { StudyComparison } from "../analysis/result.js";
import { DASH, duration, percent, plural } from "../common/figures.js";
import { type Language } from "../common/language.js";
import { cell } from "./markdown-text.js";
import { joined } from "./markdown-probes.js";
import { isMain, isOpen } from "./matrix-notes.js";
import type { MatrixRun } from "./matrix-run.js";
import type { MatrixGroup } from "./matrix-summary.js";
import { CELL, NOT_RUN } from "./matrix-words.js";
import { functionAloneUnknown } from "./pick.js";
import {
  EVIDENCE_WORDS,
  FUNCTION_WORDS,
  ON_SUBSTITUTE_IMAGE,
  SEVERITY_WORDS,
  STUDY_WORDS,
  VERDICT_WORDS,
} from "./words.js";

/** Sections of a report that cells link to, by GitHub's anchors of their headings. */
const ANCHORS = {
  ownFunction: "#the-components-own-function",
  application: "#what-the-application-saw",
  keptDown: "#how-it-was-kept-down",
  recovery: "#recovery",
  owners: "#who-restores-it",
} as const;

/** A run and what else its cells need. */
export interface RowContext {
  readonly group: MatrixGroup;
  readonly run: MatrixRun;
  readonly lang: Language;
  /** The number of the run's note; undefined: it has none. */
  readonly note: number | undefined;
}

/** A text that cannot end its cell or its link. */
export const plain = (text: string): string => cell(text).replace(/[[\]]/g, "\\$&");

function linked(text: string, { run }: RowContext, anchor = ""): string {
  const { report } = run.links;
  return report === null ? plain(text) : `[${plain(text)}](${report}${anchor})`;
}

const noteRef = ({ note, lang }: RowContext): string =>
  note === undefined ? "" : ` (${CELL.note[lang]} ${note})`;

const substituteNote = ({ run, lang }: RowContext): string =>
  run.row.onStandIn ? ` (${ON_SUBSTITUTE_IMAGE[lang]})` : "";

/**
 * Whether the application's figures say anything about the component. They do not if the run is inconclusive, except
 * when only the component's own function is unknown.
 */
const isValid = ({ run }: RowContext): boolean => run.reasons.length === 0 || functionAloneUnknown(run);

function nameCell({ group, run }: RowContext): string {
  if (!isMain(group, run)) return `↳ ${plain(run.row.title)}`;
  const { object } = run.row;
  return plain(object === null ? group.name : `${group.name} (${object})`);
}

/** The run's value, with the study's if that differs: "1 (study: 2)". */
function withStudy(here: string | null, there: string | null, lang: Language): string {
  const shown = here ?? DASH;
  const same = here?.toLowerCase().startsWith(there?.toLowerCase() ?? "") === true;
  return plain(there === null || same ? shown : `${shown} (${CELL.study[lang]}: ${there})`);
}

function countCell({ run, lang }: RowContext): string {
  const here = run.row.count === null ? DASH : String(run.row.count);
  const there = run.claim?.count ?? null;
  return there === null || there === run.row.count ? here : `${here} (${CELL.study[lang]}: ${there})`;
}

function severityCell(context: RowContext): string {
  const { severity } = context.run.row;
  const ref = severity === "inconclusive" ? noteRef(context) : "";
  return `${linked(SEVERITY_WORDS[severity][context.lang], context)}${substituteNote(context)}${ref}`;
}

/** What happened, with links to the report and the picture. */
function behaviourCell({ run, lang }: RowContext): string {
  const { report, timeline } = run.links;
  const links = [
    report === null ? "" : `[${CELL.report[lang]}](${report})`,
    timeline === null ? "" : `[${CELL.timeline[lang]}](${timeline})`,
  ].filter((link) => link !== "");
  return [plain(run.row.behaviour[lang]), links.join(" · ")].filter((text) => text !== "").join(" ");
}

/** "1.2 % (worst worker: kind-worker)". */
function writesCell(context: RowContext): string {
  const { run, lang } = context;
  const { writeAvailability, worstWorker } = run.row;
  if (writeAvailability === null) return CELL.notMeasured[lang];
  const where =
    writeAvailability === 1 ? CELL.everyWorker[lang] : `${CELL.worstWorker[lang]}: ${worstWorker ?? DASH}`;
  return linked(`${percent(writeAvailability)} (${where})`, context, ANCHORS.application);
}

function impactCell(context: RowContext): string {
  const { row } = context.run;
  if (row.writeAvailability === null) return CELL.notMeasured[context.lang];
  const text =
    row.timeToImpactMs === null
      ? CELL.neverFailed[context.lang]
      : joined(row.timeToImpactMs, row.timeToImpactUncertaintyMs);
  return linked(text, context, ANCHORS.application);
}

function outageCell(context: RowContext): string {
  const { row, outageOpen } = context.run;
  if (row.writeAvailability === null || row.longestOutageMs === null) return CELL.notMeasured[context.lang];
  const { intermittentMs } = row;
  const intermittent =
    intermittentMs === 0 ? "" : ` (${CELL.intermittent[context.lang]}: ${duration(intermittentMs)})`;
  const text =
    row.longestOutageMs === 0 && !outageOpen
      ? `${CELL.none[context.lang]}${intermittent}`
      : `${outageOpen ? "≥ " : ""}${duration(row.longestOutageMs)}`;
  return linked(text, context, ANCHORS.application);
}

function recoveryCell(context: RowContext): string {
  const { row } = context.run;
  const { lang } = context;
  if (row.suppression === null) return CELL.nothingKilled[lang];
  if (row.verdict === "not restored") {
    return linked(VERDICT_WORDS["not restored"][lang], context, ANCHORS.recovery);
  }
  const text = row.recoveryMs === null ? CELL.notSeen[lang] : duration(row.recoveryMs);
  return linked(text, context, ANCHORS.recovery);
}

/** The figures behind the function's state: checks or samples of a layer; items that arrived late or never. */
function functionFigures({ run, lang }: RowContext): string {
  const { window, layer, late, lostForGood, backAfterMs } = run.ownFunction;
  const en = lang === "en";
  const parts: string[] = [];
  if (layer !== null) parts.push(`${layer.probe}: ${percent(layer.availability)}`);
  if (window !== null && window.looks > 0) {
    const { looks, present } = window;
    parts.push(
      en
        ? `present in ${present} of ${plural(looks, "check")}`
        : `${looks} 回の確認のうち働いていたのは ${present} 回`,
    );
  }
  if (late > 0) parts.push(en ? `${late} late` : `遅れて到着 ${late} 件`);
  if (lostForGood > 0) parts.push(en ? `${lostForGood} never arrived` : `未到着 ${lostForGood} 件`);
  const back = duration(backAfterMs);
  if (backAfterMs !== null)
    parts.push(en ? `present again ${back} after the release` : `解除の ${back} 後に復帰`);
  return parts.length === 0 ? "" : ` (${parts.join(en ? ", " : "、")})`;
}

function functionCell(context: RowContext): string {
  const { run, lang } = context;
  if (!isValid(context)) return `${FUNCTION_WORDS.inconclusive[lang]}${noteRef(context)}`;
  const word = FUNCTION_WORDS[run.ownFunction.state][lang];
  const ref = isOpen(run.ownFunction) ? noteRef(context) : "";
  const anchor = run.ownFunction.probe === null ? ANCHORS.application : ANCHORS.ownFunction;
  return `${linked(`${word}${functionFigures(context)}`, context, anchor)}${ref}`;
}

/** For a flapping target: the first time. It is shown for an inconclusive run, too, because it may explain it. */
function downCell(context: RowContext): string {
  const { row } = context.run;
  const { lang } = context;
  if (row.suppression === null) return CELL.nothingKilled[lang];
  const text = row.timeToDownMs === null ? CELL.neverDown[lang] : duration(row.timeToDownMs);
  return linked(text, context, ANCHORS.keptDown);
}

function suppressionCell(context: RowContext): string {
  const { row } = context.run;
  const { lang } = context;
  if (row.suppression === null) return CELL.nothingKilled[lang];
  const evidence = row.evidence === null ? DASH : EVIDENCE_WORDS[row.evidence][lang];
  const down = row.timesDown ?? 0;
  const downs = lang === "en" ? `, down ${plural(down, "time")}` : `、停止 ${down} 回`;
  const times = row.attack.everyMs === null ? "" : downs;
  return linked(`${percent(row.suppression)} (${evidence}${times})`, context, ANCHORS.keptDown);
}

/** The slide's words. Claims that it did not verify are marked as on the slide. */
function claimCell(claim: MatrixGroup["study"], lang: Language): string {
  if (claim === null) return STUDY_WORDS["not in the study"][lang];
  const text = claim.behaviour[lang];
  const verified = claim.impactVerified && claim.functionVerified;
  return plain(verified || text.includes("(はず)") ? text : `${text} (はず)`);
}

function comparisonCell(word: StudyComparison, context: RowContext): string {
  const { lang } = context;
  if (word === "not in the study") return DASH;
  const ref = word === "differs" || word === "inconclusive" ? noteRef(context) : "";
  return `${STUDY_WORDS[word][lang]}${substituteNote(context)}${ref}`;
}

/** The study's columns; a variant is not compared. */
function studyCells(context: RowContext): string[] {
  const { group, run, lang } = context;
  if (!isMain(group, run)) return [DASH, DASH, DASH];
  return [
    claimCell(run.claim, lang),
    comparisonCell(run.row.study.impact, context),
    comparisonCell(run.row.study.function, context),
  ];
}

/** The row of a run. */
export function runCells(context: RowContext): string[] {
  const { run, lang } = context;
  const invalid = `${SEVERITY_WORDS.inconclusive[lang]}${noteRef(context)}`;
  const application = isValid(context)
    ? [writesCell(context), impactCell(context), outageCell(context)]
    : [invalid, invalid, invalid];
  return [
    nameCell(context),
    withStudy(run.row.type, run.claim?.type ?? null, lang),
    countCell(context),
    severityCell(context),
    behaviourCell(context),
    ...application,
    recoveryCell(context),
    functionCell(context),
    downCell(context),
    suppressionCell(context),
    ...studyCells(context),
  ];
}

/** The row of a component without a run. It still shows what the study said. */
export function notRunCells({ name, study }: MatrixGroup, lang: Language): string[] {
  const word = NOT_RUN[lang];
  const beside = (value: string | number | undefined): string =>
    value === undefined ? DASH : `${DASH} (${CELL.study[lang]}: ${value})`;
  const compared = study === null ? DASH : word;
  return [
    plain(name),
    plain(beside(study?.type)),
    beside(study?.count),
    word,
    `${word}${lang === "en" ? ": " : "。"}${CELL.noReport[lang]}`,
    ...Array.from({ length: 7 }, () => word),
    claimCell(study, lang),
    compared,
    compared,
  ];
}
