/**
 * Turns zod's issues into findings about paths of the file: one per key. The target has two forms; its findings are about
 * the intended form.
 */
import type { z } from "zod";
import { didYouMean, type Aliases } from "./near.js";
import { knownKeysOf, nameValue, unknownKey } from "./messages.js";
import type { Part } from "./positions.js";

type Issue = z.core.$ZodIssue;

/** Something wrong at a path of the file. */
export interface Finding {
  readonly path: readonly PropertyKey[];
  /** Where to show it if the file has the path. */
  readonly part: Part;
  readonly message: string;
}

const TARGET_FORMS = "either component, or kind and name (and namespace)";

/** All findings of all issues. `input` is the value that was validated. */
export function explainIssues(issues: readonly Issue[], input: unknown, aliases: Aliases = {}): Finding[] {
  return issues.flatMap((issue) => explainIssue(issue, input, aliases));
}

function explainIssue(issue: Issue, input: unknown, aliases: Aliases): Finding[] {
  if (issue.code === "unrecognized_keys") {
    const known = knownKeysOf(issue.message);
    return issue.keys.map((key) => ({
      path: [...issue.path, key],
      part: "key",
      message: unknownKey(key, known, aliases),
    }));
  }
  if (issue.code === "invalid_union" && issue.path.length === 1 && issue.path[0] === "target") {
    return explainTarget(issue.errors, (input as { target?: unknown }).target, aliases);
  }
  return [{ path: issue.path, part: "value", message: issue.message }];
}

/**
 * The target's two forms differ in their keys, so the existing keys show the intended form. Only its issues are used.
 * `errors`: issues of [component, workload], in the schema's order.
 */
function explainTarget(errors: readonly (readonly Issue[])[], target: unknown, aliases: Aliases): Finding[] {
  const path = ["target"];
  if (target === undefined) return [{ path, part: "value", message: `is required: ${TARGET_FORMS}` }];
  if (typeof target !== "object" || target === null || Array.isArray(target)) {
    const message = `must be a mapping with ${TARGET_FORMS}, not ${nameValue(target)}`;
    return [{ path, part: "value", message }];
  }
  const keys = Object.keys(target);
  const ofWorkload = keys.filter((key) => key === "namespace" || key === "kind" || key === "name");
  if (keys.includes("component")) return inTarget(errors[0] ?? [], aliases);
  if (ofWorkload.length > 0) return inTarget(errors[1] ?? [], aliases);
  if (keys.length === 0) return [{ path, part: "value", message: `needs ${TARGET_FORMS}` }];
  return keys.map((key) => {
    const near = didYouMean(key, ["component", "namespace", "kind", "name"], aliases);
    const message = `unknown key${near === "" ? `; a target has ${TARGET_FORMS}` : near}`;
    return { path: ["target", key], part: "key", message };
  });
}

/** Issues of one form, with paths below `target`. */
function inTarget(issues: readonly Issue[], aliases: Aliases): Finding[] {
  return explainIssues(issues, undefined, aliases).map((finding) => ({
    ...finding,
    path: ["target", ...finding.path],
  }));
}
