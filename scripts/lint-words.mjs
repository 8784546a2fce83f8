// Reports the words of words.mjs in comments, strings, test titles and Markdown, as file:line:column. Identifiers are
// not checked. `--count` prints the number per room instead.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import ts from "typescript";
import { ALLOWED, WORDS } from "./words.mjs";

const FILES = /\.(ts|mjs|md|yaml|sh)$|^\.ci\/run$/;
// The list of words itself, and files that runs have written.
const SKIPPED = /^(scripts\/words\.mjs|reports\/)/;

const patterns = WORDS.map(({ pattern, use }) => ({
  use,
  regex: new RegExp(`(?<![\\w-])(?:${pattern.replaceAll(" ", "(?:\\s|\\*|//|#)+")})(?![\\w-])`, "gi"),
}));

/** Replaces a part with spaces and keeps its line ends. @param {string} part */
const blank = (part) => part.replaceAll(/[^\n]/g, " ");

/** A source without its identifiers and without strings that are names in data. @param {string} path @param {string} text */
function withoutNames(path, text) {
  let kept = text;
  const source = ts.createSourceFile(path, text, ts.ScriptTarget.Latest);
  /** @param {import("typescript").Node} node */
  const visit = (node) => {
    const isName = ts.isIdentifier(node) || ts.isPrivateIdentifier(node);
    const isData = ts.isStringLiteral(node) && ALLOWED.some((allowed) => allowed.text === node.text);
    if (isName || isData) {
      const start = node.getStart(source);
      kept = kept.slice(0, start) + blank(kept.slice(start, node.end)) + kept.slice(node.end);
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return kept;
}

/** @type {Map<string, number>} */
const counts = new Map();
const files = execFileSync("git", ["ls-files", "-co", "--exclude-standard"], { encoding: "utf8" }).split(
  "\n",
);
for (const path of files.filter((path) => FILES.test(path) && !SKIPPED.test(path))) {
  const text = readFileSync(path, "utf8");
  const kept = /\.(ts|mjs)$/.test(path) ? withoutNames(path, text) : text;
  for (const { regex, use } of patterns) {
    for (const { 0: found, index } of kept.matchAll(regex)) {
      const room = path
        .split("/")
        .slice(0, path.startsWith("src/") ? 2 : 1)
        .join("/");
      counts.set(room, (counts.get(room) ?? 0) + 1);
      const before = kept.slice(0, index).split("\n");
      const place = `${path}:${before.length}:${(before.at(-1)?.length ?? 0) + 1}`;
      if (!process.argv.includes("--count"))
        console.error(`${place}: "${found.replaceAll(/[\s*]+/g, " ")}": ${use}`);
      process.exitCode = 1;
    }
  }
}
if (process.argv.includes("--count"))
  for (const [room, count] of [...counts].sort(([, a], [, b]) => b - a)) console.log(`${count}\t${room}`);
