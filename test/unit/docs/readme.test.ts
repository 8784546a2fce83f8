import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import { packageRoot } from "../../../src/common/package-root.js";

const readme = readFileSync(join(packageRoot(), "README.md"), "utf8");
const scripts = (
  JSON.parse(readFileSync(join(packageRoot(), "package.json"), "utf8")) as { scripts: Record<string, string> }
).scripts;

test("every test, folder and script that the README names is there", (t) => {
  const paths = [...readme.matchAll(/`((?:test|experiments|rbac|src)\/[\w./-]*)`/g)].map(
    (match) => match[1] ?? "",
  );
  t.true(paths.length > 30, `${paths.length} named`);
  for (const path of new Set(paths)) t.true(existsSync(join(packageRoot(), path)), path);
  const named = [...readme.matchAll(/npm run ([\w:]+)/g)].map((match) => match[1] ?? "");
  t.true(named.length > 2);
  for (const script of new Set(named)) t.true(script in scripts, script);
});

test("every row of the safety table names a test", (t) => {
  const table = readme.slice(
    readme.indexOf("| Fault "),
    readme.indexOf("Only namespaces that the run has made"),
  );
  const rows = table.split("\n").filter((line) => line.startsWith("| ") && !/^\| (Fault|---)/.test(line));
  t.true(rows.length > 20, `${rows.length} rows`);
  for (const row of rows) t.regex(row.split("|").at(-2) ?? "", /`(test\/|npm run test)/, row.slice(0, 60));
});
