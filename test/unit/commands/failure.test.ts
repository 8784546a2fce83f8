/** Every class of error → the exit code and one line, without a stack or a library's words. */
import test from "ava";
import { open, readdir } from "node:fs/promises";
import * as z from "zod";
import { failureOf } from "../../../src/commands/failure.js";
import {
  ChaosError,
  ExitCode,
  NothingConfiguredError,
  RefusedError,
  UsageError,
} from "../../../src/common/errors.js";
import { makeFolder } from "../../../src/common/make-folder.js";
import { ApiError, ApiUnreachableError } from "../../../src/kube/transport.js";
import { InvalidExperimentError } from "../../../src/load/read.js";
import { UnreadableJournalError } from "../../../src/safety/journal/journal.js";

const request = { method: "GET" as const, path: "/version" };

async function thrown(work: () => unknown): Promise<unknown> {
  try {
    await work();
  } catch (error) {
    return error;
  }
  return undefined;
}

const full = Object.assign(new Error("ENOSPC: no space left on device, write"), {
  code: "ENOSPC",
  syscall: "write",
  path: "/reports/x",
});
const spawn = Object.assign(new Error("spawn kind ENOENT"), {
  code: "ENOENT",
  syscall: "spawn kind",
  path: "kind",
});

const TABLE: readonly (readonly [what: string, error: unknown, exitCode: ExitCode, text: RegExp])[] = [
  ["an error without a code", new ChaosError("kind failed: x"), ExitCode.failed, /^kind failed: x$/],
  ["bad usage", new UsageError("--x: y"), ExitCode.usage, /^--x: y$/],
  ["nothing configured", new NothingConfiguredError("no cluster"), ExitCode.usage, /^no cluster$/],
  ["a refusal", new RefusedError("the lock is held"), ExitCode.preflightRefused, /^the lock is held$/],
  ["a damaged journal", new UnreadableJournalError("/runs/r", "x"), ExitCode.preflightRefused, /\/runs\/r/],
  [
    "not restored",
    new ChaosError("run-1 is not restored", { exitCode: ExitCode.notRestored }),
    ExitCode.notRestored,
    /^run-1 is not restored$/,
  ],
  ["an interruption", new ChaosError("x", { exitCode: ExitCode.interrupted }), ExitCode.interrupted, /^x$/],
  [
    "a bad experiment",
    new InvalidExperimentError([{ file: "a.yaml", line: 1, column: 1, path: "", message: "no" }]),
    ExitCode.usage,
    /a\.yaml:1:1: no/,
  ],
  [
    "an answer of the API server",
    new ApiError(request, { status: 500, headers: {}, body: Buffer.from("") }),
    ExitCode.failed,
    /^GET \/version: HTTP 500$/,
  ],
  [
    "no answer of the API server",
    new ApiUnreachableError(request, { cause: new Error("connect ECONNREFUSED 127.0.0.1:1") }),
    ExitCode.failed,
    /^GET \/version: no answer: connect ECONNREFUSED 127\.0\.0\.1:1$/,
  ],
  [
    "a missing file",
    await thrown(async () => await open("/nonexistent/x")),
    ExitCode.failed,
    /^cannot open \/nonexistent\/x: there is no such file or folder\. Check this path$/,
  ],
  [
    "a file as a folder",
    await thrown(async () => await makeFolder("/dev/null")),
    ExitCode.failed,
    /^cannot create the folder \/dev\/null: it is a file, not a folder\. Choose another place, or move/,
  ],
  [
    "a folder that cannot be listed",
    await thrown(async () => await readdir("/dev/null")),
    ExitCode.failed,
    /^cannot read the folder \/dev\/null: a part of its path is a file, not a folder\. Choose another place$/,
  ],
  ["a full disk", full, ExitCode.failed, /^cannot write \/reports\/x: the disk is full\. Free some space$/],
  [
    "a full disk, on an open file",
    Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC", syscall: "write" }),
    ExitCode.failed,
    /^cannot write a file: the disk is full\. Free some space$/,
  ],
  ["a missing program", spawn, ExitCode.failed, /^cannot start kind: it was not found\. Install it/],
  [
    "a bug",
    await thrown(() => (undefined as unknown as { x: number }).x),
    ExitCode.failed,
    /^unexpected error: TypeError: .*This is a bug.*KUBE_SYSTEM_CHAOS_DEBUG=1/,
  ],
  [
    "a library's error of many lines",
    await thrown(() => z.object({ a: z.string() }).parse({})),
    ExitCode.failed,
    /^unexpected error: ZodError: .*This is a bug/,
  ],
  ["a thrown text", "x", ExitCode.failed, /^unexpected error: x\. This is a bug/],
];

for (const [what, error, exitCode, text] of TABLE) {
  test(`${what}: exit ${exitCode}, one line`, (t) => {
    const failure = failureOf(error);
    t.is(failure.exitCode, exitCode);
    t.regex(failure.text, text);
    t.notRegex(failure.text, /\n|^\s+at /);
  });
}

test("a bug's stack is shown on request; a known error has none", (t) => {
  t.regex(failureOf(new TypeError("x"), true).text, /TypeError: x\n\s+at /);
  t.is(failureOf(new ChaosError("x"), true).text, "x");
});
