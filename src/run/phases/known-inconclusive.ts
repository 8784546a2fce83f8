import { knownInconclusive } from "../../analysis/known-before.js";
import type { RunState } from "../run-state.js";

/**
 * Whether the run may still show something. Otherwise the attack would be for nothing: the reasons are reported, and the
 * run ends without it, unless the user wants it anyway.
 */
export function mayConclude(state: RunState): boolean {
  const { recorder, anyway } = state.context;
  const known = knownInconclusive(state.facts, recorder.events, recorder.samples, state.noFunctionCheck);
  for (const { code, message } of known) {
    if (!anyway) {
      state.stopped(code, message);
      continue;
    }
    const text = `--anyway: attacking although nothing can be concluded: ${message}`;
    if (!recorder.events.some((event) => event.type === "warning" && event.text === text))
      recorder.emit({ type: "warning", text });
  }
  return anyway || known.length === 0;
}
