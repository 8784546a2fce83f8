/** The present matrix against the accepted one: what got worse. Pure. */
import { CLIENT_CLASSES } from "../analysis/result.js";
import { ExitCode } from "../common/errors.js";
import { duration, percent } from "../common/figures.js";
import { SEVERITIES } from "../experiment/names.js";
import { PARTS, partOf } from "./environments.js";
import type { MatrixRun } from "./matrix-run.js";
import { type Matrix, shownRuns } from "./matrix.js";

/** By how much a row may differ from the accepted one. */
export interface Tolerance {
  /** Times: longer by this share of the accepted time, … */
  readonly share: number;
  /** … and by at least this, ms. */
  readonly timeMs: number;
  /** Availability: lower by this (0.1: ten percentage points). */
  readonly availability: number;
}

/**
 * Measured. 30 s: six runs of kube-dns with a window of 60 s on one lab had outages of 61 to 91 s and recoveries of 11 to 40
 * s, because addon-manager restores only every 60 s and a run ends at any point of that minute. 20 %: for windows so long
 * that 30 s are less. 10 points: of a share of the 240 samples that a worker takes in 60 s, chance alone makes one run of a
 * hundred at most lower by more (binomial, both runs).
 */
export const DEFAULT_TOLERANCE: Tolerance = { share: 0.2, timeMs: 30_000, availability: 0.1 };

/**
 * no history: there is no accepted run that it could be compared with. not measured: accepted, but not measured since.
 * inconclusive: the present run shows nothing. None of these three is a pass.
 */
export type Change = "worse" | "no history" | "not measured" | "inconclusive" | "better" | "as accepted";

/** What the comparison needs of a run: an accepted matrix may be of an older version. */
export type ComparedRun = Pick<MatrixRun, "windowMs" | "environment" | "cluster"> & {
  readonly row: Pick<
    MatrixRun["row"],
    | "runId"
    | "startedAt"
    | "experiment"
    | "name"
    | "application"
    | "attack"
    | "severity"
    | "verdict"
    | "writeAvailability"
    | "longestOutageMs"
    | "intermittentMs"
    | "recoveryMs"
    | "functionState"
    | "functionBackMs"
    | "onStandIn"
  > & { readonly client: { readonly class: (typeof CLIENT_CLASSES)[number] } | null };
};

export interface ComparedRow {
  readonly experiment: string;
  readonly name: string;
  readonly change: Change;
  /** What got worse, or why there is no comparison; each a sentence. */
  readonly because: readonly string[];
  /** What got better. */
  readonly better: readonly string[];
  /** What differs between the two environments: "Kubernetes: v1.33.1, accepted: v1.32.0". */
  readonly environment: readonly string[];
  /** Ids of the two runs; null: there is none. */
  readonly accepted: string | null;
  readonly present: string | null;
}

export interface Comparison {
  readonly tolerance: Tolerance;
  readonly rows: readonly ComparedRow[];
  /** 0: nothing is worse. 1: a row is worse. 2: none is, but a row could not be compared. */
  readonly exitCode: ExitCode;
}

/** What the texts call the run that a present one is compared with. */
interface Earlier {
  /** Before what it had: "accepted: 2.0 s". */
  readonly had: string;
  readonly run: string;
  readonly only: string;
}

const ACCEPTED: Earlier = { had: "accepted", run: "accepted run", only: "only when accepted" };
/** Of the index, which compares with the run before. */
export const LAST_RUN: Earlier = { had: "before", run: "last run", only: "only before" };

/** The runs of a matrix that can be compared: one for each experiment. */
export function comparedRuns(matrix: Matrix): ComparedRun[] {
  return shownRuns(matrix).map(({ run }) => run);
}

/**
 * @param only these experiments, by name; empty: all.
 */
export function compare(
  accepted: readonly ComparedRun[],
  present: readonly ComparedRun[],
  tolerance: Tolerance,
  only: readonly string[] = [],
): Comparison {
  const wanted = ({ row }: ComparedRun): boolean => only.length === 0 || only.includes(row.experiment);
  const before = new Map(accepted.filter(wanted).map((run) => [run.row.experiment, run]));
  const now = present.filter(wanted);
  const measured = new Set(now.map(({ row }) => row.experiment));
  const missing = [...before.values()].filter(({ row }) => !measured.has(row.experiment));
  const rows = [
    ...now.map((run) => comparedRow(before.get(run.row.experiment), run, tolerance, ACCEPTED)),
    ...missing.map((run) => notMeasured(run, "It is accepted, but has no present run.")),
  ];
  return { tolerance, rows, exitCode: exitCodeOf(rows) };
}

