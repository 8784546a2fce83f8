/** The control run, which takes nothing down, and its raw files. Hidden faults have a file of their own. */
import test from "ava";
import { cp, readFile } from "node:fs/promises";
import { join } from "node:path";
import { buildReport } from "../../src/report/files.js";
import { chaosRun, onlyReport, said, setUp, writeExperiment } from "./support/run-cli.js";

test.serial("the control run finds no fault, and its result can be computed again", async (t) => {
  const { cluster, space } = await setUp(t);
  const file = await writeExperiment(space, {
    name: "control",
    attack: "{ type: none }",
    window: "10s",
    impact: "none",
  });
  const ended = await chaosRun(cluster, space, file);
  const { exitCode } = ended;
  const { folder, result } = await onlyReport(space);
  t.is(exitCode, 0, `${said(ended)}\n${result.verdictBecause}`);
  t.is(result.verdict, "control");
  t.is(result.severity, "none");
  t.is(result.suppression, null);

  // From the raw files alone, in another folder.
  const copy = join(space.folder, "copy");
  await cp(folder, copy, {
    recursive: true,
    filter: (path) => !/result\.json|report\.md|timeline\.svg/.test(path),
  });
  await buildReport(copy);
  for (const name of ["result.json", "report.md", "timeline.svg"]) {
    t.is(await readFile(join(copy, name), "utf8"), await readFile(join(folder, name), "utf8"), name);
  }
});
