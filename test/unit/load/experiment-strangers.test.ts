/** Untrusted experiment files (and local configurations): what is refused, with which message and position. */
import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, open, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import anyTest, { type ExecutionContext, type TestFn } from "ava";
import { loadLocalConfig, parseLocalConfig } from "../../../src/config/local-config.js";
import { UsageError } from "../../../src/common/errors.js";
import {
  formatProblem,
  loadExperiment,
  parseExperiment,
  parseExperimentBytes,
  resolveReference,
} from "../../../src/load/read.js";
import { readBounded } from "../../../src/common/read-file.js";
import { MAX_FILE_BYTES } from "../../../src/strict-yaml/text.js";

const test = anyTest as TestFn<{ folder: string }>;

test.beforeEach(async (t) => {
  t.context.folder = await mkdtemp(join(tmpdir(), "strangers-"));
});
test.afterEach.always(async (t) => {
  await rm(t.context.folder, { recursive: true });
});

const HEAD = "apiVersion: kube-system-chaos/v1\nkind: Experiment\n";
const NAMED = `${HEAD}metadata:\n  name: a\n`;
const GOOD = `${NAMED}target:\n  component: kube-dns\n`;

function linesOf(bytes: string | Uint8Array): string[] {
  const parsed = parseExperimentBytes(typeof bytes === "string" ? Buffer.from(bytes) : bytes, "f.yaml");
  return "problems" in parsed ? parsed.problems.map(formatProblem) : [];
}

/** The loader's message for a file in the test's folder. */
async function refusal(t: ExecutionContext<{ folder: string }>, name: string): Promise<string | undefined> {
  return (await t.throwsAsync(loadExperiment(name, t.context.folder), { instanceOf: UsageError }))?.message;
}

const TOO_DEEP = "nested more than 50 levels deep: not an experiment file";
const LEVELS = 10_000;

for (const [what, text, expected] of [
  ["flow lists", `${GOOD}x: ${"[".repeat(LEVELS)}${"]".repeat(LEVELS)}`, [`f.yaml:7:102: ${TOO_DEEP}`]],
  ["flow mappings", "{a: ".repeat(LEVELS), [`f.yaml:1:397: ${TOO_DEEP}`]],
  ["block lists on one line", `${"- ".repeat(LEVELS)}a`, [`f.yaml:1:201: ${TOO_DEEP}`]],
  [
    "block mappings",
    // Each level is indented by one column, up to the maximum size of a file.
    Array.from({ length: 700 }, (_, level) => `${" ".repeat(level)}a:`).join("\n"),
    [`f.yaml:100:101: ${TOO_DEEP}`],
  ],
] as const) {
  test(`nested ten thousand levels deep, or as many as fit: ${what}`, (t) => {
    t.deepEqual(linesOf(text), expected);
  });
}

test("a flat mapping is not deep, also on one line, as JSON", (t) => {
  const headers = Object.fromEntries(Array.from({ length: 200 }, (_, index) => [`h${index}`, "v"]));
  const write = { service: "api", port: 80, http: { path: "/", headers } };
  const file = {
    ...{ apiVersion: "kube-system-chaos/v1", kind: "Experiment", metadata: { name: "a" } },
    ...{ target: { component: "kube-dns" }, application: { existing: { namespace: "shop", write } } },
  };
  t.deepEqual(linesOf(JSON.stringify(file)), []);
});

const ANCHORS = "anchors (&) are not allowed: write the value where it is used";
const ALIASES = "aliases (*) are not allowed: write the value out, or quote it if it is text";

test("a billion laughs, by aliases or by merge keys: no alias is ever followed", (t) => {
  const laughs = (line: (level: number, before: string) => string): string =>
    `a0: &a0 [x]\n${Array.from({ length: 30 }, (_, level) =>
      line(level + 1, `[${Array.from({ length: 10 }, () => `*a${level}`).join(", ")}]`),
    ).join("\n")}\n`;
  t.deepEqual(linesOf(laughs((level, before) => `a${level}: &a${level} ${before}`)), [
    `f.yaml:1:5: ${ANCHORS}`,
    `f.yaml:2:10: ${ALIASES}`,
  ]);
  t.deepEqual(linesOf(laughs((level, before) => `a${level}: &a${level} {<<: ${before}}`)), [
    `f.yaml:1:5: ${ANCHORS}`,
    `f.yaml:2:15: ${ALIASES}`,
  ]);
  t.deepEqual(linesOf(`${GOOD}x: &x [*x]\n`), [`f.yaml:7:4: ${ANCHORS}`, `f.yaml:7:8: ${ALIASES}`]);
});

