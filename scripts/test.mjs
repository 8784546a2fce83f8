// `npm test`: runs the checks (check.mjs) and the tests in parallel, because either alone leaves a core idle. The output
// of the checks is printed after that of the tests.
import { execa } from "execa";

/** @param {string} script a script of package.json */
const run = (script) =>
  execa("npm", ["run", "--silent", script], {
    reject: false,
    all: true,
    stdin: "ignore",
    env: process.stdout.isTTY ? { FORCE_COLOR: "1" } : {},
  });

const checks = run("check");
const tests = run("test:unit");
tests.all?.pipe(process.stdout, { end: false });
const [check, test] = await Promise.all([checks, tests]);
console.log(check.all);
console.log(check.failed ? "checks: failed" : "checks: passed");
if (check.failed || test.failed) process.exitCode = 1;
