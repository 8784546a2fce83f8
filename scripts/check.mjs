// Type check and lint with one program of TypeScript's: each for itself would make, and check, the same one again.
import { ESLint } from "eslint";
import ts from "typescript";

const CONFIG = "tsconfig.json";

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

const { config, error } = ts.readConfigFile(CONFIG, ts.sys.readFile);
const parsed = ts.parseJsonConfigFileContent(config, ts.sys, process.cwd());
const program = ts.createProgram(parsed.fileNames, parsed.options);
report([...(error === undefined ? [] : [error]), ...parsed.errors, ...ts.getPreEmitDiagnostics(program)]);

const eslint = new ESLint({
  overrideConfig: { files: ["**/*.ts"], languageOptions: { parserOptions: { programs: [program] } } },
});
const results = await eslint.lintFiles(["."]);
const formatter = await eslint.loadFormatter("stylish");
const text = await formatter.format(results);
if (text !== "") console.error(text);
if (results.some(({ errorCount, fatalErrorCount }) => errorCount + fatalErrorCount > 0)) process.exitCode = 1;
