import type { Command } from "commander";
import { exampleSection } from "../../src/commands/examples.js";
import { createProgram, type Handlers } from "../../src/commands/program.js";
import { ENVIRONMENT } from "../../src/common/environment.js";
import { EXIT_CODE_WORDS } from "../../src/common/errors.js";

/** The text of docs/reference.md: the help of every command, exit codes, environment variables. */
export function referencePage(): string {
  // Only the definition is read, so no handler is called.
  const program = createProgram({} as Handlers);
  return [
    "<!-- Made by `npm run docs` from src/commands/program.ts, src/common/errors.ts and src/common/environment.ts. -->",
    "# Reference",
    "Commands and flags, [exit codes](#exit-codes), [environment variables](#environment-variables). Keys of experiment files: `chaos schema`, or the completion of an editor.",
    ...visible(program).map((command) => commandSection(command)),
    "## Exit codes",
    rows(["Code", "Meaning"], Object.entries(EXIT_CODE_WORDS)),
    "## Environment variables",
    rows(
      ["Variable", "What it does"],
      Object.entries(ENVIRONMENT).map(([name, words]) => [`\`${name}\``, words]),
    ),
  ].join("\n\n");
}

/** The program and its commands, in order, without the hidden ones. */
function visible(command: Command): Command[] {
  const below = command.createHelp().visibleCommands(command);
  return [command, ...below.filter((child) => child.name() !== "help").flatMap((child) => visible(child))];
}

function commandSection(command: Command): string {
  command.configureOutput({ getOutHelpWidth: () => 100 });
  const path = [command.name()];
  for (let { parent } = command; parent !== null; parent = parent.parent) path.unshift(parent.name());
  const help = command.helpInformation().trimEnd() + exampleSection(path.slice(1).join(" "));
  return `## \`${path.join(" ")}\`\n\n\`\`\`text\n${help.trimEnd()}\n\`\`\``;
}

function rows(header: readonly [string, string], cells: readonly (readonly [string, string])[]): string {
  const line = (row: readonly string[]): string => `| ${row.join(" | ")} |`;
  return [line(header), "| --- | --- |", ...cells.map(line)].join("\n");
}
