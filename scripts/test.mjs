// `npm test`: the checks (check.mjs) beside the tests, as each alone would leave a core idle. What the checks say is
// printed when they are done, after the tests' own lines.
import { execa } from "execa";

/** @param {string} script of package.json */
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
