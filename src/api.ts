/**
 * What a program imports from the package: `import { runExperiment, validate, matrix } from "kube-system-chaos"`.
 * docs/api.md explains it. Everything else of the package may change at any time.
 */
export { matrix, type MatrixOptions } from "./api/matrix.js";
export type { Dropped } from "./api/message-queue.js";
export {
  type DryRunResult,
  type ExperimentOutcome,
  type ExperimentRun,
  runExperiment,
  type RunExperimentOptions,
  type RunMessage,
  type SessionResult,
} from "./api/run.js";
export { validate } from "./api/validate.js";
export type { RunResult } from "./analysis/result.js";
export type { MatrixOutput } from "./commands/matrix-command.js";
export type { Validation } from "./commands/validate-command.js";
export { ChaosError, ExitCode } from "./common/errors.js";
export type { PhaseName, RunEvent } from "./evidence/events.js";
export type { Matrix } from "./report/matrix.js";
export type { PlanRow } from "./run/phases/dry-run-table.js";
export type { Problem } from "./strict-yaml/problems.js";
export type { LiveCounts } from "./ui/messages.js";
