/** Codes of the operating system → words; a path and a cause are said once. */
import test from "ava";
import { constants } from "node:os";
import { getSystemErrorMap } from "node:util";
import { messageOf, UsageError } from "../../../src/common/errors.js";
import { systemReason, tildeAdvice } from "../../../src/common/system-reason.js";

/** As Node makes it. */
function systemError(code: string, path: string): NodeJS.ErrnoException {
  const words = [...getSystemErrorMap().values()].find(([name]) => name === code)?.[1] ?? "unknown";
  return Object.assign(new Error(`${code}: ${words}, open '${path}'`), { code, syscall: "open", path });
}

for (const [code, words] of [
  ["ENOENT", "there is no such file or folder"],
  ["ENOTDIR", "a part of its path is a file, not a folder"],
  ["EACCES", "permission denied"],
  ["EPERM", "permission denied"],
  ["ELOOP", "a loop of links"],
  ["EISDIR", "it is a folder"],
  ["EIO", "the disk has an error"],
  ["EEXIST", "a file of this name exists already"],
  ["ENAMETOOLONG", "its name is too long"],
  ["ENOSPC", "the disk is full"],
  ["EROFS", "the file system is read-only"],
  ["EMFILE", "too many files are open"],
  // Without own words: Node's.
  ["EXDEV", "cross-device link not permitted"],
] as const)
  test(`the reason of ${code} names neither its code nor a path`, (t) => {
    t.true(code in constants.errno);
    const error = systemError(code, "/a/b");
    t.is(systemReason(error), words);
    t.is(
      messageOf(new UsageError(`cannot read /a/b: ${systemReason(error)}`, { cause: error })),
      `cannot read /a/b: ${words}`,
    );
    t.is(messageOf(new UsageError("cannot read /a/b", { cause: error })), `cannot read /a/b: ${words}`);
  });

test("a path that the sentence does not have stays; other errors keep their message", (t) => {
  const error = systemError("ENOENT", "/a/b");
  t.is(messageOf(new Error("no answer", { cause: error })), `no answer: ${error.message}`);
  t.is(messageOf(error), error.message);
  t.is(systemReason(new Error("it is odd")), "it is odd");
  t.is(systemReason(Object.assign(new Error("it is odd"), { code: "ENOENT" })), "it is odd");
  t.is(systemReason("text"), "text");
});

test("a cause whose code the message explains in brackets, or its error has, is not repeated", (t) => {
  const refused = Object.assign(new Error("connect ECONNREFUSED 127.0.0.1:1"), { code: "ECONNREFUSED" });
  t.is(
    messageOf(new Error("nothing listens (ECONNREFUSED)", { cause: refused })),
    "nothing listens (ECONNREFUSED)",
  );
  const own = Object.assign(new Error("it is a file", { cause: systemError("EEXIST", "/a") }), {
    code: "EEXIST",
  });
  t.is(messageOf(new Error("cannot write /a", { cause: own })), "cannot write /a: it is a file");
});

test("a ~ is explained only where a path starts with it", (t) => {
  t.regex(tildeAdvice("~/c"), /^\. The shell has not replaced the ~.*\$HOME/);
  t.is(tildeAdvice("/home/~c"), "");
});
