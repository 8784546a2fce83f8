import type { FileReporter } from "./reporter.js";

/** The results as lines. Without a file: plain lines on the console, as with --plain. */
export const plain: FileReporter = {
  file: undefined,
  text: ({ suites, notes }) =>
    [...suites.flatMap(({ summary }) => summary), ...notes].map((line) => `${line}\n`).join(""),
};
