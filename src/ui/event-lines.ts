import type { RunEvent } from "../analysis/events.js";

/** A line about an event: `ok` and `failed` are checks, `warn` asks for attention. */
export interface EventLine {
  readonly level: "ok" | "failed" | "info" | "warn";
  readonly text: string;
}

type Describe = {
  readonly [T in RunEvent["type"]]: (event: Extract<RunEvent, { type: T }>) => EventLine | undefined;
};

/** Said by the live line's counts, by the view's own phases, or in the report only. */
const silent = (): undefined => undefined;

const DESCRIBE: Describe = {
  phase: silent,
  clock: silent,
  kill: silent,
  recreated: silent,
  gone: silent,
  instance: silent,
  endpoints: silent,
  runtime: silent,
  check: ({ name, ok, detail }) => ({
    level: ok ? "ok" : "failed",
    text: detail === "" ? name : `${name}: ${detail}`,
  }),
  restored: ({ object, how, by }) => ({
    level: "info",
    text: `${object.kind} ${object.name} is back (${how}, by ${by})`,
  }),
  "target-ready": () => ({ level: "info", text: "the target is ready again" }),
  healthy: () => ({ level: "info", text: "every probe succeeds again" }),
  watch: ({ resource, what }) => ({ level: "info", text: `watch of ${resource}: ${what}` }),
  signal: ({ signal }) => ({ level: "warn", text: `${signal}: stopping the attack and restoring` }),
  warning: ({ text }) => ({ level: "warn", text }),
  stopped: ({ code, message }) => ({ level: "warn", text: `stopped: ${message} (${code})` }),
};

/** What is said of an event to someone who watches; undefined: nothing. */
export function eventLine(event: RunEvent): EventLine | undefined {
  const describe = DESCRIBE[event.type] as ((event: RunEvent) => EventLine | undefined) | undefined;
  // An event of a newer runner is no reason to fail.
  return describe?.(event);
}
