/** How long a run takes, for its plan. Pure. */
import type { ResolvedExperiment } from "../../components/resolve.js";
import { FUNCTION_CHECKS } from "../../components/functions.js";
import { ATTACKS, isControl } from "../../experiment/attacks.js";
import { formatDurationMs } from "../../experiment/schema.js";
import { ADDON_MODE_LABEL } from "../../own/own-names.js";
import { type AnyTarget, isNodeTarget } from "../../targets/target.js";
import { CALM_LIMIT_MS } from "./calm.js";
import { PULL_LIMIT_MS } from "./deploy.js";
import { ADDON_MANAGER_LIMIT_MS, RELEASE_LIMIT_MS } from "./release.js";
import { REMOVE_LIMIT_MS } from "./tear-down.js";
import { REHEARSAL_MS, WARM_UP_LIMIT_MS } from "./warm-up.js";

export interface RunDuration {
  /** What it takes on a healthy cluster that has the images. */
  readonly aboutMs: number;
  /** With every limit reached. */
  readonly atMostMs: number;
}

/** The usual time of deploying, recovering and removing together, ms: medians of the study's runs (reports/example). */
const USUAL_MS = 25_000;

/** Half of addon-manager's interval of 60 s. */
const ADDON_MANAGER_USUAL_MS = 30_000;

/** @param target undefined: it is not found yet. */
export function durationOf(
  { experiment, component, attack }: ResolvedExperiment,
  target?: AnyTarget,
): RunDuration {
  const { baseline, window, recovery } = experiment.phases;
  const check = component?.functionProbe === undefined ? undefined : FUNCTION_CHECKS[component.functionProbe];
  // A check that disturbs runs once before the baseline and once after the window.
  const disturbing = check?.disturbs === true ? check : undefined;
  const checksMs = 2 * (disturbing?.deadlineMs ?? 0);
  const rehearsal = rehearsalOf(experiment);
  const waits =
    target !== undefined &&
    !isNodeTarget(target) &&
    ATTACKS[attack.type].changes === "workload" &&
    target.object.metadata.labels?.[ADDON_MODE_LABEL] !== undefined;
  return {
    aboutMs: baseline + window + checksMs + rehearsal.usual + USUAL_MS + (waits ? ADDON_MANAGER_USUAL_MS : 0),
    atMostMs:
      PULL_LIMIT_MS +
      WARM_UP_LIMIT_MS +
      // A disturbed baseline is measured twice; a window counts from the moment the target is down.
      2 * (baseline + window) +
      (disturbing === undefined ? 1 : 2) * CALM_LIMIT_MS +
      checksMs +
      rehearsal.atMost +
      (isControl(attack) ? 0 : RELEASE_LIMIT_MS + (waits ? ADDON_MANAGER_LIMIT_MS : 0)) +
      recovery +
      REMOVE_LIMIT_MS,
  };
}

function rehearsalOf({ churn }: ResolvedExperiment["experiment"]): typeof REHEARSAL_MS {
  return churn === undefined ? { usual: 0, atMost: 0 } : REHEARSAL_MS;
}

/** "about 1 min 40 s; at most 36 min, if every step takes its limit". */
export function durationWords({ aboutMs, atMostMs }: RunDuration): string {
  return `about ${roughly(aboutMs)}; at most ${roughly(atMostMs)}, if every step takes its limit`;
}

/** The phases that the experiment sets: "15s of baseline, 60s of window, up to 3m of recovery". */
export function phaseWords({ experiment }: Pick<ResolvedExperiment, "experiment">): string {
  const { baseline, window, recovery } = experiment.phases;
  const text = formatDurationMs;
  return `${text(baseline)} of baseline, ${text(window)} of window, up to ${text(recovery)} of recovery`;
}

/** "40 s", "2 min 10 s", "36 min", "2 h 5 min": the longer, the rougher. */
function roughly(ms: number): string {
  const tens = Math.round(ms / 10_000) * 10;
  if (tens < 60) return `${tens} s`;
  if (tens < 600) return tens % 60 === 0 ? `${tens / 60} min` : `${Math.floor(tens / 60)} min ${tens % 60} s`;
  const minutes = Math.ceil(ms / 60_000);
  if (minutes < 60) return `${minutes} min`;
  return minutes % 60 === 0 ? `${minutes / 60} h` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
