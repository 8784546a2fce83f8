import type { Found } from "./condition.js";
import { bySeverity, type Finding } from "./finding.js";

/** The worse severity of two findings. */
function worse(a: Finding, b: Finding): Finding["severity"] {
  return bySeverity(a, b) <= 0 ? a.severity : b.severity;
}

/**
 * Folds consequences into their cause: a finding of which everything that it is about is explained by an earlier one
 * becomes a line of that one's evidence. The order of the conditions is that of causes.
 *
 * @returns by severity; those of one severity in the order of the conditions. Pure.
 */
export function folded(found: readonly Found[]): Finding[] {
  const kept: Finding[] = [];
  /** What is explained → the index of the finding that explains it. */
  const explainedBy = new Map<string, number>();
  for (const { finding, about, explains = [] } of found) {
    const causes = about.map((key) => explainedBy.get(key));
    const [cause] = causes;
    const isFolded = cause !== undefined && causes.every((each) => each !== undefined);
    const index = isFolded ? cause : kept.length;
    const before = kept[index];
    kept[index] =
      before === undefined
        ? finding
        : {
            ...before,
            severity: worse(before, finding),
            evidence: [...before.evidence, `therefore: ${finding.title}`],
          };
    for (const key of explains) if (!explainedBy.has(key)) explainedBy.set(key, index);
  }
  return kept.sort(bySeverity);
}
