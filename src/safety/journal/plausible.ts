/**
 * What a journal from the cluster may ask for. A restore runs with more rights than writing Secrets needs, so anyone who
 * can write Secrets there must not make it change anything that runs do not change. Pure.
 */
import { CONFIGMAPS, resourcePath } from "../../kube/api.js";
import { ADDON_NAMESPACE, DRIFT_NAME } from "../../own/own-names.js";
import { MANAGED_BY, MANAGED_BY_LABEL } from "../../own/manifest.js";
import type { Undo } from "./undo.js";

/** What runs restore, besides the ConfigMap that the proof of addon-manager changes. */
const WORKLOAD = /^\/apis\/apps\/v1\/namespaces\/[a-z0-9-]+\/(deployments|daemonsets)$/;
/** A path below the API root. */
const API_PATH = /^\/apis?\/[A-Za-z0-9._%/-]+$/;

/** The format of `newRunId`. The ID becomes a folder name, so it must not contain a path. */
export function isRunId(text: string): boolean {
  return /^[a-z0-9][a-z0-9.-]{0,80}$/i.test(text) && !text.includes("..");
}

/** @returns why no run of this tool can have written this entry; undefined: one may have. */
export function implausible(entry: Undo): string | undefined {
  switch (entry.action) {
    case "restore-workload": {
      const { path, collection, object } = entry;
      const ofProof = path === resourcePath(CONFIGMAPS, ADDON_NAMESPACE, DRIFT_NAME);
      const valid =
        (WORKLOAD.test(collection) || ofProof) && path === `${collection}/${object.metadata.name}`;
      return valid
        ? undefined
        : `it would restore ${shown(path)}, which is not a workload that a run attacks`;
    }
    case "remove":
    case "empty": {
      const own = entry.labels[MANAGED_BY_LABEL] === MANAGED_BY;
      const path = API_PATH.test(entry.path) && !entry.path.includes("..");
      return own && path ? undefined : `it would remove ${shown(entry.path)}, which no run created`;
    }
    // These run only with --allow-commands, or through the API.
    case "start-unit":
    case "return-manifest":
      return undefined;
    default:
      return "it has an entry of an unknown kind";
  }
}

function shown(path: unknown): string {
  return JSON.stringify(path).slice(0, 120);
}
