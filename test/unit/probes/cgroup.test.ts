import test from "ava";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { cgroupVersion } from "../../../src/probes/agent/cgroup.js";

test("the version of the control groups, by what is mounted", (t) => {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), "cgroup-"));
  t.teardown(() => fs.rmSync(root, { recursive: true }));
  t.is(cgroupVersion(root), undefined);
  fs.mkdirSync(path.join(root, "memory"));
  t.is(cgroupVersion(root), "v1");
  fs.writeFileSync(path.join(root, "cgroup.controllers"), "cpu memory\n");
  t.is(cgroupVersion(root), "v2");
});
