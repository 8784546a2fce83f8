/** `--reporter` on the command line. Loads no reporter, so that --help stays fast. */
import { UsageError } from "../common/errors.js";
import { REPORTER_NAMES, type ReporterName } from "./all-reporters.js";

export interface Requested {
  readonly name: ReporterName;
  /** undefined: the reporter's own file in the folder of the reports, or the console. */
  readonly file: string | undefined;
  /** Nobody asked for it: what it cannot write changes no exit code. */
  readonly automatic?: true;
}

/** "junit=ci/out.xml,github" → both. Pure. @throws UsageError for an unknown name or an empty file. */
export function requestedReporters(value: string): Requested[] {
  return value
    .split(",")
    .map((each) => each.trim())
    .filter((each) => each !== "")
    .map((each): Requested => {
      const at = each.indexOf("=");
      const name = at === -1 ? each : each.slice(0, at);
      const known = REPORTER_NAMES.find((one) => one === name);
      if (known === undefined)
        throw new UsageError(
          `unknown reporter ${JSON.stringify(name)}. Reporters: ${REPORTER_NAMES.join(", ")}`,
        );
      const file = at === -1 ? undefined : each.slice(at + 1);
      if (file === "") throw new UsageError(`the reporter ${known} has an empty file: write ${known}=FILE`);
      return { name: known, file };
    });
}

/** What a request does to the console: plain and json without a file are its two forms. @throws UsageError for both. */
export function consoleOf(requested: readonly Requested[]): "plain" | "json" | undefined {
  const forms = (["plain", "json"] as const).filter((form) =>
    requested.some(({ name, file }) => name === form && file === undefined),
  );
  if (forms.length > 1)
    throw new UsageError(
      "the reporters plain and json both need the console: give one a file, as in json=results.ndjson",
    );
  return forms[0];
}

/** Without --reporter, GitHub Actions get their annotations, as vitest does it; a list replaces the default. Pure. */
export function withDefaults(
  requested: readonly Requested[],
  env: Readonly<Record<string, string | undefined>>,
): readonly Requested[] {
  if (requested.length > 0 || env["GITHUB_ACTIONS"] !== "true") return requested;
  return [{ name: "github", file: undefined, automatic: true }];
}
