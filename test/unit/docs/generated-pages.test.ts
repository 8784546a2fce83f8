import { readFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import { pages } from "../../../scripts/docs/pages.js";
import { packageRoot } from "../../../src/common/package-root.js";

test("the pages made from the program and the example are up to date (to mend: npm run docs)", async (t) => {
  for (const [path, text] of await pages()) {
    t.is(readFileSync(join(packageRoot(), path), "utf8"), text, path);
  }
});
