import { existsSync } from "node:fs";
import { chmod, mkdir, mkdtemp, readdir, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { GUESTBOOK_IMAGES } from "../../../src/application/own-pods.js";
import { silentProgress } from "../../../src/common/progress.js";
import { debianTargets, sourceList } from "../../../src/lab/apt.js";
import {
  pendingSteps,
  performAll,
  placeOf,
  removeForgotten,
  secondsLeft,
  type Step,
} from "../../../src/lab/build-plan.js";
import { run } from "../../../src/lab/command.js";
import { GO_MODULES, kubernetesVersion, moduleOf } from "../../../src/lab/go-modules.js";
import { dockerfile, IMAGES } from "../../../src/lab/images.js";
import { hashOfFiles, keyOf } from "../../../src/lab/keys.js";
import { labPaths } from "../../../src/lab/paths.js";
import { isAtLeast } from "../../../src/lab/steps/go.js";
import { GO } from "../../../src/lab/versions.js";
import { PROBER_IMAGE } from "../../../src/own/own-names.js";

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

/** A step that writes its input into the file "thing". */
function step(name: string, input: string, more: Partial<Step> = {}): Step {
  return {
    name,
    title: `Making ${name}`,
    lane: "compile",
    needs: [],
    seconds: 1,
    inputs: { input },
    work: async ({ output }) => await writeFile(join(output, "thing"), input),
    ...more,
  };
}

test("a finished step is not performed again; another input gives another result and removes the old one", async (t) => {
  const folder = await scratch();
  let done = 0;
  const counted = (input: string): Step =>
    step("things", input, {
      work: async ({ output }) => {
        done += 1;
        await writeFile(join(output, "thing"), input);
      },
    });
  const [a, b] = [counted("a"), counted("b")];
  const first = (await performAll(folder, [a], silentProgress))(a);
  t.deepEqual((await performAll(folder, [a], silentProgress))(a), first);
  t.is(done, 1);
  t.is(await readFile(join(first.folder, "thing"), "utf8"), "a");
  const second = (await performAll(folder, [b], silentProgress))(b);
  t.is(done, 2);
  t.false(existsSync(first.folder));
  t.deepEqual(
    (await readdir(folder)).map((name) => join(folder, name)),
    [second.folder],
  );
});

test("an interrupted step leaves no result and is performed again; finished steps stay", async (t) => {
  const folder = await scratch();
  let fail = true;
  const first = step("first", "1");
  const fragile = step("fragile", "2", {
    needs: [first],
    work: async ({ output, folderOf }) => {
      t.deepEqual(await readdir(output), [], "nothing of the attempt before is left");
      t.is(await readFile(join(folderOf(first), "thing"), "utf8"), "1");
      await writeFile(join(output, "half"), "");
      if (fail) throw new Error("cut off");
    },
  });
  await t.throwsAsync(performAll(folder, [fragile], silentProgress), {
    message: /step fragile failed: cut off\. /,
  });
  t.false(existsSync(placeOf(folder, fragile).folder));
  t.true(existsSync(placeOf(folder, first).folder));
  fail = false;
  const place = await performAll(folder, [fragile], silentProgress);
  t.true(existsSync(join(place(fragile).folder, "half")));
  t.is((await readdir(folder)).length, 2);
});

test("what a finished step needed is not made again, and a changed need makes everything after it again", (t) => {
  const tools = (version: string): Step => step("tools", version);
  const after = (version: string): Step => step("after", "same", { needs: [tools(version)] });
  const names = (steps: readonly Step[]): string[] => steps.map(({ name }) => name);
  t.deepEqual(names(pendingSteps([after("1")], () => false)), ["tools", "after"]);
  t.deepEqual(names(pendingSteps([after("1")], ({ name }) => name === "after")), []);
  t.not(placeOf("/steps", after("1")).key, placeOf("/steps", after("2")).key);
});

test("a tool is there before the step that uses it, and another tool changes nothing", async (t) => {
  const folder = await scratch();
  const tool = step("tool", "1", { lane: "fetch" });
  const user = step("user", "same", {
    tools: [tool],
    work: async ({ output, folderOf }) => {
      await writeFile(join(output, "thing"), await readFile(join(folderOf(tool), "thing"), "utf8"));
    },
  });
  const place = await performAll(folder, [user], silentProgress);
  t.is(await readFile(join(place(user).folder, "thing"), "utf8"), "1");
  t.is(placeOf(folder, { ...user, tools: [step("tool", "2")] }).key, place(user).key);
});

test("results of steps that no plan has any more are removed, finished or not", async (t) => {
  const folder = await scratch();
  const key = "0123456789abcdef";
  for (const name of [`kept-${key}`, `gone-${key}`, `unfinished-gone-too-${key}`, "something-else"]) {
    await mkdir(join(folder, name));
  }
  await removeForgotten(folder, new Set(["kept"]));
  t.deepEqual((await readdir(folder)).sort(), [`kept-${key}`, "something-else"]);
});

test("one lane fetches while the other compiles; a failure in one lane ends the other", async (t) => {
  const folder = await scratch();
  const order: string[] = [];
  let release = (): void => undefined;
  const fetched = new Promise<void>((resolve) => (release = resolve));
  const compile = step("compile", "1", {
    work: async () => {
      // Waits for a step of the other lane: with one lane it would wait for ever.
      await fetched;
      order.push("compile");
    },
  });
  const fetch = step("fetch", "1", {
    lane: "fetch",
    work: async () => {
      order.push("fetch");
      release();
      await Promise.resolve();
    },
  });
  await performAll(folder, [compile, fetch], silentProgress);
  t.deepEqual(order, ["fetch", "compile"]);

  const failing = step("failing", "1", {
    lane: "fetch",
    work: () => Promise.reject(new Error("no network")),
  });
  const sleeping = step("sleeping", "1", {
    work: async () => void (await run("sleep", ["60"], { timeoutMs: 60_000 })),
  });
  await t.throwsAsync(performAll(folder, [sleeping, failing], silentProgress), {
    message: /step failing failed: no network\. /,
  });
});

test("the time that is left is that of the longer lane, at the speed so far", (t) => {
  const steps = [
    { lane: "fetch", seconds: 60 },
    { lane: "compile", seconds: 100 },
    { lane: "compile", seconds: 200 },
  ] as const;
  t.is(secondsLeft(steps, new Set(), 0), 300);
  t.is(secondsLeft(steps, new Set([steps[1]]), 200), 400, "half as fast as measured");
  t.is(secondsLeft(steps, new Set(steps), 600), 0);
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
    sourceList(targets),
    [
      "deb http://mirror.test/debian/ bookworm main",
      "deb http://mirror.test/debian/ bookworm-updates main",
      "deb http://security.test/debian-security/ bookworm-security main",
      "",
    ].join("\n"),
  );
  t.throws(() => sourceList([]), { message: /apt has no mirror for Debian 12/ });
});

