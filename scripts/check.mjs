// All checks except the tests. Type check and lint share one TypeScript program, because each would otherwise create
// and check the same one. The other checks run in parallel as separate processes.
import { dirname, resolve } from "node:path";
import { ESLint } from "eslint";
import { execa } from "execa";
import ts from "typescript";

// The script of the pages runs in a browser.
const CONFIGS = ["tsconfig.json", "src/report/html/page/tsconfig.json"];

/** Commands from node_modules/.bin. */
const OTHERS = [
  "prettier --check .",
  // scripts/floors.mjs: what each room may import.
  "depcruise src",
  // knip.json: unused files, exports and packages.
  "knip --no-progress",
  // scripts/words.mjs: one word for one thing.
  "node scripts/lint-words.mjs",
].map((command) => {
  const [file = "", ...args] = command.split(" ");
  const color = process.stdout.isTTY ? { FORCE_COLOR: "1" } : {};
  return { command, result: execa(file, args, { preferLocal: true, reject: false, all: true, env: color }) };
});

/** @type {import("typescript").FormatDiagnosticsHost} */
const host = {
  getCurrentDirectory: () => process.cwd(),
  getCanonicalFileName: (name) => name,
  getNewLine: () => "\n",
};

/** @param {readonly import("typescript").Diagnostic[]} diagnostics */
function report(diagnostics) {
  if (diagnostics.length === 0) return;
  process.exitCode = 1;
  console.error(
    process.stderr.isTTY
      ? ts.formatDiagnosticsWithColorAndContext(diagnostics, host)
      : ts.formatDiagnostics(diagnostics, host),
  );
}

const programs = CONFIGS.map((path) => {
  const { config, error } = ts.readConfigFile(path, ts.sys.readFile);
  const parsed = ts.parseJsonConfigFileContent(config, ts.sys, dirname(resolve(path)));
  const program = ts.createProgram(parsed.fileNames, parsed.options);
  report([...(error === undefined ? [] : [error]), ...parsed.errors, ...ts.getPreEmitDiagnostics(program)]);
  return program;
});

const eslint = new ESLint({
  overrideConfig: { files: ["**/*.{ts,tsx}"], languageOptions: { parserOptions: { programs } } },
});
const results = await eslint.lintFiles(["."]);
const formatter = await eslint.loadFormatter("stylish");
const text = await formatter.format(results);
if (text !== "") console.error(text);
if (results.some(({ errorCount, fatalErrorCount }) => errorCount + fatalErrorCount > 0)) process.exitCode = 1;

for (const { command, result } of OTHERS) {
  const { failed, all } = await result;
  if (failed) process.exitCode = 1;
  console.error(failed ? `${command}: failed\n${all}` : `${command}: passed`);
}
