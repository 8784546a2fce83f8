/** `impact-matrix.md` and `impact-matrix.ja.md`: the matrix as a table, followed by notes, runs and definitions. */
import { FALSE_ALARMS_PER_RUN, FEWEST_FAILURES, NOISE_RATE } from "../analysis/noise.js";
import { DASH, duration, threshold } from "../common/figures.js";
import { type Language } from "../common/language.js";
import { differences } from "./environments.js";
import { cell, list, table } from "./markdown-text.js";
import { notRunCells, plain, runCells } from "./matrix-cells.js";
import { isMain, noteOf } from "./matrix-notes.js";
import type { MatrixRun } from "./matrix-run.js";
import { TALLY_WORDS, type MatrixGroup, type Tally } from "./matrix-summary.js";
import { CITATION, HEADER, legend, NOT_RUN, TEXT } from "./matrix-words.js";
import { shownRuns, type Matrix } from "./matrix.js";
import { ON_SUBSTITUTE_IMAGE, STUDY_WORDS } from "./words.js";

/** A table of cells that are already escaped. `table` would escape the bars in their links again. */
function rawTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  return [line(header), `|${header.map(() => "---").join("|")}|`, ...rows.map(line)].join("\n");
}

/** A run's name outside the main table: "kube-dns", "kube-dns ↳ its title". */
const label = (group: MatrixGroup, run: MatrixRun): string =>
  isMain(group, run) ? group.name : `${group.name} ↳ ${run.row.title}`;

interface Note {
  readonly run: MatrixRun;
  readonly text: string;
}

function notesOf(matrix: Matrix, lang: Language): Note[] {
  return shownRuns(matrix).flatMap(({ group, run }) => {
    const text = noteOf(group, run, lang);
    return text === undefined ? [] : [{ run, text: `**${cell(label(group, run))}**: ${text}` }];
  });
}

function mainTable(matrix: Matrix, notes: readonly Note[], lang: Language): string {
  const rows = matrix.groups.flatMap((group) => {
    if (group.main === null) return [notRunCells(group, lang)];
    return [group.main, ...group.variants].map((run) => {
      const index = notes.findIndex((note) => note.run === run);
      return runCells({ group, run, lang, note: index === -1 ? undefined : index + 1 });
    });
  });
  return rawTable(
    HEADER.map((name) => name[lang]),
    rows,
  );
}

function tallyRow(name: string, tally: Tally, lang: Language): string[] {
  const figures = TALLY_WORDS.map((word) => {
    const { count, onStandIn } = tally[word];
    if (onStandIn === 0) return String(count);
    return lang === "en"
      ? `${count} (${onStandIn} ${ON_SUBSTITUTE_IMAGE.en})`
      : `${count} (うち${ON_SUBSTITUTE_IMAGE.ja} ${onStandIn})`;
  });
  return [name, ...figures];
}

/** How many of the study's cells have which result. */
function summary({ summary: { rows, impact, function: own, beyond } }: Matrix, lang: Language): string {
  const en = lang === "en";
  const words = TALLY_WORDS.map((word) => (word === "not run" ? NOT_RUN[lang] : STUDY_WORDS[word][lang]));
  const counts = table(
    [en ? `Of the study's ${rows} rows` : `発表の ${rows} 行のうち`, ...words],
    [
      tallyRow(en ? "impact on the application" : "アプリケーションへの影響", impact, lang),
      tallyRow(en ? "own function" : "コンポーネント自体の機能", own, lang),
    ],
  );
  const more = en
    ? `Rows beyond the study's table: ${beyond.measured} measured, ${beyond.inconclusive} inconclusive, ${beyond.notRun} not run.`
    : `発表の表にない行: 測定済み ${beyond.measured}、判定不能 ${beyond.inconclusive}、未実施 ${beyond.notRun}。`;
  return `${counts}\n\n${more}`;
}

