/** Compares the measurement with the study's claim, for the impact and for the component's own function. */
import type { StudyClaim } from "../components/component.js";
import type { Severity } from "../experiment/names.js";
import type { FunctionState, StudyComparison } from "./result.js";

export interface StudyVerdict {
  readonly impact: StudyComparison;
  readonly function: StudyComparison;
  /** Why, in a sentence or two. */
  readonly because: string;
}

export interface Measured {
  /** "inconclusive": nothing can be concluded about the application. */
  readonly severity: Severity;
  readonly functionLost: boolean | null;
  /** A partly lost function is mentioned, whether it is compared as lost or as kept. */
  readonly functionState?: FunctionState;
  /** The target runs a substitute image: the comparison says so. */
  readonly onStandIn: boolean;
  /** The run was a control run: there is nothing to compare. */
  readonly control: boolean;
}

interface Side {
  readonly comparison: StudyComparison;
  readonly because: string;
}

function compare(subject: string, claimed: string, verified: boolean, measured: string | null): Side {
  const said = `the study ${verified ? "saw" : "assumed (はず)"} ${claimed}`;
  if (measured === null) {
    return {
      comparison: "inconclusive",
      because: `${subject}: ${said}; nothing can be concluded from this run`,
    };
  }
  if (measured !== claimed) {
    return { comparison: "differs", because: `${subject}: ${said}, this run measured ${measured}` };
  }
  return verified
    ? { comparison: "confirmed", because: `${subject}: ${said}, and this run confirms it` }
    : { comparison: "newly verified", because: `${subject}: ${said}, and this run verifies it` };
}

/** The study knows only "service outage" and "service unaffected". Anything in between matches neither. */
const IMPACT: Readonly<Record<Exclude<Severity, "inconclusive">, string>> = {
  outage: "a service outage",
  degraded: "a degraded service",
  "function lost": "no effect on the service",
  none: "no effect on the service",
};

const lostOrNot = (lost: boolean): string => (lost ? "its own function lost" : "its own function kept");

/** Compares with the study's claim; null: the component is not in the study. */
export function compareWithStudy(claim: StudyClaim | null, measured: Measured): StudyVerdict {
  if (claim === null || measured.control) {
    const because =
      claim === null
        ? "The study's table has no row for it."
        : "A control run is not compared with the study.";
    return { impact: "not in the study", function: "not in the study", because };
  }
  const { severity } = measured;
  const conclusive = severity !== "inconclusive";
  const impact = compare(
    "Impact",
    claim.impact === "outage" ? IMPACT.outage : IMPACT.none,
    claim.impactVerified,
    conclusive ? IMPACT[severity] : null,
  );
  const ownFunction = compare(
    "Function",
    lostOrNot(claim.functionLost),
    claim.functionVerified,
    conclusive && measured.functionLost !== null ? lostOrNot(measured.functionLost) : null,
  );
  const substitute = measured.onStandIn
    ? " Measured on a substitute image: it shows that the method works, not what the real component would do."
    : "";
  const inPart =
    conclusive && measured.functionState === "partly lost" ? " (It was present in part of the window.)" : "";
  return {
    impact: impact.comparison,
    function: ownFunction.comparison,
    because: `${impact.because}. ${ownFunction.because}.${inPart}${substitute}`,
  };
}