test("the version is written for both packages that show it", (t) => {
  const values = kubernetesVersion("1.36.3");
  for (const name of ["k8s.io/component-base/version", "k8s.io/client-go/pkg/version"]) {
    t.is(values[`${name}.gitVersion`], "v1.36.3");
    t.is(values[`${name}.gitMinor`], "36");
  }
});

test("a Go counts by its numbers; no Go and an unreadable version are too old", (t) => {
  t.true(isAtLeast("go1.26.3", "1.26.3"));
  t.true(isAtLeast("go1.27rc1", "1.26.3"));
  t.true(isAtLeast("go1.100.0", "1.26.3"));
  t.false(isAtLeast("go1.26.2", "1.26.3"));
  t.false(isAtLeast("go1.19.8", "1.26.3"));
  t.false(isAtLeast("go1.26", "1.26.3"));
  t.false(isAtLeast("", "1.26.3"));
  t.false(isAtLeast("devel +abc", "1.26.3"));
});

test("every Go module has its committed go.mod and go.sum, of the version in versions.ts", async (t) => {
  for (const { name, source, programs } of GO_MODULES) {
    const text = await readFile(join(labPaths().goModules, name, "go.mod"), "utf8");
    const sums = await readFile(join(labPaths().goModules, name, "go.sum"), "utf8");
    t.regex(sums, /^\S+ v\S+ h1:/m, name);
    const go = /^go (\S+)$/m.exec(text)?.[1] ?? "";
    t.true(isAtLeast(GO.lowest, go), `${name} needs Go ${go}`);
    const module = moduleOf(name);
    if (module === undefined) continue;
    t.true(text.includes(`${module.path} ${module.version}`), `${name}: run npm run lab:lock`);
    for (const local of Object.values(programs).filter((place) => place.startsWith("./"))) {
      t.true(existsSync(join(labPaths().goModules, name, local)), local);
    }
    t.true(source === undefined || Object.keys(source).length > 0);
  }
  t.true(isAtLeast(GO.toolchain, GO.lowest));
});

