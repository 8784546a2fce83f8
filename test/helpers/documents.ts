/** The documents of the repository, their code blocks, and the command lines in them. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { packageRoot } from "../../src/common/package-root.js";

const filesBelow = (folder: string, pattern: RegExp): string[] =>
  readdirSync(join(packageRoot(), folder), { recursive: true, encoding: "utf8" })
    .filter((name) => pattern.test(name))
    .map((name) => `${folder}/${name}`)
    .sort();

/** Paths of the Markdown files that people read. */
export const DOCUMENTS: readonly string[] = [
  "README.md",
  "ARCHITECTURE.md",
  "CONTRIBUTING.md",
  "CHANGELOG.md",
  "rbac/README.md",
  ...filesBelow("docs", /\.md$/),
];

/** Paths of YAML files whose comments name command lines. */
export const COMMENTED: readonly string[] = [
  ...filesBelow("experiments", /\.yaml$/),
  ...filesBelow("rbac", /\.yaml$/),
];

export const readDocument = (path: string): string => readFileSync(join(packageRoot(), path), "utf8");

export interface Block {
  /** "docs/ci.md:12": its first line. */
  readonly where: string;
  /** "yaml", "sh", …; "": none. */
  readonly language: string;
  /** Without the indentation of a list. */
  readonly text: string;
}

/** Blocks between lines of three backticks. */
export function blocksOf(path: string): Block[] {
  const document = readDocument(path);
  return [...document.matchAll(/^( *)```(\w*)[^\n]*\n(.*?)^\1```$/gms)].map((match) => {
    const [, indent = "", language = "", text = ""] = match;
    const line = document.slice(0, match.index).split("\n").length + 1;
    return { where: `${path}:${line}`, language, text: text.replaceAll(new RegExp(`^${indent}`, "gm"), "") };
  });
}

/** A command line of `chaos`. */
export interface CommandLine {
  readonly where: string;
  /** After `chaos`. */
  readonly args: readonly string[];
  /** To be typed as it is; otherwise arguments may be left out, and words in capitals stand for them. */
  readonly whole: boolean;
}

const SHELL = /^(sh|bash|shell|console)$/;
/** What may stand before `chaos` in a command, and the ways to start it without an installation. */
const STARTS =
  /^(?:(?:[A-Z_]+=\S*|sudo|env|time|nice)\s+)*(?:(?:npx\s+(?:--?[\w-]+\s+)*)?chaos|npx tsx src\/cli\.ts|node dist\/cli\.js)(?:\s+|$)/;

/** All command lines of a document: in shell blocks, in lines of other blocks that start so, and in the text. */
export function commandLinesOf(path: string): CommandLine[] {
  const inBlocks = blocksOf(path).flatMap(({ where, language, text }) =>
    SHELL.test(language)
      ? shellLines(text, language === "console").flatMap((line) => complete(where, line))
      : text.split("\n").flatMap((line) => {
          const [, started] = /^(?:\s*(?:- )?run: |\s*)((?:npx )?chaos .*)$/.exec(line) ?? [];
          if (started === undefined) return [];
          // A table of commands: the description follows after a gap.
          return language === "yaml"
            ? complete(where, started)
            : incomplete(where, started.split(/\s{2,}/)[0] ?? "");
        }),
  );
  return [...inBlocks, ...inText(path)];
}

/** In code spans of a document, or of a comment. */
function inText(path: string): CommandLine[] {
  const text = readDocument(path).replaceAll(/^( *)```.*?^\1```$/gms, "");
  return [...text.matchAll(/`((?:npx )?chaos [^`]+)`/g)].flatMap(([, line = ""]) =>
    incomplete(path, line.replaceAll(/\s*\n[\s#]*/g, " ")),
  );
}

/** In the comments of a YAML file. */
export function commandLinesOfComments(path: string): CommandLine[] {
  const printed = [...readDocument(path).matchAll(/^#.*: (chaos .+)$/gm)];
  return [...printed.flatMap(([, line = ""]) => complete(path, line)), ...inText(path)];
}

function shellLines(text: string, prompts: boolean): string[] {
  const lines = text.replaceAll(/\\\n\s*/g, "").split("\n");
  return prompts ? lines.flatMap((line) => (line.startsWith("$ ") ? line.slice(2) : [])) : lines;
}

function complete(where: string, line: string): CommandLine[] {
  const code = line.replace(/(^|\s)#.*$/, "");
  return code.split(/\s(?:&&|\|\||\||;)\s|\$\(|;\s/).flatMap((part) => {
    const command = part.trim();
    const [started] = STARTS.exec(command) ?? [];
    if (started === undefined) return [];
    const args = wordsOf(command.slice(started.length));
    return args.includes("…") ? [] : [{ where: `${where}: ${command}`, args, whole: true }];
  });
}

function incomplete(where: string, line: string): CommandLine[] {
  return alternatives(line.replace(/^npx /, "")).map((each) => {
    const [command = ""] = each.split(/\s[|>]\s/);
    const args = wordsOf(command.replace(/^chaos\s*/, "").replaceAll("…", " "));
    return { where: `${where}: ${line}`, args, whole: false };
  });
}

/** "a [b | c] d|e" → every way to read it. */
function alternatives(line: string): string[] {
  const optional = /\[([^\]]*)\]/.exec(line);
  const choice = /(?<=\s)\S*\w\|\w\S*/.exec(line);
  const found = optional ?? choice;
  if (found === null) return [line];
  const ways = optional === null ? found[0].split("|") : ["", ...(optional[1] ?? "").split(" | ")];
  return ways.flatMap((way) => alternatives(line.replace(found[0], () => way)));
}

/** Words of a command as a shell reads them, without redirections. */
function wordsOf(command: string): string[] {
  const words = command.match(/(?:"[^"]*"|'[^']*'|[^\s"'])+/g) ?? [];
  const end = words.findIndex((word) => /^\d?[<>]|^&$/.test(word));
  return (end < 0 ? words : words.slice(0, end)).map((word) => word.replaceAll(/["']/g, ""));
}
