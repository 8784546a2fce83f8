/**
 * `chaos complete -- WORDS`: what can come next, from the command line as data (program.ts) and from files. It must answer
 * while the user waits: so it loads nothing else, reads folders only, and never asks a cluster.
 */
import type { Argument, Command, Option } from "commander";
import { readdirSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";
import { packageRoot } from "../common/package-root.js";
import { COMPONENTS } from "../experiment/names.js";
import { FILES, FOLDERS } from "./completion-scripts.js";

export interface Where {
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
}

interface Candidate {
  readonly word: string;
  readonly about?: string;
}

/**
 * The candidates for the last word, one per line: "WORD", or "WORD<tab>DESCRIPTION", or a request to complete paths. An
 * error gives none: it would be printed into the user's command line.
 */
export async function complete(program: Command, words: readonly string[], where: Where): Promise<string[]> {
  try {
    return await linesFor(program, words, where);
  } catch {
    return [];
  }
}

/** The command that the words have reached. */
interface Reached {
  readonly command: Command;
  /** The number of its arguments so far. */
  readonly count: number;
  /** The option whose value comes next. */
  readonly option?: Option | undefined;
  /** After "--", nothing is an option. */
  readonly onlyArguments: boolean;
}

async function linesFor(program: Command, words: readonly string[], where: Where): Promise<string[]> {
  // bash has "=" as a word of its own.
  const all = words.filter((word, index) => word !== "=" || index === words.length - 1);
  const current = all.at(-1) === "=" ? "" : (all.at(-1) ?? "");
  const reached = follow(program, all.slice(0, -1));
  const { command, option, onlyArguments } = reached;
  if (option !== undefined) return await valuesOf(option, current, where);
  const [, flag, value] = onlyArguments ? [] : (/^(--[a-z-]+)=(.*)$/s.exec(current) ?? []);
  if (flag !== undefined && value !== undefined) {
    const named = optionsOf(program, command).find(({ long }) => long === flag);
    const values = named === undefined ? [] : await valuesOf(named, value, where);
    return values.filter((line) => !line.startsWith(":")).map((line) => `${flag}=${line}`);
  }
  if (current.startsWith("-") && !onlyArguments)
    return linesOf(
      optionsOf(program, command).map(({ long, short, description }) => ({
        word: long ?? short ?? "",
        about: description,
      })),
      current,
    );
  return [...subcommands(reached, current), ...(await argumentValues(reached, current, where))];
}

function follow(program: Command, words: readonly string[]): Reached {
  let reached: Reached = { command: program, count: 0, onlyArguments: false };
  for (const word of words) reached = next(program, reached, word);
  return reached;
}

function next(program: Command, reached: Reached, word: string): Reached {
  const { command, count, option, onlyArguments } = reached;
  if (option !== undefined) return { command, count, onlyArguments };
  if (!onlyArguments && word === "--") return { command, count, onlyArguments: true };
  if (!onlyArguments && word.startsWith("-") && word !== "-") {
    const named = optionsOf(program, command).find(({ long, short }) => long === word || short === word);
    return { command, count, onlyArguments, option: named?.required === true ? named : undefined };
  }
  const sub = count === 0 ? command.commands.find((each) => each.name() === word) : undefined;
  return sub === undefined
    ? { command, count: count + 1, onlyArguments }
    : { command: sub, count: 0, onlyArguments };
}

/** The options of a command and those of every command. */
function optionsOf(program: Command, command: Command): readonly Option[] {
  const help = program.createHelp();
  const own = help.visibleOptions(command);
  const global = help.visibleOptions(program).filter(({ long }) => !own.some((each) => each.long === long));
  return command === program ? own : [...own, ...global.filter(({ long }) => long !== "--version")];
}

function subcommands({ command, count }: Reached, current: string): string[] {
  if (count > 0 || command.commands.length === 0) return [];
  const visible = command.createHelp().visibleCommands(command);
  return linesOf(
    visible.map((each) => ({ word: each.name(), about: each.description() })),
    current,
  );
}

async function argumentValues({ command, count }: Reached, current: string, where: Where): Promise<string[]> {
  const { registeredArguments: all } = command;
  const last = all.at(-1);
  const argument = all[count] ?? (last?.variadic === true ? last : undefined);
  return argument === undefined ? [] : await valuesOf(argument, current, where);
}

type Values = readonly (Candidate | string)[];

/** What the place holder of an argument or a flag stands for. */
const SOURCES: Readonly<Record<string, (where: Where) => Values | Promise<Values>>> = {
  experiment: (where) => [...experiments(where), FILES],
  experiments: (where) => [...experiments(where), FILES],
  component: () => COMPONENTS.map((word) => ({ word })),
  run: unfinished,
  folder: (where) => [...reports(where), FOLDERS],
  folders: (where) => [...reports(where), FOLDERS],
  file: () => [FILES],
  "--context": contexts,
  "--only": experiments,
  "--skip": experiments,
};

async function valuesOf(of: Option | Argument, current: string, where: Where): Promise<string[]> {
  const choices = of.argChoices;
  if (choices !== undefined)
    return linesOf(
      choices.map((word) => ({ word })),
      current,
    );
  const [long, holder] =
    "long" in of ? [of.long ?? "", /<([a-z]+)>/.exec(of.flags)?.[1] ?? ""] : ["", of.name()];
  const values = (await (SOURCES[long] ?? SOURCES[holder])?.(where)) ?? [];
  // "a,b": the last name is completed.
  const before = holder === "names" ? current.slice(0, current.lastIndexOf(",") + 1) : "";
  const candidates = values.flatMap((each) =>
    typeof each === "string" ? [] : [{ ...each, word: before + each.word }],
  );
  return [...linesOf(candidates, current), ...values.filter((each) => typeof each === "string")];
}

function linesOf(candidates: readonly Candidate[], current: string): string[] {
  const fitting = candidates.filter(({ word }) => word.startsWith(current) && !/[\s:]/.test(word));
  return fitting.map(({ word, about = "" }) => (about === "" ? word : `${word}\t${about}`));
}

/** The names that `run`, `validate` and `rbac` know without a path. */
function experiments({ cwd }: Where): Candidate[] {
  const roots = [join(cwd, "experiments"), join(packageRoot(), "experiments")];
  const names = roots
    .flatMap((root) => [root, join(root, "variants")])
    .flatMap((folder) => namesIn(folder))
    .flatMap((name) => /^(.+)\.ya?ml$/.exec(name)?.[1] ?? []);
  return [...new Set(names)].map((word) => ({ word }));
}

async function unfinished({ env }: Where): Promise<Candidate[]> {
  const { journalRoot, unfinishedRuns } = await import("../safety/journal/folder.js");
  const { runs } = await unfinishedRuns(journalRoot(env));
  return runs.map(({ open }) => ({ word: open.runId, about: `since ${open.startedAt}` }));
}

/** The folders of runs below ./reports, the newest first. */
function reports({ cwd }: Where): Candidate[] {
  const runs = namesIn(join(cwd, "reports")).filter((name) => /^\d{8}t\d{6}z-/.test(name));
  return runs.reverse().map((name) => ({ word: `reports/${name}` }));
}

/** The names of contexts, without a parser of YAML, which would take longer than everything else. */
function contexts({ env }: Where): Candidate[] {
  const list = env["KUBECONFIG"] ?? "";
  const files = list === "" ? [join(env["HOME"] ?? homedir(), ".kube/config")] : list.split(delimiter);
  const names = files.flatMap((file) => {
    const section = /^contexts:\n((?:[ -].*\n?)*)/m.exec(readOrEmpty(file))?.[1] ?? "";
    return [...section.matchAll(/^(?:- | {2})name: "?([^"\s]+)"?$/gm)].flatMap(([, name]) => name ?? []);
  });
  return [...new Set(names)].map((word) => ({ word }));
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder).sort();
  } catch {
    return [];
  }
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
