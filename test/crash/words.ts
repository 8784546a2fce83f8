/** The output of the crash test: one line per point, and the table at the end. Pure. */
import { COLUMNS } from "./attacks.js";
import { PHASES } from "./phases.js";
import type { Outcome } from "./point.js";

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;

/** After a restore that waited until all is ready, the rest takes less than this, ms. If not, the line says why. */
const LONG_REST_MS = 500;

export const LEGEND =
  "point  seed  mode  attack  wanted phase + delay → phase hit  signal  restored by (time)  at rest after  total  result";

export function pointLine(outcome: Outcome): string {
  const { point, hit, restoredBy, restoreMs, restMs, restless, tookMs, problems } = outcome;
  const second = point.signal === "SIGINT2" ? ` +${point.secondAfterMs} ms` : "";
  return [
    String(point.number).padStart(4),
    `seed ${point.seed}`,
    point.mode,
    `${point.attack.column} (${point.attack.name})`.padEnd(31),
    `${`${point.phase} + ${point.delayMs} ms`.padEnd(20)} → ${hit.padEnd(9)}`,
    "kind" in point ? point.kind : `${point.signal}${second}`,
    `${restoredBy} (${seconds(restoreMs)})`.padEnd(22),
    `rest ${seconds(restMs)}${restMs < LONG_REST_MS ? "" : ` (${restless.slice(0, 3).join(", ")})`}`,
    `${seconds(tookMs)}`,
    problems.length === 0 ? (hit === "over" ? "as before, but missed" : "as before") : "FAILED",
  ].join("  ");
}

/** What is wrong at a point, where its files are, and how to repeat it. */
export function failureLines({ problems, folder, point }: Outcome): string[] {
  const signal = point.signal === "SIGKILL" ? "" : ` --signal ${point.signal}`;
  const which = "kind" in point ? "--kinds" : `--seed ${point.seed}`;
  const where = "kind" in point ? "" : ` --phase ${point.phase}${signal}`;
  return [
    ...problems.slice(0, 20).map((each) => `        ${each}`),
    ...(problems.length > 20 ? [`        and ${problems.length - 20} more`] : []),
    `        files: ${folder}`,
    `        again: npm run test:crash -- ${which} --point ${point.number}${where}`,
  ];
}

/** Phases that were hit × attacks, and how many points ended as before. */
export function table(outcomes: readonly Outcome[]): string[] {
  const hits = outcomes.filter(({ hit }) => hit !== "over");
  const rows = [...PHASES, ...(hits.some(({ hit }) => hit === "start") ? (["start"] as const) : [])];
  const count = (phase: string | undefined, column: string | undefined): number =>
    hits.filter(
      ({ hit, point }) =>
        (phase === undefined || hit === phase) && (column === undefined || point.attack.column === column),
    ).length;
  const line = (head: string, cells: readonly (string | number)[]): string =>
    [
      head.padEnd(10),
      ...cells.map((cell, index) => String(cell).padStart((COLUMNS[index] ?? "total").length)),
    ].join("  ");
  const row = (phase: string | undefined): string =>
    line(phase ?? "total", [...COLUMNS.map((column) => count(phase, column)), count(phase, undefined)]);
  const good = outcomes.filter(({ problems }) => problems.length === 0);
  const asBefore = good.filter(({ hit }) => hit !== "over");
  const worst = Math.max(0, ...good.map(({ restMs }) => restMs));
  const restorers = new Map<string, number>();
  for (const { restoredBy } of hits) {
    const name = restoredBy.replace(/ \(.*/, "");
    restorers.set(name, (restorers.get(name) ?? 0) + 1);
  }
  return [
    line("phase hit", [...COLUMNS, "total"]),
    ...rows.map(row),
    row(undefined),
    `restored by: ${[...restorers].map(([name, number]) => `${name} ${number}`).join(", ")}`,
    `longest until at rest after the restore: ${seconds(worst)}`,
    ...(outcomes.length > hits.length
      ? [`signals that came too late: ${outcomes.length - hits.length}`]
      : []),
    `${asBefore.length} of ${hits.length} as before`,
  ];
}
