/** The report that is committed and shown in the README is what its raw files come to, with today's code. */
import { cp, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { packageRoot } from "../../../src/common/package-root.js";
import type { Matrix } from "../../../src/report/matrix.js";
import { buildReport } from "../../../src/report/files.js";
import { readmeMatrix } from "../../helpers/readme-matrix.js";

const EXAMPLE = join(packageRoot(), "reports/example/example-kube-dns");

test("the example's result, report and picture come from its raw files (mend: chaos report reports/example/example-kube-dns)", async (t) => {
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

test("the README shows the example's row", async (t) => {
  const cells = (text: string): string[] =>
    text
      .split("\n")
      .filter((line) => line.startsWith("| kube-dns ("))
      .map((line) => line.replace(/\s+/g, " "));
  const [row] = cells(await readFile(join(EXAMPLE, "report.md"), "utf8"));
  t.truthy(row);
  t.deepEqual(cells(await readFile(join(packageRoot(), "README.md"), "utf8")), [row]);
});

test("the README shows the committed matrix in short (mend: the test's message)", async (t) => {
  const json = await readFile(join(packageRoot(), "reports/example/impact-matrix.json"), "utf8");
  const squeeze = (text: string): string[] =>
    text
      .split("\n")
      .filter((line) => line.startsWith("|") && !/^[|:\s-]+$/.test(line))
      .map((line) => line.replace(/\s+/g, " "));
  const readme = await readFile(join(packageRoot(), "README.md"), "utf8");
  const shown = /<!-- matrix:begin -->(.*)<!-- matrix:end -->/s.exec(readme)?.[1] ?? "";
  t.deepEqual(squeeze(shown), squeeze(readmeMatrix(JSON.parse(json) as Matrix)));
});
