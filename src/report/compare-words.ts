/** A comparison of two matrices in words. Pure. */
import { duration, plural, threshold } from "../common/figures.js";
import type { Change, ComparedRow, Comparison, Tolerance } from "./compare.js";

/** "times: 20 % longer, and at least 30.0 s; availability: 5 points lower". */
function toleranceText({ share, timeMs, availability }: Tolerance): string {
  const points = Number((availability * 100).toFixed(3));
  return `tolerated: times longer by ${threshold(share)} or ${duration(timeMs)}, whichever is more; availability lower by ${points} points`;
}

/** "kube-dns", or "kube-dns (kube-dns-fight)" for a variant. */
function title({ name, experiment }: ComparedRow): string {
  return name === experiment ? name : `${name} (${experiment})`;
}

/** What is behind the change of a row: sentences; none: nothing changed. */
export function sentencesOf({ change, because, better, environment }: ComparedRow): string[] {
  const more = change === "worse" && better.length > 0 ? ["But:", ...better] : better;
  const where = environment.length === 0 ? [] : [`Another environment: ${environment.join("; ")}.`];
  return [...because, ...more, ...where];
}

/** One row: "kube-dns: worse. When it dies, …". */
export function rowText(row: ComparedRow): string {
  return [`${title(row)}: ${row.change}.`, ...sentencesOf(row)].join(" ");
}

const ORDER: readonly Change[] = ["worse", "no history", "not measured", "inconclusive", "better"];

function endText({ rows, exitCode }: Comparison, accepted: string): string {
  const count = (...changes: readonly Change[]): number =>
    rows.filter(({ change }) => changes.includes(change)).length;
  const worse = count("worse");
  const unknown = count("no history", "not measured", "inconclusive");
  const rest = unknown === 0 ? "" : `, and ${plural(unknown, "row")} could not be compared`;
  if (worse > 0) return `Not accepted: ${plural(worse, "row")} got worse${rest}.`;
  if (exitCode === 0) return `Accepted: no row is worse than in the accepted matrix.`;
  return rows.length === 0
    ? "Not accepted: there is nothing to compare."
    : `Not accepted: no row is known to be worse, but ${plural(unknown, "row")} of ${rows.length} could not be compared, and what has no history has not passed.${count("no history") === 0 ? "" : ` If the present state is right, accept it: replace ${accepted} by the present reports, or by their impact-matrix.json.`}`;
}

/**
 * The comparison as lines: the worst rows first, then those that are as accepted, in one line.
 *
 * @param accepted where the accepted matrix is.
 * @param problem why it has no rows; undefined: it has some.
 */
export function comparisonLines(
  comparison: Comparison,
  accepted: string,
  problem: string | undefined,
): string[] {
  const { rows, tolerance } = comparison;
  const same = rows.filter(({ change }) => change === "as accepted");
  // Their environment is said, although nothing got worse there.
  const said = same.filter(({ environment }) => environment.length > 0);
  const quiet = same.filter(({ environment }) => environment.length === 0);
  return [
    `Compared with ${accepted} (${toleranceText(tolerance)}):`,
    ...(problem === undefined ? [] : [`No accepted matrix: ${problem}.`]),
    ...ORDER.flatMap((change) => rows.filter((row) => row.change === change).map(rowText)),
    ...said.map(rowText),
    ...(quiet.length === 0 ? [] : [`As accepted: ${quiet.map(title).join(", ")}.`]),
    endText(comparison, accepted),
  ];
}