function exitCodeOf(rows: readonly ComparedRow[]): ExitCode {
  const changes = rows.map(({ change }) => change);
  if (changes.includes("worse")) return ExitCode.differs;
  const good = changes.every((change) => change === "as accepted" || change === "better");
  return good && rows.length > 0 ? ExitCode.asExpected : ExitCode.inconclusive;
}

function notMeasured({ row: { experiment, name, runId } }: ComparedRun, because: string): ComparedRow {
  return {
    ...{ experiment, name, change: "not measured", because: [because] },
    ...{ better: [], environment: [], accepted: runId, present: null },
  };
}

/** @param accepted the earlier run, whatever `earlier` calls it; undefined: there is none. */
export function comparedRow(
  accepted: ComparedRun | undefined,
  present: ComparedRun,
  tolerance: Tolerance,
  earlier: Earlier,
): ComparedRow {
  const { experiment, name, runId, verdict } = present.row;
  const about = {
    ...{ experiment, name, present: runId, accepted: accepted?.row.runId ?? null, better: [] },
    environment: accepted === undefined ? [] : differencesOf(accepted, present, earlier),
  };
  // The worst of all needs no history.
  if (verdict === "not restored")
    return { ...about, change: "worse", because: ["The cluster was not restored after it."] };
  const why = notComparable(accepted, present, earlier);
  if (why !== undefined) return { ...about, ...why };
  const findings = ASPECTS.flatMap((aspect) => aspect(accepted?.row ?? present.row, present.row, tolerance));
  const texts = (worse: boolean): string[] =>
    findings
      .filter((finding) => finding.worse === worse)
      .map(({ text, was, tolerated = "" }) => `${text} (${earlier.had}: ${was}${tolerated}).`);
  const [because, better] = [texts(true), texts(false)];
  const change = because.length > 0 ? "worse" : better.length > 0 ? "better" : "as accepted";
  return { ...about, change, because, better };
}

const applicationOf = ({ row: { application = "the guestbook" } }: ComparedRun): string => application;

/** Why two runs cannot be compared; undefined: they can. */
function notComparable(
  accepted: ComparedRun | undefined,
  present: ComparedRun,
  { had, run }: Earlier,
): Pick<ComparedRow, "change" | "because"> | undefined {
  const none = (text: string): Pick<ComparedRow, "change" | "because"> => ({
    change: "no history",
    because: [text],
  });
  if (present.row.severity === "inconclusive")
    return { change: "inconclusive", because: [`The present run shows nothing (${present.row.verdict}).`] };
  if (accepted === undefined) return none(`It has no ${run}.`);
  if (accepted.row.severity === "inconclusive") return none(`Its ${run} is inconclusive.`);
  if (accepted.row.application !== present.row.application)
    return none(
      `It measured another application: ${applicationOf(present)}, ${had}: ${applicationOf(accepted)}.`,
    );
  const [one, other] = [accepted.row.attack, present.row.attack];
  if (one.type !== other.type || one.everyMs !== other.everyMs)
    return none(`Its attack is another one: ${other.type}, ${had}: ${one.type}.`);
  if (accepted.windowMs !== present.windowMs)
    return none(
      `Its window has another length: ${duration(present.windowMs)}, ${had}: ${duration(accepted.windowMs)}.`,
    );
  const same = accepted.row.runId === present.row.runId && accepted.row.startedAt === present.row.startedAt;
  return same
    ? { change: "not measured", because: ["Its newest run is the accepted one itself."] }
    : undefined;
}

interface Finding {
  readonly worse: boolean;
  /** What is so now: a sentence, without its full stop. */
  readonly text: string;
  /** What was so in the earlier run. */
  readonly was: string;
  /** "; tolerated: up to 32.0 s" */
  readonly tolerated?: string;
}

type Row = ComparedRun["row"];
type Aspect = (accepted: Row, present: Row, tolerance: Tolerance) => Finding[];

/** What a severity means for people who do not know its word. */
const SEVERITY_MEANS: Readonly<Record<Row["severity"], string>> = {
  outage: "the application stops working",
  degraded: "the application partly fails, or is slow",
  "function lost": "the application works, but what the component itself does is lost",
  none: "nothing is lost",
  inconclusive: "it is not known what happens",
};

const CLIENT_MEANS: Readonly<Record<(typeof CLIENT_CLASSES)[number], string>> = {
  unreachable: "nobody can reach the application for a time",
  intermittent: "some requests fail",
  slow: "requests are slow",
  unaffected: "users notice nothing",
};

