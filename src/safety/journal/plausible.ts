/**
 * What a journal from the cluster may ask for: whoever can write Secrets there must not have a restore, which is done
 * with more rights, change anything else than what runs change. Pure.
 */
import { MANAGED_BY, MANAGED_BY_LABEL } from "../../own/manifest.js";
import type { Undo } from "./undo.js";

const WORKLOAD = /^\/apis\/apps\/v1\/namespaces\/[a-z0-9-]+\/(deployments|daemonsets)$/;
/** Below the API, and no way up from it. */
const API_PATH = /^\/apis?\/[A-Za-z0-9._%/-]+$/;

/** As `newRunId` makes them: it becomes a folder's name. */
export function isRunId(text: string): boolean {
  return /^[a-z0-9][a-z0-9.-]{0,80}$/i.test(text) && !text.includes("..");
}

/** @returns why no run of ours has written this entry; undefined: one may have. */
export function implausible(entry: Undo): string | undefined {
  switch (entry.action) {
    case "restore-workload": {
      const { path, collection, object } = entry;
      const whole = WORKLOAD.test(collection) && path === `${collection}/${object.metadata.name}`;
      return whole ? undefined : `it would put something back at ${shown(path)}`;
    }
    case "remove":
    case "empty": {
      const ours = entry.labels[MANAGED_BY_LABEL] === MANAGED_BY;
      const path = API_PATH.test(entry.path) && !entry.path.includes("..");
      return ours && path ? undefined : `it would remove ${shown(entry.path)}, which is not a run's`;
    }
    // Nothing of them is done without --allow-commands, or but through the API.
    case "start-unit":
    case "return-manifest":
      return undefined;
    default:
      return "it has an entry of a kind that is not known";
  }
}

function shown(path: unknown): string {
  return JSON.stringify(path).slice(0, 120);
}
