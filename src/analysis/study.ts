/** The measured word beside the study's, for the impact and for the component's own function. */
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
  /** "inconclusive" where nothing can be concluded of the application. */
  readonly severity: Severity;
  readonly functionLost: boolean | null;
  /** A function that was lost in part is said to be so, whichever of the two it is compared as. */
  readonly functionState?: FunctionState;
  /** The target is a stand-in: the comparison says so. */
  readonly onStandIn: boolean;
  /** The run was a control run: there is nothing to compare. */
  readonly control: boolean;
}

interface Side {
  readonly comparison: StudyComparison;
  readonly because: string;
}

function compare(subject: string, claimed: string, verified: boolean, measured: string | null): Side {
  const said = `the study ${verified ? "saw" : "supposed (はず)"} ${claimed}`;
  if (measured === null) {
    return {
      comparison: "inconclusive",
      because: `${subject}: ${said}; nothing can be concluded from this run`,
    };
  }
  if (measured !== claimed) {
    return { comparison: "differs", because: `${subject}: ${said}, measured was ${measured}` };
  }
  return verified
    ? { comparison: "confirmed", because: `${subject}: ${said}, and so it was measured` }
    : { comparison: "newly verified", because: `${subject}: ${said}, and now it is measured` };
}

/** The study knows only service outage and service unaffected: anything between agrees with neither. */
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
      claim === null ? "The study's table has no such row." : "A control run is not compared with the study.";
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
  const standIn = measured.onStandIn
    ? " Measured on a stand-in: it shows that the method works, not what the real component would do."
    : "";
  const inPart =
    conclusive && measured.functionState === "partly lost" ? " (It was there in part of the window.)" : "";
  return {
    impact: impact.comparison,
    function: ownFunction.comparison,
    because: `${impact.because}. ${ownFunction.because}.${inPart}${standIn}`,
  };
}
