import type { RunEvent } from "../evidence/events.js";

/** A line about an event. `ok` and `failed` are checks, `warn` needs attention. */
export interface EventLine {
  readonly level: "ok" | "failed" | "info" | "warn";
  readonly text: string;
}

type Describe = {
  readonly [T in RunEvent["type"]]: (event: Extract<RunEvent, { type: T }>) => EventLine | undefined;
};

/** Shown by the live line's counts, by the view's own phases, or only in the report. */
const silent = (): undefined => undefined;

const DESCRIBE: Omit<Describe, "function" | "node-ready"> = {
  phase: silent,
  clock: silent,
  kill: silent,
  recreated: silent,
  gone: silent,
  instance: silent,
  endpoints: silent,
  runtime: silent,
  unit: silent,
  "let-up": silent,
  "app-endpoints": silent,
  "front-ends": silent,
  "function-late": silent,
  check: ({ name, ok, detail, assumed }) => ({
    level: assumed === true ? "info" : ok ? "ok" : "failed",
    text: detail === "" ? name : `${name}: ${detail}`,
  }),
  churn: ({ object, rehearsal, ok, detail }) => ({
    level: ok ? "info" : "warn",
    text:
      `${object.kind} ${object.name}: pod ${ok ? "replaced" : "not replaced"}` +
      `${rehearsal ? " (rehearsal)" : ""}${detail === "" ? "" : `: ${detail}`}`,
  }),
  condition: ({ asked, state, detail }) => ({
    level: state === "good" ? "info" : "warn",
    text: `abort condition ${asked}: ${state === "good" ? "good again" : `${state}: ${detail}`}`,
  }),
  restored: ({ object, how, by }) => ({
    level: "info",
    text: `${object.kind} ${object.name} is restored (${how}, by ${by})`,
  }),
  "target-ready": () => ({ level: "info", text: "the target is ready again" }),
  healthy: () => ({ level: "info", text: "every probe succeeds again" }),
  watch: ({ resource, what }) => ({ level: "info", text: `watch of ${resource}: ${what}` }),
  signal: ({ signal }) => ({ level: "warn", text: `${signal}: undoing everything that the run has changed` }),
  warning: ({ text }) => ({ level: "warn", text }),
  stopped: ({ code, message }) => ({ level: "warn", text: `stopped: ${message} (${code})` }),
};

/**
 * The line about each event for someone who watches the run; undefined: none. Function checks and node readiness repeat,
 * so only a change gives a line, and the last state is remembered. A preflight starts a new run and clears that state.
 */
export function eventLines(): (event: RunEvent) => EventLine | undefined {
  const present = new Map<string, boolean>();
  const ready = new Map<string, string>();
  const describe: Describe = {
    ...DESCRIBE,
    phase: ({ phase, state }) => {
      if (phase !== "preflight" || state !== "start") return undefined;
      present.clear();
      ready.clear();
      return undefined;
    },
    function: ({ probe, present: is, evidence }) => {
      const was = present.get(probe) ?? true;
      present.set(probe, is);
      if (was === is) return undefined;
      const state = is ? "works again" : "does not work";
      return { level: "info", text: `the component's own function ${state} (${probe}): ${evidence}` };
    },
    "node-ready": ({ node, ready: is, reason }) => {
      const was = ready.get(node) ?? "True";
      ready.set(node, is);
      if (was === is) return undefined;
      if (is === "True") return { level: "info", text: `node ${node} is Ready again` };
      const state = is === "gone" ? "gone" : "NotReady";
      return {
        level: "info",
        text: `node ${node} is ${state}${reason === undefined ? "" : ` (${reason})`}`,
      };
    },
  };
  return (event) => {
    const of = describe[event.type] as ((event: RunEvent) => EventLine | undefined) | undefined;
    // A newer runner may have unknown events. They give no line.
    return of?.(event);
  };
}

/** The lines of this process's runs, which never overlap. */
export const eventLine = eventLines();
