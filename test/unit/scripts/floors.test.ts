/** The floors (scripts/floors.mjs) as dependency-cruiser sees them: on a tree made for it, so that each rule is seen to fail. */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import test from "ava";
import { cruise, type ICruiseResult } from "dependency-cruiser";
import config from "../../../.dependency-cruiser.mjs";

const FILES: Readonly<Record<string, string>> = {
  "package.json": '{ "dependencies": { "execa": "*", "axios": "*" } }',
  "node_modules/execa/package.json": '{ "name": "execa", "main": "index.js" }',
  "node_modules/execa/index.js": "",
  "node_modules/axios/package.json": '{ "name": "axios", "main": "index.js" }',
  "node_modules/axios/index.js": "",
  "src/common/clock.ts": "export interface Clock { readonly now: () => number }",
  "src/run/run.ts": 'import type { Clock } from "../common/clock.js";\nexport type Run = Clock;',
  "src/run/own-room.ts": 'import "execa";',
  "src/kube/up.ts": 'import type { Run } from "../run/run.js";\nexport type Up = Run;',
  "src/kube/down.ts": 'import type { Clock } from "../common/clock.js";\nexport type Down = Clock;',
  "src/ui/sideways.ts": 'import type { Access } from "../nodes/access.js";\nexport type Sideways = Access;',
  "src/nodes/access.ts": 'import "execa";\nexport interface Access { readonly how: string }',
  "src/common/circle-a.ts": 'import type { B } from "./circle-b.js";\nexport interface A { readonly b?: B }',
  "src/common/circle-b.ts": 'import type { A } from "./circle-a.js";\nexport interface B { readonly a?: A }',
  "src/analysis/far.ts": 'import "../evidence/far.js";',
  "src/evidence/far.ts": 'import "../kube/down.js";',
  "src/safety/dead-man/main.ts": 'import "../far.js";',
  "src/safety/far.ts": 'import "../nodes/access.js";',
  "src/nodes/agent/node-agent.mjs": 'import "./jsdoc.mjs";',
  "src/nodes/agent/jsdoc.mjs": '/** @type {import("../../run/run.js").Run | undefined} */\nexport let run;',
  "src/new-room/file.ts": 'import "../common/clock.js";',
  "src/common/of-test.ts": 'import "../../test/helper.js";',
  "test/helper.ts": "export {};",
  "src/common/nowhere.ts": 'import "./not-there.js";',
};

test("each rule of the floors reports what breaks it, and nothing else", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "chaos-floors-"));
  t.teardown(async () => await rm(folder, { recursive: true, force: true }));
  for (const [path, text] of Object.entries(FILES)) {
    await mkdir(join(folder, dirname(path)), { recursive: true });
    await writeFile(join(folder, path), text);
  }
  const { forbidden, options } = config;
  const { doNotFollow, tsPreCompilationDeps, detectJSDocImports } = options;
  const how = { doNotFollow, tsPreCompilationDeps, detectJSDocImports, baseDir: folder };
  const { output } = await cruise(["src"], { ...how, ruleSet: { forbidden }, validate: true });
  const { summary } = output as ICruiseResult;
  t.deepEqual(
    summary.violations.map(({ rule, from, to }) => `${rule.name}: ${from} → ${to}`).sort(),
    [
      "all-found: src/common/nowhere.ts → ./not-there.js",
      "every-room-has-a-floor: src/new-room/file.ts → src/common/clock.ts",
      "floor-of-kube: src/kube/up.ts → src/run/run.ts",
      "floor-of-nodes: src/nodes/agent/jsdoc.mjs → src/run/run.ts",
      "floor-of-ui: src/ui/sideways.ts → src/nodes/access.ts",
      "no-circle: src/common/circle-a.ts → src/common/circle-b.ts",
      "no-cluster-behind-results: src/analysis/far.ts → src/kube/down.ts",
      "no-runner-in-pods: src/nodes/agent/jsdoc.mjs → src/run/run.ts",
      "no-runner-in-pods: src/nodes/agent/node-agent.mjs → src/run/run.ts",
      "no-runner-in-pods: src/safety/dead-man/main.ts → node_modules/execa/index.js",
      "no-test-in-src: src/common/of-test.ts → test/helper.ts",
      "packages-of-run: src/run/own-room.ts → node_modules/execa/index.js",
    ].sort(),
  );
});
