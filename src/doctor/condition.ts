/** A condition: what is looked at, which facts it needs, and a pure function from facts to findings. */
import type { ClusterFacts, Part, Parts } from "./facts.js";
import type { Finding } from "./finding.js";

/** A finding, and what it is about: so that consequences of one cause become one finding (fold.ts). */
export interface Found {
  readonly finding: Finding;
  /** Keys of what does not work: see keys.ts. */
  readonly about: readonly string[];
  /** Keys of what does not work because of it. */
  readonly explains?: readonly string[];
}

export interface Condition {
  /** A noun phrase, for the list of what was not looked at: "restarts". */
  readonly looksAt: string;
  readonly needs: readonly Part[];
  readonly judge: (facts: ClusterFacts) => readonly Found[];
}

type Judge<Needed extends Part> = (facts: ClusterFacts & Pick<Parts, Needed>) => readonly Found[];

/** A condition whose function gets the parts that it needs; it is not called without them. */
export function condition<Needed extends Part>(definition: {
  readonly looksAt: string;
  readonly needs: readonly Needed[];
  readonly judge: Judge<Needed>;
}): Condition {
  const { looksAt, needs, judge } = definition;
  return { looksAt, needs, judge: (facts) => judge(facts as Parameters<Judge<Needed>>[0]) };
}

/** What was not looked at, and why. */
export interface NotLookedAt {
  readonly what: string;
  readonly because: string;
}

export interface Judged {
  readonly found: readonly Found[];
  readonly notLookedAt: readonly NotLookedAt[];
}

/** Judges all conditions. One whose facts are missing is never silently passed. Pure. */
export function judgeAll(conditions: readonly Condition[], facts: ClusterFacts): Judged {
  const found: Found[] = [];
  const notLookedAt: NotLookedAt[] = [];
  for (const { looksAt, needs, judge } of conditions) {
    const missing = needs.filter((need) => facts[need] === undefined);
    const reasons = needs.flatMap((need) => facts.notRead[need] ?? []);
    if (missing.length === 0) found.push(...judge(facts));
    if (missing.length > 0 || reasons.length > 0)
      notLookedAt.push({
        what: looksAt,
        because: [...new Set(reasons)].join("; ") || `${missing.join(", ")}: not read`,
      });
  }
  return { found, notLookedAt };
}