test("a duplicate key at any depth is reported at its second position; no value is guessed", (t) => {
  t.deepEqual(linesOf(`${GOOD}target:\n  component: etcd\n`), ["f.yaml:7:1: duplicate key"]);
  t.deepEqual(linesOf(`${GOOD}phases: {window: 30s, "window": 31s}\n`), ["f.yaml:7:23: duplicate key"]);
});

test("several documents in one file", (t) => {
  const second = "a second document starts here: a file contains one experiment";
  t.deepEqual(linesOf(`${GOOD}---\n${GOOD}`), [`f.yaml:7:1: ${second}`]);
  t.deepEqual(linesOf(`---\n${GOOD}...\n---\nx: 1\n`), [`f.yaml:9:1: ${second}`]);
  t.deepEqual(linesOf(`---\n---\n${GOOD}---\n# none\n---\n${GOOD}---\n`), [`f.yaml:11:1: ${second}`]);
  t.deepEqual(linesOf(`${GOOD}---\n---\nnull\n`), [`f.yaml:8:1: ${second}`]);
});

test("markers and comments around one document make no second one", (t) => {
  for (const text of [
    `${GOOD}---`,
    `${GOOD}---\n`,
    `${GOOD}...\n`,
    `${GOOD}...`,
    `${GOOD}---\n---\n...\n`,
    `---\n${GOOD}---\n# the end\n`,
    `# head\n---\n# license\n---\n${GOOD}`,
    `---\n---\n${GOOD}`,
    `${GOOD}---\n`.replaceAll("\n", "\r\n"),
  ])
    t.deepEqual(linesOf(text), [], JSON.stringify(text));
  // Positions count all lines.
  t.deepEqual(linesOf(`# head\n---\n# license\n---\n${GOOD}phases: {window: 1}\n---\n`), [
    "f.yaml:11:18: phases.window: must be a duration such as 250ms, 30s, 5m: the unit is missing",
  ]);
  for (const text of ["---\n", "---\n---\n", "# a\n---\n# b\n...\n"])
    t.deepEqual(linesOf(text), ["f.yaml:1:1: the file is empty: it must describe an experiment"], text);
});

test("JSON is read like YAML, also with tabs and Windows line ends", (t) => {
  const json = JSON.stringify(
    {
      apiVersion: "kube-system-chaos/v1",
      kind: "Experiment",
      metadata: { name: "a" },
      target: { component: "kube-dns" },
    },
    undefined,
    "\t",
  );
  t.deepEqual(linesOf(json), []);
  t.deepEqual(linesOf(json.replaceAll("\n", "\r\n")), []);
  t.deepEqual(linesOf(json.replace("kube-dns", "coredns")).length, 1);
});

test("other encodings than UTF-8", (t) => {
  const utf16 = "f.yaml:1:1: the file is UTF-16: save it as UTF-8";
  const little = Buffer.from(`\ufeff${GOOD}`, "utf16le");
  t.deepEqual(linesOf(little), [utf16]);
  t.deepEqual(linesOf(Buffer.from(little).swap16()), [utf16]);
  t.deepEqual(linesOf(Buffer.from(GOOD, "utf16le")), [
    "f.yaml:1:2: character U+0000 is not allowed in a YAML file",
  ]);
  const latin1 = Buffer.from(`${NAMED}  title: caf\u00e9\n`, "latin1");
  t.deepEqual(linesOf(latin1), ["f.yaml:5:13: byte 0xe9 is not UTF-8: save the file as UTF-8"]);
  const overlong = Buffer.concat([Buffer.from("a: ../"), Buffer.from([0xc0, 0xaf])]);
  t.deepEqual(linesOf(overlong), ["f.yaml:1:7: byte 0xc0 is not UTF-8: save the file as UTF-8"]);
  const surrogate = Buffer.from([0x61, 0x3a, 0x20, 0xed, 0xa0, 0x80]);
  t.deepEqual(linesOf(surrogate), ["f.yaml:1:4: byte 0xed is not UTF-8: save the file as UTF-8"]);
});

