/** What two probes of one layer show together: one keeps its socket or connection, the other has a new one each time. */
import type { MeasuredPhase, PhaseStats, RunResult } from "../analysis/result.js";
import { percent } from "../common/figures.js";
import type { ProbeName } from "../experiment/names.js";
import { list } from "./markdown-text.js";

interface Pair {
  readonly kept: ProbeName;
  readonly fresh: ProbeName;
  /** Only the kept one fails, and only the fresh one fails: what fails, and what works meanwhile. */
  readonly keptFails: readonly [string, string];
  readonly freshFails: readonly [string, string];
  /** What can be the cause if only the kept one fails. */
  readonly because: string;
}

const PAIRS: readonly Pair[] = [
  {
    kept: "dns-same-socket",
    fresh: "dns-internal",
    keptFails: ["look-ups on an open socket fail", "fresh ones work"],
    freshFails: ["fresh look-ups fail", "those on an open socket work"],
    because:
      "the node's connection tracking may still lead the socket to an address that no longer serves (a stale entry)",
  },
  {
    kept: "http-service-reused",
    fresh: "http-service",
    keptFails: ["requests on a reused connection through the Service fail", "new connections work"],
    freshFails: ["new connections through the Service fail", "requests on a reused one work"],
    because: "the connection leads to a pod that no longer answers",
  },
];

const PHASES: readonly (readonly [MeasuredPhase, string])[] = [
  ["window", "in the window"],
  ["recovery", "in the recovery"],
];

/**
 * The share by which the two must differ, and the number of failed samples that only one of them has: far more than chance
 * (0.1 % of samples) makes in any phase. No verdict depends on it.
 */
const LEAST_DIFFERENCE = 0.05;
const LEAST_FAILED = 5;

const failedOf = ({ samples, good }: PhaseStats): number => samples - good;

/** Whether the first fails and the second does not, or by far less. */
function failsMore(one: PhaseStats, other: PhaseStats): boolean {
  if (one.availability === null || other.availability === null) return false;
  return (
    other.availability - one.availability >= LEAST_DIFFERENCE &&
    failedOf(one) - failedOf(other) >= LEAST_FAILED
  );
}

/** One sentence for each worker, pair and phase in which the two differ; empty: they agree. Pure. */
export function layerDifferences({ probes }: Pick<RunResult, "probes">): string {
  const lines = PAIRS.flatMap(({ kept, fresh, keptFails, freshFails, because }) =>
    probes
      .filter(({ probe }) => probe === kept)
      .flatMap((one) => {
        const other = probes.find(({ probe, source }) => probe === fresh && source === one.source);
        return other === undefined
          ? []
          : PHASES.flatMap(([phase, when]) => {
              const [a, b] = [one.phases[phase], other.phases[phase]];
              const said = (
                [fails, works]: readonly [string, string],
                bad: PhaseStats,
                good: PhaseStats,
              ): string =>
                `From ${one.source}, ${when}: ${fails} (${percent(bad.availability)} good) while ${works} (${percent(good.availability)})`;
              if (failsMore(a, b)) return [`${said(keptFails, a, b)}: ${because}.`];
              return failsMore(b, a) ? [`${said(freshFails, b, a)}.`] : [];
            });
      }),
  );
  return lines.length === 0 ? "" : list(lines);
}
