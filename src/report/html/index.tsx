/** The index of a folder of reports as a page. Pure. */
import type { VNode } from "preact";
import { DASH, duration, percent, plural, threshold } from "../../common/figures.js";
import { SEVERITIES } from "../../experiment/names.js";
import { type ComparedRow, DEFAULT_TOLERANCE } from "../compare.js";
import { sentencesOf } from "../compare-words.js";
import type { MatrixGroup } from "../matrix-summary.js";
import type { MatrixRun } from "../matrix-run.js";
import type { Matrix } from "../matrix.js";
import { FUNCTION_WORDS, SEVERITY_WORDS, STUDY_WORDS, VERDICT_WORDS } from "../words.js";
import type { Assets } from "./assets.js";
import { documentText } from "./document.js";
import { Badge, Header } from "./parts.js";

export interface IndexRow {
  readonly group: MatrixGroup;
  readonly run: MatrixRun;
  /** Relative to the index; null: the run has no report. */
  readonly page: string | null;
  readonly change: ComparedRow;
  /** The run before it, of the same experiment; null: it is the first. */
  readonly before: { readonly page: string | null; readonly startedAt: string } | null;
}

/** The sign and the word of a change: neither needs its colour. */
const CHANGE: Readonly<Record<ComparedRow["change"], readonly [sign: string, word: string, kind: string]>> = {
  worse: ["▼", "worse", "worse"],
  better: ["▲", "better", "better"],
  "as accepted": ["=", "same", ""],
  "no history": ["", "not comparable", ""],
  "not measured": ["", "not comparable", ""],
  inconclusive: ["?", "inconclusive", ""],
};

/** "2026-11-29 12:09" */
const minute = (startedAt: string): string => startedAt.slice(0, 16).replace("T", " ");

function Change({ change, before }: Pick<IndexRow, "change" | "before">): VNode {
  if (before === null) return <span class="faint">first run</span>;
  const [sign, word, kind] = CHANGE[change.change];
  const why = sentencesOf(change).join(" ");
  return (
    <>
      <strong class={kind}>
        <span aria-hidden="true">{sign}</span> {word}
      </strong>
      {why === "" ? null : <div class="faint">{why}</div>}
      <div class="faint">
        since{" "}
        {before.page === null ? (
          minute(before.startedAt)
        ) : (
          <a href={before.page}>{minute(before.startedAt)}</a>
        )}
      </div>
    </>
  );
}

function Name({ group, run, page }: IndexRow): VNode {
  const { experiment } = run.row;
  const name = page === null ? group.name : <a href={page}>{group.name}</a>;
  return (
    <>
      <strong>{name}</strong>
      {experiment === group.name ? null : <div class="faint">{experiment}</div>}
    </>
  );
}

const HEADINGS = [
  ["Component", ""],
  ["Severity", ""],
  // Before the columns that a narrow window cuts off.
  ["Since the last run", "change"],
  ["Behaviour when stopped", "wide-only"],
  ["Writes in the window", "wide-only number"],
  ["Longest outage", "wide-only number"],
  ["Recovery", "wide-only number"],
  ["Own function", "wide-only"],
  ["Study (impact / function)", "wide-only"],
  ["Verdict", "wide-only"],
] as const;

/** A share as a bar: the picture of the figure above it. */
function Bar({ share }: { share: number | null }): VNode | null {
  if (share === null) return null;
  return (
    <svg class="bar" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">
      <rect class="lost" width="100" height="6" />
      <rect class="kept" width={Math.round(share * 100)} height="6" />
    </svg>
  );
}

function Row(props: IndexRow): VNode {
  const { row, outageOpen } = props.run;
  const longest =
    row.longestOutageMs === null || row.longestOutageMs === 0
      ? DASH
      : `${outageOpen ? "≥ " : ""}${duration(row.longestOutageMs)}`;
  const cells = [
    row.behaviour.en,
    <>
      {percent(row.writeAvailability)}
      <Bar share={row.writeAvailability} />
    </>,
    longest,
    duration(row.recoveryMs),
    FUNCTION_WORDS[row.functionState].en,
    row.study.impact === "not in the study"
      ? STUDY_WORDS[row.study.impact].en
      : `${STUDY_WORDS[row.study.impact].en} / ${STUDY_WORDS[row.study.function].en}`,
    VERDICT_WORDS[row.verdict].en,
  ];
  return (
    <tr>
      <th scope="row">
        <Name {...props} />
        <div class="faint minute">{minute(row.startedAt)}</div>
      </th>
      <td>
        <Badge severity={row.severity}>{SEVERITY_WORDS[row.severity].en}</Badge>
        {row.onStandIn ? <div class="faint">on a substitute image</div> : null}
      </td>
      <td class="change">
        <Change {...props} />
      </td>
      {cells.map((text, column) => (
        <td class={HEADINGS[column + 3]?.[1] ?? ""}>{text}</td>
      ))}
    </tr>
  );
}

/** "2 outages, 12 function lost, 1 inconclusive; since the last runs: 1 worse". */
function summaryOf(rows: readonly IndexRow[]): string {
  const count = <T extends string>(values: readonly T[]): string => {
    const by = new Map<T, number>();
    for (const value of values) by.set(value, (by.get(value) ?? 0) + 1);
    return [...by].map(([value, number]) => `${number} ${value}`).join(", ");
  };
  const of = ({ run }: IndexRow): number => SEVERITIES.indexOf(run.row.severity);
  const severities = [...rows].sort((a, b) => of(a) - of(b)).map(({ run }) => run.row.severity);
  const changed = rows.flatMap(({ change, before }) => (before === null ? [] : [CHANGE[change.change][1]]));
  const since = changed.length === 0 ? "" : ` Since the last runs: ${count(changed)}.`;
  return `${plural(rows.length, "experiment")}: ${count(severities)}.${since}`;
}

function Body({ matrix, rows }: { matrix: Matrix; rows: readonly IndexRow[] }): VNode {
  const notRun = matrix.groups.filter(({ main, variants }) => main === null && variants.length === 0);
  const { share, timeMs, availability } = DEFAULT_TOLERANCE;
  return (
    <>
      <Header />
      <main>
        <h1>If it dies, what happens to the application?</h1>
        <p class="lead">{summaryOf(rows)}</p>
        <div class="scroll index" role="region" aria-label="Impact matrix" tabindex={0}>
          <table>
            <thead>
              <tr>
                {HEADINGS.map(([name, kind]) => (
                  <th scope="col" class={kind}>
                    {name}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {rows.map((row) => (
                <Row {...row} />
              ))}
            </tbody>
          </table>
        </div>
        {notRun.length === 0 ? null : (
          <p class="faint">Not run: {notRun.map(({ name }) => name).join(", ")}.</p>
        )}
        {matrix.controlRuns === 0 ? null : (
          <p class="faint">
            {plural(matrix.controlRuns, "control run")}, in which nothing was taken down: no rows.
          </p>
        )}
        <p class="faint">
          The same: times up to {threshold(share)} or {duration(timeMs)} longer or shorter, whichever is more;
          writes up to {Math.round(availability * 100)} points higher or lower. Compared with the run before
          it of the same experiment.
        </p>
      </main>
      <footer>kube-system chaos · impact-matrix.md has the notes, thresholds and words.</footer>
    </>
  );
}

export function indexPage(matrix: Matrix, rows: readonly IndexRow[], assets: Assets): string {
  return documentText({
    title: "Impact matrix · kube-system chaos",
    assets,
    children: <Body matrix={matrix} rows={rows} />,
  });
}
