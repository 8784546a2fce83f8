/** The committed report that the README shows is what the current code computes from its raw files. */
import { cp, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { packageRoot } from "../../../src/common/package-root.js";
import { buildReport } from "../../../src/report/files.js";

const EXAMPLE = join(packageRoot(), "reports/example/example-kube-dns");

test("the example's result, report and picture come from its raw files (to regenerate: chaos report reports/example/example-kube-dns)", async (t) => {
  const copy = await mkdtemp(join(tmpdir(), "chaos-example-"));
  t.teardown(async () => await rm(copy, { recursive: true, force: true }));
  await cp(EXAMPLE, copy, {
    recursive: true,
    filter: (path) => !/result\.json|report\.md|timeline\.svg/.test(path),
  });
  await buildReport(copy);
  for (const name of ["result.json", "report.md", "timeline.svg"]) {
    t.is(await readFile(join(copy, name), "utf8"), await readFile(join(EXAMPLE, name), "utf8"), name);
  }
});
