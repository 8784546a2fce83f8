/** A variable that is not set gives an empty path. */
import test from "ava";
import { createProgram, type Handlers } from "../../../src/commands/program.js";

function parser(seen: unknown[]): (...args: string[]) => Promise<unknown> {
  const see = async (...given: unknown[]): Promise<void> => {
    seen.push(given[0]);
    await Promise.resolve();
  };
  const handlers = { run: see, report: see, matrix: see } as unknown as Handlers;
  const program = createProgram(handlers);
  for (const each of program.commands) each.configureOutput({ writeErr: () => undefined });
  return async (...args) => await program.parseAsync(args, { from: "user" });
}

for (const args of [
  ["run", "kube-dns", "--reports", ""],
  ["run", "kube-dns", "--config", ""],
  ["report", ""],
  ["matrix", ""],
  ["matrix", "a", ""],
  ["matrix", "--out", ""],
])
  test(`an empty path is bad usage: ${JSON.stringify(args)}`, async (t) => {
    const seen: unknown[] = [];
    await t.throwsAsync(parser(seen)(...args), { code: "commander.invalidArgument", message: /It is empty/ });
    t.deepEqual(seen, []);
  });

test("matrix: the given folders replace the default", async (t) => {
  const seen: unknown[] = [];
  await parser(seen)("matrix");
  await parser(seen)("matrix", "a", "b");
  await parser(seen)("matrix", "reports", "c");
  t.deepEqual(seen, [["reports"], ["a", "b"], ["reports", "c"]]);
});