test("a file of the maximum size is read; one byte more is refused", async (t) => {
  const path = join(t.context.folder, "f.yaml");
  await writeFile(path, GOOD + "#".repeat(MAX_FILE_BYTES - GOOD.length));
  t.is((await loadExperiment("f.yaml", t.context.folder)).experiment.metadata.name, "a");
  await truncate(path, MAX_FILE_BYTES + 1);
  t.is(await refusal(t, "f.yaml"), "f.yaml:1:1: the file is larger than 256 KiB: not an experiment file");
});

test("a file of ten gigabytes is refused by its size, without being read", async (t) => {
  const path = join(t.context.folder, "f.yaml");
  await writeFile(path, GOOD);
  await truncate(path, 10 * 2 ** 30);
  // Reading it up to a large limit would show in the process's memory.
  const beforeKiB = process.resourceUsage().maxRSS;
  t.is(await readBounded(path, 2 ** 30), undefined);
  t.true(process.resourceUsage().maxRSS - beforeKiB < 2 ** 19);
  t.is(await refusal(t, "f.yaml"), "f.yaml:1:1: the file is larger than 256 KiB: not an experiment file");
});

test("a file with a wrong size is read only up to the limit", async (t) => {
  // Files of /proc have the size 0 and any amount of content, like a file that grows meanwhile.
  if (process.platform !== "linux") return t.pass("there is no /proc");
  t.true(((await readBounded("/proc/self/status", MAX_FILE_BYTES))?.length ?? 0) > 100);
  t.is(await readBounded("/proc/self/status", 100), undefined);
});

test("a pipe, a device, a folder and a circular link are refused without waiting", async (t) => {
  const { folder } = t.context;
  if (process.platform === "win32") return t.pass("there are no such files");
  execFileSync("mkfifo", [join(folder, "pipe.yaml")]);
  await symlink("pipe.yaml", join(folder, "link.yaml"));
  await symlink("/dev/zero", join(folder, "zero.yaml"));
  await symlink("loop.yaml", join(folder, "loop.yaml"));
  await symlink("nowhere", join(folder, "dangling.yaml"));
  await mkdir(join(folder, "folder.yaml"));
  for (const name of ["pipe", "link", "zero", "folder"]) {
    t.is(await refusal(t, `${name}.yaml`), `${name}.yaml: not a regular file`);
  }
  t.regex((await refusal(t, "loop.yaml")) ?? "", /^loop\.yaml: cannot be read: a loop of links$/);
  t.regex((await refusal(t, "dangling.yaml")) ?? "", /^dangling\.yaml: cannot be read: it is a broken link$/);
  // Named on the command line or found in a named folder: never skipped silently.
  await t.throwsAsync(resolveReference("loop.yaml", { cwd: folder }), {
    instanceOf: UsageError,
    message: /^loop\.yaml: cannot be read: a loop of links$/,
  });
  t.deepEqual(
    (await resolveReference(".", { cwd: folder })).map((path) => path.slice(folder.length + 1)),
    ["dangling.yaml", "link.yaml", "loop.yaml", "pipe.yaml", "zero.yaml"],
  );
});

test("a pipe that replaces the file after the check does not block", async (t) => {
  if (process.platform === "win32") return t.pass("there are no such files");
  const path = join(t.context.folder, "pipe.yaml");
  execFileSync("mkfifo", [path]);
  // After its check the reader opens with O_NONBLOCK, which returns without a writer.
  const { constants } = await import("node:fs");
  const handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  t.false((await handle.stat()).isFile());
  await handle.close();
});

const LABEL = "must be lower-case letters, digits and '-', and not start or end with '-' (RFC 1123 label)";
for (const name of [
  "../x",
  "..",
  ".",
  "a/b",
  "/etc/x",
  "a\\b",
  "a.",
  "a.b",
  "A",
  "-a",
  "a-",
  "a b",
  "%2e%2e",
  "~",
  "kube-dn\u0455",
  "\uff0e\uff0e",
  "a\u2215b",
  "",
]) {
  test(`a name that is not valid for a folder is refused: ${JSON.stringify(name)}`, (t) => {
    const text = `${HEAD}metadata:\n  name: '${name}'\ntarget:\n  component: kube-dns\n`;
    t.deepEqual(linesOf(text), [`f.yaml:4:9: metadata.name: ${LABEL}`]);
  });
}