/** Of a list from the worst to the best. */
function ranked<T>(
  list: readonly T[],
  [before, now]: readonly [T, T],
  means: (each: T) => string,
): Finding[] {
  if (before === now) return [];
  const worse = list.indexOf(now) < list.indexOf(before);
  return [{ worse, text: `When it dies, ${means(now)}`, was: means(before) }];
}

const severity: Aspect = (before, now) =>
  ranked(SEVERITIES, [before.severity, now.severity], (each) => SEVERITY_MEANS[each]);

// Another severity says it already.
const client: Aspect = (before, now) =>
  before.severity !== now.severity || before.client === null || now.client === null
    ? []
    : ranked(CLIENT_CLASSES, [before.client.class, now.client.class], (each) => CLIENT_MEANS[each]);

const FUNCTION_STATES: readonly Row["functionState"][] = ["lost", "partly lost", "kept"];

const ownFunction: Aspect = (before, now) => {
  const [was, is] = [before.functionState, now.functionState];
  // The severity says it already.
  if (before.severity !== now.severity && [before.severity, now.severity].includes("function lost"))
    return [];
  const known = FUNCTION_STATES.includes(was) && FUNCTION_STATES.includes(is);
  if (!known && was !== is && FUNCTION_STATES.includes(was))
    return [{ worse: true, text: `What the component itself does was ${is}`, was }];
  return known
    ? ranked(FUNCTION_STATES, [was, is], (each) => `what the component itself does is ${each}`)
    : [];
};

/** The longest time that is still as accepted, and the shortest. */
function limits(acceptedMs: number, { share, timeMs }: Tolerance): { most: number; least: number } {
  const slack = Math.max(timeMs, acceptedMs * share);
  return { most: acceptedMs + slack, least: acceptedMs - slack };
}

/**
 * @param never what is said when it was accepted with a time and has none now; undefined: none is better.
 */
function time(
  key: "longestOutageMs" | "intermittentMs" | "recoveryMs" | "functionBackMs",
  say: (time: string) => string,
  never?: string,
): Aspect {
  return (before, now, tolerance) => {
    const [was, is] = [before[key], now[key]];
    if (was === null) return [];
    if (is === null) return never === undefined ? [] : [{ worse: true, text: never, was: duration(was) }];
    const { most, least } = limits(was, tolerance);
    if (is <= most && is >= least) return [];
    const tolerated = is > most ? `; tolerated: up to ${duration(most)}` : "";
    return [{ worse: is > most, text: say(duration(is)), was: duration(was), tolerated }];
  };
}

const availability: Aspect = (before, now, tolerance) => {
  const [was, is] = [before.writeAvailability, now.writeAvailability];
  if (was === null || is === null) return [];
  // The addend corrects binary rounding: 0.95 - 0.05 must not count as under 0.9.
  const slack = tolerance.availability + 1e-9;
  if (is >= was - slack && is <= was + slack) return [];
  const worse = is < was;
  const tolerated = worse ? `; tolerated: down to ${percent(Math.max(0, was - tolerance.availability))}` : "";
  return [
    {
      worse,
      text: `While it is down, ${percent(is)} of the application's writes now succeed`,
      was: percent(was),
      tolerated,
    },
  ];
};

const ASPECTS: readonly Aspect[] = [
  severity,
  client,
  ownFunction,
  time("longestOutageMs", (text) => `When it dies, the application now fails for ${text} without a break`),
  time("intermittentMs", (text) => `When it dies, some requests now fail for ${text}`),
  availability,
  time(
    "recoveryMs",
    (text) => `After it is released, everything now works again in ${text}`,
    "After it is released, it was not seen that everything works again",
  ),
  time(
    "functionBackMs",
    (text) => `After it is released, what the component itself does now works again in ${text}`,
    "After it is released, it was not seen that what the component itself does works again",
  ),
];

/** What differs between two environments, as far as both are known. */
function differencesOf(accepted: ComparedRun, present: ComparedRun, { had, only }: Earlier): string[] {
  const pairs: (readonly [string, string | undefined, string | undefined])[] =
    accepted.environment === undefined || present.environment === undefined
      ? [
          ["Kubernetes", accepted.cluster.version, present.cluster.version],
          ["Nodes", String(accepted.cluster.nodes), String(present.cluster.nodes)],
        ]
      : PARTS.map(([key, words]) => [
          words.en,
          accepted.environment && partOf(accepted.environment, key),
          present.environment && partOf(present.environment, key),
        ]);
  const parts = pairs.flatMap(([name, was, is]) =>
    was === undefined || is === undefined || was === is ? [] : [`${name}: ${is}, ${had}: ${was}`],
  );
  if (accepted.row.onStandIn === present.row.onStandIn) return parts;
  return [...parts, `on a substitute image: ${present.row.onStandIn ? "now" : only}`];
}