/** The thresholds of a run as a sentence. Runs with equal thresholds have the same sentence. */
function limits({ thresholds: limit, goodInARow }: MatrixRun, lang: Language): string {
  const [outage, degraded, down] = [limit.outageBelow, limit.degradedBelow, limit.suppression].map(threshold);
  const healthy = threshold(limit.baselineAvailability);
  const from = duration(limit.slowFrom);
  return lang === "en"
    ? `outage: writes under ${outage}; degraded, beyond noise: writes or reads under ${degraded}, or their p95 over ${limit.slowFactor} times the baseline's and at least ${from}; unhealthy before, beyond noise: under ${healthy}; down: at least ${down} of the time from the first moment down to the release; ${goodInARow} good samples in a row end an outage`
    : `サービス障害: 書き込みの成功率 ${outage} 未満。性能低下 (ノイズを超える場合のみ): 読み書きの成功率 ${degraded} 未満、または p95 が停止前の ${limit.slowFactor} 倍超かつ ${from} 以上。停止前の異常 (ノイズを超える場合のみ): ${healthy} 未満。停止とみなす: 最初に停止してから解除までの ${down} 以上。${goodInARow} 回連続の成功で断の終わりとする`;
}

function thresholds(matrix: Matrix, lang: Language): string {
  const runs = shownRuns(matrix);
  const sets = new Map<string, string[]>();
  for (const { group, run } of runs) {
    const text = limits(run, lang);
    sets.set(text, [...(sets.get(text) ?? []), cell(label(group, run))]);
  }
  const below = threshold(matrix.functionLostBelow);
  const own =
    lang === "en"
      ? `Own function, if samples show it: lost under ${below}, partly lost under the threshold of degraded.`
      : `コンポーネント自体の機能 (連続した測定値で判断する場合): ${below} 未満で停止、性能低下のしきい値未満で一部停止。`;
  const [rate, chance] = [threshold(NOISE_RATE), Math.round(1 / FALSE_ALARMS_PER_RUN)];
  const noise =
    lang === "en"
      ? `Beyond noise: ${FEWEST_FAILURES} or more failures, more than chance gives once in ${chance} runs at the baseline's share of failed samples (at least ${rate}).`
      : `ノイズを超える: 失敗が ${FEWEST_FAILURES} 回以上で、停止前の失敗率 (少なくとも ${rate}) から偶然に生じるのが ${chance} 回の実行に 1 回以下の数。`;
  const all = lang === "en" ? "All rows" : "全行";
  const separator = lang === "en" ? ", " : "、";
  const stop = lang === "en" ? "." : "。";
  const lines = [...sets].map(
    ([text, names]) => `**${sets.size === 1 ? all : names.join(separator)}**: ${text}${stop}`,
  );
  return runs.length === 0 ? "" : list([...lines, noise, own]);
}

const attackedNodes = (count: number | null, lang: Language): string =>
  count === null ? "" : lang === "en" ? ` (${count} attacked)` : ` (対象 ${count})`;

function attackOf({ type, everyMs }: MatrixRun["row"]["attack"], lang: Language): string {
  if (everyMs === null) return type;
  return lang === "en" ? `${type}, every ${duration(everyMs)}` : `${type} (${duration(everyMs)} ごと)`;
}

function runTable(matrix: Matrix, lang: Language): string {
  const en = lang === "en";
  const runs = shownRuns(matrix);
  if (runs.length === 0) return en ? "No run." : "実行なし。";
  const header = en
    ? ["Row", "Run", "Started", "Attack", "Window", "Cluster", "Kubernetes", "Runtime", "Version of chaos"]
    : ["行", "実行", "開始", "停止方法", "停止期間", "クラスタ", "Kubernetes", "ランタイム", "chaos の版"];
  const rows = runs.map(({ group, run }) => {
    const { row, cluster, links } = run;
    const nodes = en ? `${cluster.nodes} nodes` : `${cluster.nodes} ノード`;
    const attacked = attackedNodes(row.nodes?.length ?? null, lang);
    return [
      plain(label(group, run)),
      links.report === null ? plain(row.runId) : `[${plain(row.runId)}](${links.report})`,
      plain(row.startedAt),
      plain(attackOf(row.attack, lang)),
      duration(run.windowMs),
      plain(`${cluster.provider}${en ? ", " : "、"}${nodes}${attacked}`),
      plain(cluster.version),
      plain(cluster.runtimes.join(", ") || DASH),
      plain(run.toolVersion),
    ];
  });
  return rawTable(header, rows);
}