test("names with an escaped line break or NUL at the end, or too long ones, are refused", (t) => {
  const named = (name: string): string[] =>
    linesOf(`${HEAD}metadata: {name: ${name}}\ntarget: {component: kube-dns}\n`);
  t.deepEqual(named('"a\\n"'), [`f.yaml:3:18: metadata.name: ${LABEL}`]);
  t.deepEqual(named('"a\\0"'), [
    `f.yaml:3:18: metadata.name: ${LABEL}`,
    "f.yaml:3:18: metadata.name: character U+0000 is not allowed in a YAML file",
  ]);
  t.deepEqual(named("a".repeat(64)), ["f.yaml:3:18: metadata.name: must be at most 63 characters long"]);
  t.deepEqual(named("a".repeat(100_000)), ["f.yaml:3:18: metadata.name: must be at most 63 characters long"]);
  t.deepEqual(named("a".repeat(63)), []);
  // A device name on Windows, but a run's folder starts with its time.
  t.deepEqual(named("con"), []);
});

test("characters that change the text direction are refused, literally and as escapes", (t) => {
  const turned = "is not allowed: it makes the line look different from its content";
  t.deepEqual(linesOf(`${GOOD}# \u202ekcatta\n`), [`f.yaml:7:3: character U+202E ${turned}`]);
  t.deepEqual(linesOf(`${NAMED}  title: "\\u2066x"\ntarget: {component: kube-dns}\n`), [
    `f.yaml:5:10: metadata.title: character U+2066 ${turned}`,
  ]);
  t.deepEqual(linesOf(`${NAMED}  title: kube-dns\retcd\n`), [`f.yaml:5:18: character U+000D ${turned}`]);
  t.deepEqual(linesOf(`${NAMED}  title: "kube-dns\\retcd"\ntarget: {component: kube-dns}\n`), [
    `f.yaml:5:10: metadata.title: character U+000D ${turned}`,
  ]);
  t.deepEqual(linesOf(GOOD.replaceAll("\n", "\r\n")), []);
  t.deepEqual(linesOf(`${NAMED}  title: "\\e[2J"\ntarget: {component: kube-dns}\n`), [
    "f.yaml:5:10: metadata.title: character U+001B is not allowed in a YAML file",
  ]);
  // Valid titles: joined emoji, another script, two lines.
  for (const title of ["👩‍🔬 落", '"مرحبا"', '"a\\nb"']) {
    t.deepEqual(linesOf(`${NAMED}  title: ${title}\ntarget: {component: kube-dns}\n`), [], title);
  }
});

test("text of a file in a message is quoted, cut and without terminal control characters", (t) => {
  t.deepEqual(linesOf(`${NAMED}target: {component: "kube\\e[1Adns\\u202e"}\n`).length, 2);
  for (const line of linesOf(`${NAMED}target: {component: "kube\\e[1Adns\\u202e\\u200b\\u3164"}\n`)) {
    t.notRegex(line, /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\u3164]/u);
  }
  t.deepEqual(
    linesOf(`${GOOD}"\\r\\e[Kok": 1\n`).map((line) => line.slice(0, 40)),
    ['f.yaml:7:1: "\\u{d}\\u{1b}[Kok": unknown k'],
  );
  const long = linesOf(`${GOOD}attack: {type: "${"🔥".repeat(5000)}"}\n`);
  t.is(long.length, 1);
  t.regex(long[0] ?? "", /not "(🔥){29}…"$/u, "no character is cut in two");
});

test("keys with a meaning in JavaScript are unknown keys and change nothing", (t) => {
  const message = (key: string): RegExp => new RegExp(`^f\\.yaml:\\d+:\\d+: (\\w+\\.)?${key}: unknown key`);
  for (const key of ["__proto__", "constructor", "prototype", "toString", "hasOwnProperty"]) {
    const top = linesOf(`${GOOD}${key}: {polluted: true}\n`);
    t.is(top.length, 1);
    t.regex(top[0] ?? "", message(key));
    const below = linesOf(`${GOOD}phases: {${key}: {window: 30s}}\n`);
    t.is(below.length, 1);
    t.regex(below[0] ?? "", message(key));
    t.is(({} as Record<string, unknown>)["polluted"], undefined);
    t.is(({} as Record<string, unknown>)["window"], undefined);
  }
  const parsed = parseExperiment(`${NAMED}target: {__proto__: {component: kube-dns}}\n`, "f.yaml");
  t.true("problems" in parsed, "nothing is inherited from a file");
});