test("an image comes after those it is built from, and has its own name", (t) => {
  const seen = new Set(["kube-system-chaos-lab/base"]);
  for (const image of IMAGES) {
    const parents = [...dockerfile(image).matchAll(/^(?:FROM |COPY --from=)(\S+)/gm)].map(
      ([, name]) => name ?? "",
    );
    for (const parent of parents)
      t.true(parent === "scratch" || seen.has(parent), `${image.tags[0]}: ${parent}`);
    for (const tag of image.tags) {
      t.false(seen.has(tag), tag);
      seen.add(tag);
    }
    // A public name says what is behind it: a substitute, or the original and what it was built from.
    const own = image.tags.every((tag) => tag.includes("kube-system-chaos-lab/"));
    t.is(own, image.standIn === undefined && image.builtFrom === undefined, image.tags[0]);
  }
});

test("the programs, sources and assets that images name exist", (t) => {
  const modules = new Map(GO_MODULES.map((each) => [each.name, each]));
  const named = (places: Readonly<Record<string, string>> | undefined): [string, string][] =>
    Object.values(places ?? {}).map((place) => place.split("/") as [string, string]);
  for (const image of IMAGES) {
    for (const [module, program] of named(image.programs)) {
      t.truthy(modules.get(module)?.programs[program], `${module}/${program}`);
    }
    for (const [module, name] of named(image.sources)) {
      t.truthy(modules.get(module)?.source?.[name], `${module}/${name}`);
    }
    for (const place of Object.values(image.assets ?? {})) {
      t.true(existsSync(join(labPaths().assets, place)), place);
    }
  }
});

test("the lab builds every image that a manifest or a run names", async (t) => {
  const folder = join(labPaths().root, "src/addons/manifests");
  const texts = await Promise.all(
    (await readdir(folder)).map(async (name) => await readFile(join(folder, name), "utf8")),
  );
  const wanted = texts.flatMap((text) =>
    [...text.matchAll(/^ *(?:- )?image: (\S+)$/gm)].map(([, name]) => name ?? ""),
  );
  const built = new Set(IMAGES.flatMap(({ tags }) => [...tags]));
  for (const name of [...wanted, PROBER_IMAGE, ...Object.values(GUESTBOOK_IMAGES)])
    t.true(built.has(name), name);
  t.true(wanted.length > 8);
});

test("at most four of the study's add-ons are substitutes", (t) => {
  const own = /redis|gb-|node:/;
  const substitutes = IMAGES.filter(({ standIn, tags }) => standIn !== undefined && !own.test(tags[0]));
  t.true(substitutes.length <= 4, substitutes.map(({ tags }) => tags[0]).join(", "));
});
