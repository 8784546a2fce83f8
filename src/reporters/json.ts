import type { FileReporter } from "./reporter.js";

/**
 * One JSON object per line: for each run the line `result` of --json, then the session. Without a file: everything as JSON
 * lines on the console, as with --json.
 */
export const json: FileReporter = {
  file: undefined,
  text: ({ suites, exitCode, problem }) => {
    const results = suites.map(({ name, file, cases, result }) => ({
      type: "result",
      experiment: name,
      file,
      cases,
      result: result ?? null,
    }));
    const end = { type: "end", exitCode, problem: problem ?? null };
    return [...results, end].map((each) => `${JSON.stringify(each)}\n`).join("");
  },
};