test("a file's name is untrusted, too", async (t) => {
  const name = "a\u001b[2J\u202eb.yaml";
  await writeFile(join(t.context.folder, name), "x: 1\n");
  const shown = "a\\u{1b}[2J\\u{202e}b.yaml";
  t.true((await refusal(t, name))?.startsWith(`${shown}:1:1: this is a file of another kind`));
  t.is(await refusal(t, `no-${name}`), `no-${shown}: cannot be read: there is no such file or folder`);
  const error = await t.throwsAsync(resolveReference("nothing", { cwd: t.context.folder }));
  t.notRegex(error?.message.replaceAll("\n", "") ?? "", /[\p{Cc}\p{Cf}]/u);
});

test("a folder of thousands of files is refused, and a message lists only some names", async (t) => {
  const folder = join(t.context.folder, "experiments");
  await mkdir(folder);
  const make = async (count: number): Promise<void> => {
    await Promise.all(
      Array.from({ length: count }, async (_, index) => {
        await writeFile(join(folder, `e${String(index).padStart(4, "0")}.yaml`), "");
      }),
    );
  };
  await make(1000);
  t.is((await resolveReference("experiments", { cwd: t.context.folder })).length, 1000);
  const error = await t.throwsAsync(
    resolveReference("x", { cwd: t.context.folder, packageExperiments: join(t.context.folder, "none") }),
  );
  t.regex(error?.message ?? "", /known experiments: e0000, e0001, .*, e0049 and 950 more$/);
  await make(1001);
  await t.throwsAsync(resolveReference("experiments", { cwd: t.context.folder }), {
    instanceOf: UsageError,
    message:
      "experiments: more than 1000 experiment files in this folder: name the files, or a smaller folder",
  });
});

for (const [what, text, expected] of [
  ["deep", "[".repeat(LEVELS), "c.yaml:1:100: nested more than 50 levels deep: not a configuration file"],
  ["aliases", "a: &a [x]\nb: *a\n", `c.yaml:1:4: ${ANCHORS}\nc.yaml:2:4: ${ALIASES}`],
  ["a key twice", "nodeAccess: {}\nnodeAccess: {}\n", "c.yaml:2:1: duplicate key"],
  [
    "two documents",
    "{}\n---\n{}\n",
    "c.yaml:2:1: a second document starts here: a file contains one configuration",
  ],
  ["no mapping", "x\n", 'c.yaml:1:1: must be a mapping (keys and values), not "x"'],
  [
    "an unknown key",
    '"\\e[2J": 1\n',
    'c.yaml:1:1: "\\u{1b}[2J": unknown key; known keys: images, registries, imagePullSecrets, guestbook, nodeAccess',
  ],
  [
    "an empty command",
    "nodeAccess: {command: []}\n",
    "c.yaml:1:23: nodeAccess.command: must be at least 1 entry long",
  ],
] as const) {
  test(`the local configuration has the same checks: ${what}`, (t) => {
    t.throws(() => parseLocalConfig(text, "c.yaml"), { instanceOf: UsageError, message: expected });
  });
}

test("the local configuration: too large, not UTF-8, not a regular file", async (t) => {
  const path = join(t.context.folder, "config.yaml");
  const refused = async (message: string): Promise<void> => {
    await t.throwsAsync(loadLocalConfig(path, {}), { instanceOf: UsageError, message });
  };
  await writeFile(path, Buffer.from("a: \xe9\n", "latin1"));
  await refused(`${path}:1:4: byte 0xe9 is not UTF-8: save the file as UTF-8`);
  await truncate(path, 10 * 2 ** 30);
  await refused(`${path}:1:1: the file is larger than 256 KiB: not a configuration file`);
  await rm(path);
  await refused(
    `cannot read the local configuration ${path}: there is no such file or folder. Name another file with --config`,
  );
  if (process.platform === "win32") return;
  execFileSync("mkfifo", [path]);
  await refused(
    `cannot read the local configuration ${path}: not a regular file. Name another file with --config`,
  );
  await t.throwsAsync(loadLocalConfig("~/c", {}), {
    message: /^cannot .* ~\/c: there is no such file or folder\. The shell/,
  });
  await t.throwsAsync(loadLocalConfig(undefined, { XDG_CONFIG_HOME: "/dev/null" }), {
    instanceOf: UsageError,
    message: /^cannot .*: a part of its path is a file, not a folder\. Check XDG_CONFIG_HOME/,
  });
});
