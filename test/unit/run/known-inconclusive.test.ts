import test from "ava";
import type { RunEvent, RunEventBody } from "../../../src/evidence/events.js";
import { mayConclude } from "../../../src/run/phases/known-inconclusive.js";
import type { RunState } from "../../../src/run/run-state.js";
import * as runs from "../../helpers/synthetic-run.js";

interface Asked {
  readonly state: RunState;
  readonly stopped: [string, unknown][];
  readonly events: RunEvent[];
}

/** A run before its baseline, whose function check cannot be set up, or can. */
function asked(anyway: boolean, noFunctionCheck: string | undefined): Asked {
  const { facts } = runs.kubeDnsOutage();
  const stopped: [string, unknown][] = [];
  const events: RunEvent[] = [];
  const name = "metrics-are-served" as const;
  const state = {
    facts: {
      ...facts,
      functionProbes: [],
      functionProbe: { name, means: "x", deadlineMs: 1, disturbs: false },
    },
    noFunctionCheck,
    context: {
      anyway,
      recorder: {
        events,
        samples: [],
        emit: (body: RunEventBody) => void events.push({ ...body, tMs: 1 }),
      },
    },
    stopped: (code: string, problem: unknown) => void stopped.push([code, problem]),
  } as unknown as RunState;
  return { state, stopped, events };
}

test("a run whose function check cannot be set up stops before the baseline, with the reason", (t) => {
  const { state, stopped, events } = asked(false, "the sink is missing");
  t.false(mayConclude(state));
  t.deepEqual(stopped, [
    [
      "function-not-measured",
      "Whether the component's own function is lost would stay unknown: the sink is missing.",
    ],
  ]);
  t.deepEqual(events, []);
});

test("a run that may still conclude something continues", (t) => {
  const { state, stopped } = asked(false, undefined);
  t.true(mayConclude(state));
  t.deepEqual(stopped, []);
});

test("--anyway attacks, and the report warns of each reason once", (t) => {
  const { state, stopped, events } = asked(true, "the sink is missing");
  t.true(mayConclude(state));
  t.true(mayConclude(state));
  t.deepEqual(stopped, []);
  t.is(events.length, 1);
  t.like(events[0], { type: "warning" });
  t.regex(JSON.stringify(events[0]), /--anyway: .*the sink is missing/);
});
