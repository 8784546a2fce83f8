/** How many of the study's cells were confirmed, newly verified, and so on. Always computed. */
import type { StudyComparison } from "../analysis/result.js";
import type { StudyClaim } from "../components/component.js";
import type { MatrixRun } from "./matrix-run.js";

export const TALLY_WORDS = ["confirmed", "newly verified", "differs", "inconclusive", "not run"] as const;

type TallyWord = (typeof TALLY_WORDS)[number];

/** `onStandIn`: how many of the count were measured on a substitute image. */
export type Tally = Readonly<Record<TallyWord, { readonly count: number; readonly onStandIn: number }>>;

export interface MatrixSummary {
  /** Rows of the study's table. Variants are not compared. */
  readonly rows: number;
  readonly impact: Tally;
  readonly function: Tally;
  /** Rows that the study's table does not have. */
  readonly beyond: { readonly measured: number; readonly inconclusive: number; readonly notRun: number };
}

function word(group: MatrixGroup, side: "impact" | "function"): TallyWord {
  const said: StudyComparison | "not run" = group.main === null ? "not run" : group.main.row.study[side];
  // For a row of the study, "not in the study" can only mean that its run was not compared.
  return said === "not in the study" ? "inconclusive" : said;
}

function tally(groups: readonly MatrixGroup[], side: "impact" | "function"): Tally {
  const of = (each: TallyWord): Tally[TallyWord] => {
    const same = groups.filter((group) => word(group, side) === each);
    return { count: same.length, onStandIn: same.filter(({ main }) => main?.row.onStandIn === true).length };
  };
  return {
    confirmed: of("confirmed"),
    "newly verified": of("newly verified"),
    differs: of("differs"),
    inconclusive: of("inconclusive"),
    "not run": of("not run"),
  };
}

export function summaryOf(groups: readonly MatrixGroup[]): MatrixSummary {
  const inStudy = groups.filter(({ study }) => study !== null);
  const beyond = groups.filter(({ study }) => study === null);
  const ran = beyond.filter(({ main }) => main !== null);
  const inconclusive = ran.filter(({ main }) => main?.row.severity === "inconclusive").length;
  return {
    rows: inStudy.length,
    impact: tally(inStudy, "impact"),
    function: tally(inStudy, "function"),
    beyond: { measured: ran.length - inconclusive, inconclusive, notRun: beyond.length - ran.length },
  };
}

/** A component, or another workload, with its runs. */
export interface MatrixGroup {
  /** null: a user's workload. */
  readonly component: string | null;
  readonly name: string;
  readonly study: StudyClaim | null;
  /** The run that is compared with the study: the experiment with the component's name. null: not run. */
  readonly main: MatrixRun | null;
  /** Its other experiments, by name. */
  readonly variants: readonly MatrixRun[];
  /** Number of older runs of the same experiments, which are not shown. */
  readonly olderRuns: number;
}
