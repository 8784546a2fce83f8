import test from "ava";
import { checkKeys, textsOf } from "../../../src/api/checked.js";
import { matrix } from "../../../src/api/matrix.js";
import { runExperiment, type RunExperimentOptions } from "../../../src/api/run.js";
import { validate } from "../../../src/api/validate.js";
import { UsageError } from "../../../src/common/errors.js";

test("a text or texts; anything else is bad usage, named", async (t) => {
  t.deepEqual(textsOf("a", "x"), ["a"]);
  t.deepEqual(textsOf(["a", "b"], "x"), ["a", "b"]);
  for (const bad of [undefined, 5, {}, ["a", 5]] as unknown as string[]) {
    const expected = { instanceOf: UsageError, message: /must be a text or an array of texts$/ };
    await t.throwsAsync(validate(bad), expected);
    await t.throwsAsync(matrix(bad), expected);
    await t.throwsAsync(runExperiment({ experiments: bad }).outcome, expected);
  }
});

test("a misspelt option is refused: the misspelt dryRun would attack", async (t) => {
  t.notThrows(() => checkKeys({ a: undefined }, { a: true }));
  t.throws(() => checkKeys({ toString: 1 }, { a: true }), { instanceOf: UsageError });
  const misspelt = { experiments: "nothing", dryrun: true } as RunExperimentOptions;
  await t.throwsAsync(runExperiment(misspelt).outcome, {
    instanceOf: UsageError,
    message: /^unknown option: dryrun\. Options: experiments, .*dryRun/,
  });
});
