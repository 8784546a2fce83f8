import test from "ava";
import type { Command } from "commander";
import { EXAMPLES, exampleSection } from "../../../src/commands/examples.js";
import { createProgram, type Handlers } from "../../../src/commands/program.js";

/** Words of a command line; quotes and pipes are the shell's. */
function wordsOf(line: string): string[] {
  const command = /(?:^|\()(chaos [^|>)]*)/.exec(line)?.[1] ?? "";
  return command.trim().split(/ +/).slice(1);
}

/** The program with handlers that only note that they were called. */
function program(called: string[]): Command {
  const handlers = new Proxy({} as Handlers, {
    get: (_target, name) => () => void called.push(String(name)),
  });
  return createProgram(handlers);
}

function visible(command: Command, path = ""): string[] {
  return command
    .createHelp()
    .visibleCommands(command)
    .filter((child) => child.name() !== "help")
    .flatMap((child) => {
      const name = `${path}${child.name()}`;
      return child.commands.length > 0 ? visible(child, `${name} `) : [name];
    });
}

test("every command has examples, and every example is of a command", (t) => {
  t.deepEqual(Object.keys(EXAMPLES).sort(), visible(program([])).sort());
});

for (const [name, examples] of Object.entries(EXAMPLES))
  for (const [line] of examples)
    test(`the example is a command line: ${line}`, async (t) => {
      const called: string[] = [];
      await program(called).parseAsync(wordsOf(line), { from: "user" });
      t.deepEqual(called, [name.split(" ")[0]]);
    });

test("the help has the examples of its command", (t) => {
  t.true(exampleSection("cluster up").includes("\n  chaos cluster up --addons\n"));
  t.is(exampleSection("unknown"), "");
});
