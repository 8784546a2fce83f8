import { existsSync } from "node:fs";
import { chmod, mkdir, mkdtemp, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { hashOfFiles, keyOf } from "../../../src/lab/keys.js";
import { perform, placeOf } from "../../../src/lab/build-plan.js";
import { inBuildOrder, parentOf, readImageFolders } from "../../../src/lab/image-folder.js";
import { copySourceFiles, imageKey } from "../../../src/lab/images.js";
import { debianTargets, sourceList } from "../../../src/lab/apt.js";
import { importPath, versionFlags } from "../../../src/lab/steps/kubernetes.js";
import { labPaths } from "../../../src/lab/paths.js";
import { silentProgress } from "../../../src/common/progress.js";

const scratch = async (): Promise<string> => await mkdtemp(join(tmpdir(), "lab-build-"));

test("a key depends on the inputs, not on the order of their names", (t) => {
  t.is(keyOf({ a: 1, b: ["x", "y"] }), keyOf({ b: ["x", "y"], a: 1 }));
  t.not(keyOf({ a: 1, b: ["x", "y"] }), keyOf({ a: 1, b: ["y", "x"] }));
  t.not(keyOf(["ab", "c"]), keyOf(["a", "bc"]));
  t.regex(keyOf("anything"), /^[0-9a-f]{16}$/);
});

test("the hash of a folder depends on contents, names and executable bits", async (t) => {
  const folder = await scratch();
  await mkdir(join(folder, "below"));
  await writeFile(join(folder, "below/file"), "text");
  const first = await hashOfFiles(folder);
  t.is(await hashOfFiles(folder), first);
  await chmod(join(folder, "below/file"), 0o755);
  const executable = await hashOfFiles(folder);
  t.not(executable, first);
  await writeFile(join(folder, "below/file"), "more");
  t.not(await hashOfFiles(folder), executable);
});

test("a finished step is not performed again; another input gives another result and removes the old one", async (t) => {
  const folder = await scratch();
  let done = 0;
  const step = (input: string): Parameters<typeof perform>[1] => ({
    name: "things",
    title: "Making things",
    inputs: { input },
    work: async ({ output }) => {
      done += 1;
      await writeFile(join(output, "thing"), input);
    },
  });
  const first = await perform(folder, step("a"), silentProgress);
  t.deepEqual(await perform(folder, step("a"), silentProgress), first);
  t.is(done, 1);
  t.is(await readFile(join(first.folder, "thing"), "utf8"), "a");
  const second = await perform(folder, step("b"), silentProgress);
  t.is(done, 2);
  t.false(existsSync(first.folder));
  t.deepEqual(
    (await readdir(folder)).map((name) => join(folder, name)),
    [second.folder],
  );
});

test("an interrupted step leaves no result and is performed again", async (t) => {
  const folder = await scratch();
  let fail = true;
  const step = {
    name: "fragile",
    title: "Failing first",
    inputs: 1,
    work: async ({ output }: { output: string }) => {
      t.deepEqual(await readdir(output), [], "nothing of the attempt before is left");
      await writeFile(join(output, "half"), "");
      if (fail) throw new Error("cut off");
    },
  };
  await t.throwsAsync(perform(folder, step, silentProgress), { message: "cut off" });
  t.false(existsSync(placeOf(folder, step).folder));
  fail = false;
  const result = await perform(folder, step, silentProgress);
  t.true(existsSync(join(result.folder, "half")));
  t.is((await readdir(folder)).length, 1);
});

const TARGETS = [
  "Packages|http://mirror.test/debian/|bookworm|Debian",
  "Packages|http://mirror.test/debian/|bookworm|Debian",
  "Translations|http://mirror.test/debian/|bookworm|Debian",
  "Packages|http://mirror.test/debian/|bookworm-updates|Debian",
  "Packages|http://security.test/debian-security/|bookworm-security|Debian",
  "Packages|https://other.test/|nodistro|Someone",
].join("\n");

test("the mirrors are apt's own, and only Debian's", (t) => {
  const targets = debianTargets(TARGETS);
  t.is(targets.length, 3);
  t.is(
    sourceList(targets, "trixie"),
    "deb http://mirror.test/debian/ trixie main\ndeb-src http://mirror.test/debian/ trixie main\n",
  );
  t.regex(
    sourceList(targets, "bookworm"),
    /deb http:\/\/security\.test\/debian-security\/ bookworm-security main/,
  );
  t.throws(() => sourceList([], "bookworm"), { message: /apt has no mirror for Debian 12/ });
});

test("the version is written for both import paths of the version package", (t) => {
  const flags = versionFlags("v1.20.2", "abc");
  t.true(flags.startsWith("-s -w "));
  for (const name of [
    "k8s.io/component-base/version",
    "k8s.io/kubernetes/vendor/k8s.io/component-base/version",
  ]) {
    t.true(flags.includes(`-X ${name}.gitVersion=v1.20.2`));
    t.true(flags.includes(`-X ${name}.gitMinor=20`));
  }
  t.is(importPath("staging/src/k8s.io/api/core/v1"), "k8s.io/kubernetes/vendor/k8s.io/api/core/v1");
  t.is(importPath("pkg/apis/core"), "k8s.io/kubernetes/pkg/apis/core");
});

test("images are built after their base images", (t) => {
  const base = "kube-system-chaos-lab/base";
  const images = [
    { name: "child", tags: ["x/child:1"], parent: "x/parent:1" },
    { name: "parent", tags: ["x/other:1", "x/parent:1"], parent: base },
    { name: "static", tags: ["x/static:1"], parent: undefined },
  ];
  t.deepEqual(
    inBuildOrder(images).map(({ name }) => name),
    ["parent", "static", "child"],
  );
  t.throws(() => inBuildOrder([{ name: "lost", tags: [], parent: "nobody/makes:it" }]), {
    message: /lost \(FROM nobody\/makes:it\)/,
  });
  t.is(parentOf("# comment\nFROM scratch\n"), undefined);
  t.is(parentOf("FROM a/b:1 AS stage\n"), "a/b:1");
});

test("every image folder is complete, and an image under a public name is labelled", async (t) => {
  const images = await readImageFolders(join(labPaths().assets, "images"));
  const tags = images.flatMap((image) => image.tags);
  t.is(new Set(tags).size, tags.length, "no two images have the same name");
  for (const image of images) {
    const own = image.tags.every((tag) => tag.includes("kube-system-chaos-lab/"));
    t.is(own, image.standIn === undefined && image.builtFrom === undefined, image.name);
  }
});

test("files of the source tree are keyed by their paths in the image, and copied there", async (t) => {
  const folder = await scratch();
  const image = join(folder, "images/from-source");
  const json = async (sourceFiles: unknown): Promise<void> => {
    await writeFile(join(image, "image.json"), JSON.stringify({ tags: ["x/y:1"], sourceFiles }));
  };
  await mkdir(image, { recursive: true });
  await writeFile(join(image, "Dockerfile"), "FROM scratch\n");
  await json({ "opt/run.sh": "cluster/run.sh" });
  await t.throwsAsync(readImageFolders(join(folder, "images")), { message: /from-source is incomplete or/ });
  await json({ "/opt/run.sh": "/cluster/run.sh" });
  await t.throwsAsync(readImageFolders(join(folder, "images")), { message: /from-source is incomplete or/ });
  await json({ "/opt/run.sh": "cluster/run.sh" });
  const [read] = await readImageFolders(join(folder, "images"));

  const tree = join(folder, "tree");
  await mkdir(join(tree, "cluster"), { recursive: true });
  await writeFile(join(tree, "cluster/run.sh"), "#!/bin/sh\n", { mode: 0o755 });
  await copySourceFiles(tree, read?.sourceFiles ?? {}, join(folder, "source"));
  t.is(await readFile(join(folder, "source/opt/run.sh"), "utf8"), "#!/bin/sh\n");
  t.not((await stat(join(folder, "source/opt/run.sh"))).mode & 0o100, 0, "still a program");
});

test("an image's key depends on each of its parts and on which part it is", (t) => {
  const image = { hash: "0123" };
  const part = { key: "a", folder: "/nowhere" };
  const keys = [
    imageKey(image, { parentKey: "" }),
    imageKey(image, { parentKey: "p" }),
    imageKey({ hash: "4567" }, { parentKey: "" }),
    imageKey(image, { parentKey: "", packages: part }),
    imageKey(image, { parentKey: "", kubernetes: part }),
    imageKey(image, { parentKey: "", program: part }),
    imageKey(image, { parentKey: "", source: part }),
    imageKey(image, { parentKey: "", source: { ...part, key: "b" } }),
  ];
  t.is(new Set(keys).size, keys.length);
});

test("the addon-manager is the real one, and the add-ons' substitute images share one layer", async (t) => {
  const images = await readImageFolders(join(labPaths().assets, "images"));
  const manager = images.find(({ tags }) => tags.includes("k8s.gcr.io/kube-addon-manager:v9.1.2"));
  t.is(manager?.standIn, undefined);
  t.deepEqual(Object.values(manager?.sourceFiles ?? {}).sort(), [
    "cluster/addons/addon-manager/kube-addons-main.sh",
    "cluster/addons/addon-manager/kube-addons.sh",
  ]);
  const parent = images.find(({ name }) => name === "study-addons");
  t.false(parent?.preload, "the nodes need only what pods are made of");
  for (const tag of [
    "k8s.gcr.io/cluster-proportional-autoscaler-amd64:1.8.1",
    "gcr.io/stackdriver-agents/stackdriver-logging-agent:1.8.9",
    "k8s.gcr.io/fluentd-gcp-scaler:0.5.2",
    "k8s.gcr.io/event-exporter:v0.3.1",
    "k8s.gcr.io/metrics-server-amd64:v0.3.6",
    "k8s.gcr.io/heapster-amd64:v1.6.1",
    "k8s.gcr.io/ingress-gce-404-server-with-metrics-amd64:v1.6.0",
  ]) {
    const image = images.find(({ tags }) => tags.includes(tag));
    t.is(image?.parent, parent?.tags[0], tag);
    t.truthy(image?.standIn, tag);
    const dockerfile = await readFile(join(image?.folder ?? "", "Dockerfile"), "utf8");
    const job = /^ENTRYPOINT \["\/study-addons", "([a-z-]+)"\]$/m.exec(dockerfile)?.[1];
    const main = await readFile(join(labPaths().assets, "programs/study-addons/main.go"), "utf8");
    t.true(main.includes(`"${job ?? "?"}":`), `${tag} names a job of the program`);
  }
});
