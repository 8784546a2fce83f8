/** When probers without a run stop. */
import test from "ava";
import { ChaosError, ExitCode } from "../../../src/common/errors.js";
import { stopIfEnded } from "../../../src/run/probing/probing.js";

const never = new AbortController().signal;

test("an interrupt ends measuring with its own code", (t) => {
  t.notThrows(() => stopIfEnded(never, never));
  const error = t.throws(() => stopIfEnded(AbortSignal.abort("SIGINT"), never), { instanceOf: ChaosError });
  t.is(error.exitCode, ExitCode.interrupted);
});

test("without the lock nothing more is created, and the message names its holder", (t) => {
  const error = t.throws(() => stopIfEnded(never, AbortSignal.abort("run x on host y")), {
    instanceOf: ChaosError,
    message: /the lock was lost \(its holder now: run x on host y\)/,
  });
  t.is(error.exitCode, ExitCode.failed);
});
