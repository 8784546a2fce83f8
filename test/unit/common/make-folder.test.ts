import test from "ava";
import { mkdtemp, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { messageOf } from "../../../src/common/errors.js";
import { makeFolder } from "../../../src/common/make-folder.js";

test("a folder with its parents, once and again", async (t) => {
  const root = await mkdtemp(join(tmpdir(), "chaos-folder-"));
  t.teardown(async () => await rm(root, { recursive: true }));
  const path = join(root, "a", "b", "c");
  await makeFolder(path, { mode: 0o700 });
  await makeFolder(path, { mode: 0o700 });
  t.is((await stat(path)).mode & 0o777, 0o700);
  t.is((await stat(join(root, "a"))).mode & 0o777, 0o700);
});

test("a file in the way is an error", async (t) => {
  const root = await mkdtemp(join(tmpdir(), "chaos-folder-"));
  t.teardown(async () => await rm(root, { recursive: true }));
  await writeFile(join(root, "file"), "");
  await t.throwsAsync(makeFolder(join(root, "file")), { code: "EEXIST" });
  await t.throwsAsync(makeFolder(join(root, "file", "a", "b")), { code: "ENOTDIR" });
});

test("the message is the reason: it names what is in the way, not the folder", async (t) => {
  const root = await mkdtemp(join(tmpdir(), "chaos-folder-"));
  t.teardown(async () => await rm(root, { recursive: true }));
  await writeFile(join(root, "file"), "");
  await symlink("nowhere", join(root, "link"));
  for (const [path, expected] of [
    [["file"], "it is a file, not a folder"],
    [["file", "a", "b"], "a part of its path is a file, not a folder"],
    [["link"], "it is a broken link, not a folder"],
    [["link", "a", "b"], `${join(root, "link")} is a broken link, not a folder`],
    [["a".repeat(300)], "its name is too long"],
  ] as const) {
    const error = await t.throwsAsync(makeFolder(join(root, ...path)));
    t.is(messageOf(error), expected);
    t.is(messageOf(new Error("cannot write", { cause: error })), `cannot write: ${expected}`);
  }
});

const onLinux = process.platform === "linux" ? test : test.skip;

// Node's recursive mkdir never returns here.
onLinux("below /proc: an error at once", async (t) => {
  await t.throwsAsync(makeFolder("/proc/no-such-folder/a/b"), {
    code: "ENOENT",
    message: "no folder can be created in /proc",
  });
});