/** The rows that are not about the guestbook; empty: none. */
function applications(matrix: Matrix, lang: Language): string {
  const others = shownRuns(matrix).flatMap(({ group, run }) => {
    const { application } = run.row;
    return application === undefined ? [] : [`${plain(label(group, run))}: ${plain(application)}`];
  });
  if (others.length === 0) return "";
  return lang === "en"
    ? `Measured on an existing application, not on the guestbook: ${others.join(", ")}.`
    : `guestbook ではなく、既存のアプリケーションで測定した行: ${others.join("、")}。`;
}

/** Runs that exist but are not in the table. */
function leftOut({ groups, controlRuns }: Matrix, lang: Language): string {
  const older = groups.filter(({ olderRuns }) => olderRuns > 0);
  const total = older.reduce((sum, { olderRuns }) => sum + olderRuns, 0);
  const en = lang === "en";
  const by = older.map(({ name, olderRuns }) => `${cell(name)}: ${olderRuns}`).join(en ? ", " : "、");
  const lines: string[] = [];
  if (total > 0) {
    lines.push(
      en
        ? `${total} older ${total === 1 ? "run" : "runs"} of the same experiments not shown (${by}).`
        : `同じ実験の古い実行 ${total} 件は表示していない (${by})。`,
    );
  }
  if (controlRuns > 0) {
    lines.push(
      en
        ? `${controlRuns} control ${controlRuns === 1 ? "run" : "runs"} (nothing was taken down) not shown.`
        : `対照実験 (何も停止しない実行) ${controlRuns} 件は表示していない。`,
    );
  }
  return lines.join(en ? " " : "");
}

/** Each substitute image that a shown run used, and the rows of which it was the target. */
function substituteImages(matrix: Matrix, lang: Language): string {
  const en = lang === "en";
  const found = new Map<string, { image: string; description: string; targets: string[] }>();
  for (const { group, run } of shownRuns(matrix)) {
    for (const { image, description, victim } of run.standIns) {
      const key = JSON.stringify([image, description]);
      const each = found.get(key) ?? { image, description, targets: [] };
      if (victim) each.targets.push(label(group, run));
      found.set(key, each);
    }
  }
  if (found.size === 0) {
    return en
      ? "None: every image that the runs used is what its name says."
      : "なし。どの実行でも、イメージは名前のとおりのものだった。";
  }
  const header = en
    ? ["Image", "What it is", "Is itself the target of"]
    : ["イメージ", "内容 (イメージの説明の原文)", "これ自体が停止対象だった行"];
  const rows = [...found]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, { image, description, targets }]) => [
      plain(image),
      plain(description),
      targets.length === 0 ? DASH : `**${plain(targets.join(en ? ", " : "、"))}**`,
    ]);
  return rawTable(header, rows);
}

/** Rows of different clusters are compared with care. */
function environments(matrix: Matrix, lang: Language): string {
  const runs = shownRuns(matrix).map(({ group, run }) => ({
    name: label(group, run),
    environment: run.environment,
  }));
  return differences(runs, lang);
}

function section(title: string, ...paragraphs: readonly string[]): string {
  const content = paragraphs.filter((paragraph) => paragraph !== "");
  return content.length === 0 ? "" : [`## ${title}`, ...content].join("\n\n");
}

/** The matrix in Markdown. Pure: the same matrix gives the same text. */
export function matrixMarkdown(matrix: Matrix, lang: Language): string {
  const notes = notesOf(matrix, lang);
  const numbered = notes.map(({ text }, index) => `${index + 1}. ${text}`).join("\n");
  const words = (texts: readonly Readonly<Record<Language, string>>[]): string =>
    list(texts.map((text) => text[lang]));
  const sections = [
    `# ${TEXT.title[lang]}`,
    TEXT.intro[lang],
    mainTable(matrix, notes, lang),
    section(TEXT.notes[lang], numbered),
    section(TEXT.summary[lang], summary(matrix, lang)),
    section(
      TEXT.runs[lang],
      runTable(matrix, lang),
      applications(matrix, lang),
      environments(matrix, lang),
      leftOut(matrix, lang),
    ),
    section(TEXT.substituteImages[lang], substituteImages(matrix, lang)),
    section(TEXT.thresholds[lang], thresholds(matrix, lang)),
    section(
      TEXT.words[lang],
      words(legend(shownRuns(matrix).some(({ run }) => run.row.application !== undefined))),
    ),
    section(TEXT.source[lang], words(CITATION)),
  ];
  return `${sections.filter((text) => text !== "").join("\n\n")}\n`;
}
