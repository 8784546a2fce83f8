import test from "ava";
import { nodeAccessOptions } from "../../../src/commands/node-access-options.js";
import { loadLocalConfig, parseLocalConfig } from "../../../src/config/local-config.js";
import { UsageError } from "../../../src/common/errors.js";

const COMMAND = ["ssh", "{node}", "{command}"];

test("the command for node access is an argument list", (t) => {
  const config = parseLocalConfig('nodeAccess:\n  command: [ssh, "{node}", "{command}"]\n', "c.yaml");
  t.deepEqual(config, { nodeAccess: { command: COMMAND } });
});

for (const [what, text, place] of [
  ["a command in one string", "nodeAccess:\n  command: ssh {node}\n", "c.yaml:2:12: nodeAccess.command:"],
  ["an unknown key", "nodeAcces: {}\n", "c.yaml:1:1: "],
  ["an empty list", "nodeAccess:\n  command: []\n", "c.yaml:2:12: nodeAccess.command:"],
  ["no YAML", "nodeAccess: [\n", "c.yaml:2:1: "],
] as const) {
  test(`an invalid local configuration is reported with its position: ${what}`, (t) => {
    const error = t.throws(() => parseLocalConfig(text, "c.yaml"), { instanceOf: UsageError });
    t.true(error.message.startsWith(place), error.message);
  });
}

test("an empty or missing file configures nothing; a named file must exist", async (t) => {
  t.deepEqual(parseLocalConfig("", "c.yaml"), {});
  t.deepEqual(await loadLocalConfig(undefined, { XDG_CONFIG_HOME: "/nonexistent" }), {});
  await t.throwsAsync(loadLocalConfig("/nonexistent/c.yaml", {}), { instanceOf: UsageError });
});

test("a command is run only when it is allowed", (t) => {
  const config = { nodeAccess: { command: COMMAND } };
  t.deepEqual(nodeAccessOptions({ nodeAccess: undefined, allowCommands: false }, config), {});
  t.deepEqual(nodeAccessOptions({ nodeAccess: undefined, allowCommands: true }, config), {
    command: COMMAND,
  });
  t.deepEqual(nodeAccessOptions({ nodeAccess: "command", allowCommands: true }, config), {
    only: "command",
    command: COMMAND,
  });
  t.throws(() => nodeAccessOptions({ nodeAccess: "command", allowCommands: false }, config), {
    message: /--allow-commands/,
  });
  t.throws(() => nodeAccessOptions({ nodeAccess: "command", allowCommands: true }, {}), {
    message: /no nodeAccess.command/,
  });
});
