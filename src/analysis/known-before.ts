/** What shows, before the attack, that nothing could be concluded from it. Pure. */
import { plural } from "../common/figures.js";
import type { RunEvent } from "../evidence/events.js";
import type { RunFacts } from "../evidence/facts.js";
import type { RawSamples } from "../evidence/sample.js";
import { isControl } from "../experiment/attacks.js";
import { analyse } from "./analyse.js";
import { ofTarget } from "./companion-events.js";
import { NO_PROBER, noSample, type Reason } from "./reasons.js";
import type { RunResult } from "./result.js";
import { servingMoments, servingSteps } from "./serving.js";

/**
 * The reasons of an inconclusive result that are certain before the window: whatever the attack does, the result would
 * have them. Empty: none, or a signal came, which decides the verdict.
 *
 * Called before the baseline, it finds what is known by then: a function check that cannot be set up, or one that runs
 * before the baseline and found the function absent.
 *
 * @param events in any order: those of the run so far.
 * @param noCheck why the component's function cannot be checked, as a clause; undefined: it can, or it has no check.
 */
export function knownInconclusive(
  facts: RunFacts,
  events: readonly RunEvent[],
  samples: readonly RawSamples[],
  noCheck?: string,
): Reason[] {
  if (events.some(({ type }) => type === "signal")) return [];
  const result = analyse(facts, events, samples);
  const measured = result.phases.baseline !== undefined;
  return [
    // "stopped" says only that there was no window yet.
    ...result.reasons.filter(({ code }) => code !== "stopped"),
    ...(measured ? unsampled(result) : []),
    ...functionUnknown(result, noCheck),
    ...(measured ? notServing(result.facts, events) : []),
  ];
}

/** Without samples of a worker at the baseline nothing can be compared. */
function unsampled({ facts, probes }: RunResult): Reason[] {
  if (facts.sources.length === 0) return [NO_PROBER];
  return facts.sources
    .filter((source) => {
      const writes = probes.find((each) => each.probe === "app-write" && each.source === source);
      return (writes?.phases.baseline.samples ?? 0) === 0;
    })
    .map((source) => noSample(source, "at the baseline"));
}

/** A function that is not seen working before the attack cannot be seen lost. */
function functionUnknown({ facts, ownFunction, phases }: RunResult, noCheck: string | undefined): Reason[] {
  const { functionProbe, experiment } = facts;
  if (functionProbe === null || isControl(experiment.attack)) return [];
  const unknown = (why: string): Reason[] => [
    {
      code: "function-not-measured",
      message: `Whether the component's own function is lost would stay unknown: ${why}.`,
    },
  ];
  if (noCheck !== undefined) return unknown(noCheck);
  const { looks, present } = ownFunction.baseline ?? { looks: 0, present: 0 };
  // Checks run in the baseline, or before it.
  if (looks === 0)
    return phases.baseline === undefined
      ? []
      : unknown(`no check of ${functionProbe.name} finished before the attack`);
  if (present === looks) return [];
  const absent = looks - present;
  return unknown(
    `${functionProbe.name} was absent in ${absent} of ${plural(looks, "check")} before the attack (needed: present in all)`,
  );
}

/** A workload that does not serve before the attack cannot be seen going down. */
function notServing(facts: RunFacts, events: readonly RunEvent[]): Reason[] {
  // Nodes are asked only now and then: their answers say nothing about this moment.
  if (isControl(facts.experiment.attack) || facts.target === undefined || facts.target.nodes !== undefined)
    return [];
  const ordered = [...events].sort((a, b) => a.tMs - b.tMs);
  const steps = servingSteps(servingMoments(ofTarget(ordered, facts.target.object)));
  if (steps.at(-1)?.serving === true) return [];
  return [{ code: "target-not-ready", message: "The target was not serving at the end of the baseline." }];
}
