import type { Attack } from "./attack.js";

/** Does nothing: the control run, which shows the effect of the measurement itself on the application. */
export function none(): Attack {
  return {
    type: "none",
    plan: () => ["nothing is taken down: the control run"],
    start: () => ({ stop: async () => await Promise.resolve(), kills: 0, lastError: undefined }),
  };
}
