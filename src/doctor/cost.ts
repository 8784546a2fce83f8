/** What a failure of a component would cost: its row of the last matrix. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import { messageOf } from "../common/errors.js";
import { COMPONENTS, SEVERITIES } from "../experiment/names.js";
import type { ClusterFacts } from "./facts.js";
import type { Cost, Finding } from "./finding.js";
import { chaos } from "./words.js";

/** The part of impact-matrix.json that is needed; src/report/matrix.ts writes the file. */
const run = z.looseObject({
  row: z.looseObject({
    runId: z.string(),
    startedAt: z.string(),
    severity: z.enum(SEVERITIES),
    behaviour: z.looseObject({ en: z.string() }),
  }),
});
const matrix = z.looseObject({
  groups: z.array(
    z.looseObject({ component: z.string().nullable(), main: run.nullable(), variants: z.array(run) }),
  ),
});

const MATRIX_FILE = "impact-matrix.json";

/** The rows by component. `problem`: why there are none though there is a file, a clause. */
export interface LastMatrix {
  readonly costs: ReadonlyMap<string, Cost>;
  readonly problem?: string;
}

const NONE: LastMatrix = { costs: new Map() };

/** Pure. */
export function costsIn(json: string): LastMatrix {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    return { ...NONE, problem: "it is not JSON, or cut off" };
  }
  const parsed = matrix.safeParse(value);
  if (!parsed.success) return { ...NONE, problem: "it is no impact matrix of this version" };
  const costs = parsed.data.groups.flatMap(({ component, main, variants }): [string, Cost][] => {
    const row = (main ?? variants[0])?.row;
    if (component === null || row === undefined) return [];
    const { runId, startedAt, severity, behaviour } = row;
    return [[component, { known: true, runId, measuredAt: startedAt, severity, behaviour: behaviour.en }]];
  });
  return { costs: new Map(costs) };
}

/** The matrix in a folder of reports. Without one, or with a damaged one, costs are unknown. */
export async function readMatrixIn(folder: string): Promise<LastMatrix> {
  try {
    return costsIn(await readFile(join(folder, MATRIX_FILE), "utf8"));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code === "ENOENT" || code === "ENOTDIR" ? NONE : { ...NONE, problem: messageOf(error) };
  }
}

/** The same findings, each about a component with what its failure costs. Pure. */
export function withCosts(
  findings: readonly Finding[],
  { costs }: LastMatrix,
  facts: Pick<ClusterFacts, "place">,
): Finding[] {
  return findings.map((finding) => {
    const { component } = finding;
    if (component === undefined || !(COMPONENTS as readonly string[]).includes(component)) return finding;
    const cost = costs.get(component) ?? { known: false, measure: chaos(facts, "run", component) };
    return { ...finding, cost };
  });
}
