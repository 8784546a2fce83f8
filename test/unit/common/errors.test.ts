import test from "ava";
import { ChaosError, EXIT_CODE_WORDS, ExitCode, messageOf } from "../../../src/common/errors.js";

const withCause = (message: string, cause: unknown): Error => new Error(message, { cause });

for (const [what, error, expected] of [
  ["no cause", new Error("a"), "a"],
  ["a cause", withCause("a", new Error("b")), "a: b"],
  ["two causes", withCause("a", withCause("b", new Error("c"))), "a: b: c"],
  ["a cause that the message ends with", withCause("a: b", new Error("b")), "a: b"],
  ["a cause inside the message", withCause("a: b. Do c", new Error("b")), "a: b. Do c"],
  [
    "a quoted cause, and its own cause that is not quoted",
    withCause("a: b. Do c", withCause("b", new Error("d"))),
    "a: b. Do c: d",
  ],
  ["a cause that quotes its cause", withCause("a", withCause("b: c", new Error("c"))), "a: b: c"],
  ["a cause after a sentence", withCause("Nothing was changed.", new Error("b")), "Nothing was changed. (b)"],
  ["not an error", "text", "text"],
  ["a cause that is not an error", withCause("a", "b"), "a: b"],
  ["no message, but a code", Object.assign(new Error(), { code: "ECONNRESET" }), "ECONNRESET"],
  ["no message and no code", new TypeError(), "TypeError"],
  [
    "several errors without a common message",
    new AggregateError([new Error("refused by ::1"), new Error("refused by 127.0.0.1")]),
    "refused by ::1; refused by 127.0.0.1",
  ],
] as const)
  test(`the message of an error: ${what}`, (t) => {
    t.is(messageOf(error), expected);
  });

test("an error that is its own cause ends", (t) => {
  const error = new Error("a");
  error.cause = withCause("b", error);
  t.is(messageOf(error), "a: b");
});

test("an error without an exit code is the tool's own trouble; every code has words", (t) => {
  t.is(new ChaosError("x").exitCode, ExitCode.failed);
  t.deepEqual(
    Object.keys(EXIT_CODE_WORDS).map(Number),
    Object.values(ExitCode).sort((a, b) => a - b),
  );
});
