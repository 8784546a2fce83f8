import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import {
  formatProblem,
  InvalidExperimentError,
  loadExperiment,
  parseExperiment,
} from "../../../src/load/read.js";
import { MAX_FILE_BYTES } from "../../../src/strict-yaml/text.js";

const invalid = new URL("../../helpers/fixtures/experiments/invalid/", import.meta.url);

const HEAD = `apiVersion: kube-system-chaos/v1
kind: Experiment
metadata:
  name: a
`;
const MINIMAL = `${HEAD}target:
  component: kube-dns
`;

function linesOf(text: string): string[] {
  const parsed = parseExperiment(text, "f.yaml");
  return "problems" in parsed ? parsed.problems.map(formatProblem) : [];
}

// expected.txt contains exactly the expected lines of each fixture.
test("each invalid fixture gives exactly its problems, at their positions", async (t) => {
  const expected = (await readFile(new URL("expected.txt", invalid), "utf8")).trimEnd().split("\n");
  const names = (await readdir(invalid)).filter((name) => name.endsWith(".yaml"));
  t.deepEqual([...new Set(expected.map((line) => line.split(":")[0]))].sort(), names.sort());
  for (const name of names) {
    const parsed = parseExperiment(await readFile(new URL(name, invalid), "utf8"), name);
    const lines = "problems" in parsed ? parsed.problems.map(formatProblem) : [];
    t.deepEqual(
      lines,
      expected.filter((line) => line.startsWith(`${name}:`)),
    );
  }
});

test("a minimal file gets every default, durations in milliseconds", (t) => {
  t.deepEqual(parseExperiment(MINIMAL, "f.yaml"), {
    experiment: {
      apiVersion: "kube-system-chaos/v1",
      kind: "Experiment",
      metadata: { name: "a" },
      target: { component: "kube-dns" },
      application: {
        guestbook: {
          namespace: "guestbook",
          frontendReplicas: 3,
          followerReplicas: 2,
          controlReplicas: 1,
          nodePort: 30080,
        },
      },
      probes: {
        interval: 250,
        timeout: 2000,
        tcpTimeout: 900,
        searchInterval: 2000,
        external: "example.com",
        outside: true,
        goodInARow: 3,
      },
      phases: { baseline: 15_000, window: 60_000, recovery: 180_000 },
      thresholds: {
        baselineAvailability: 0.99,
        outageBelow: 0.5,
        degradedBelow: 0.99,
        slowFactor: 2.5,
        slowFrom: 100,
        suppression: 0.9,
      },
    },
  });
});

test("an attack's durations have defaults in milliseconds, and the file overrides them", (t) => {
  const attackOf = (attack: string): unknown => {
    const parsed = parseExperiment(`${MINIMAL}attack: ${attack}\n`, "f.yaml");
    return "experiment" in parsed ? parsed.experiment.attack : parsed.problems;
  };
  t.deepEqual(attackOf("{type: delete-pods}"), { type: "delete-pods", gracePeriod: 1000, delay: 0 });
  t.deepEqual(attackOf("{type: delete-workload, gracePeriod: 0s}"), {
    type: "delete-workload",
    gracePeriod: 0,
  });
  t.deepEqual(attackOf("{type: delete-pods, gracePeriod: 0.5m, delay: 1.5s}"), {
    type: "delete-pods",
    gracePeriod: 30_000,
    delay: 1500,
  });
});

test("abort conditions: durations in milliseconds, default path and statuses, and the file overrides them", (t) => {
  const conditions = (text: string): unknown => {
    const parsed = parseExperiment(`${MINIMAL}abortWhen: ${text}\n`, "f.yaml");
    return "experiment" in parsed ? parsed.experiment.abortWhen : parsed.problems;
  };
  const asked = { namespace: "shop", service: "web", port: 80, path: "/", status: { from: 200, to: 399 } };
  t.deepEqual(conditions("[{failsFor: 10s, probe: app-write}]"), [{ failsFor: 10_000, probe: "app-write" }]);
  t.deepEqual(conditions("[{failsFor: 1s, http: {namespace: shop, service: web, port: 80}}]"), [
    { failsFor: 1000, http: asked },
  ]);
  t.deepEqual(
    conditions(
      '[{failsFor: 59s, http: {namespace: shop, service: web, port: http, path: "/é/x?a=/b", status: 204}}]',
    ),
    [
      {
        failsFor: 59_000,
        http: { ...asked, port: "http", path: "/é/x?a=/b", status: { from: 204, to: 204 } },
      },
    ],
  );
  t.deepEqual(conditions("[{failsFor: 1s, http: {namespace: a, service: b, port: 1, status: 200-404}}]"), [
    {
      failsFor: 1000,
      http: { ...asked, namespace: "a", service: "b", port: 1, status: { from: 200, to: 404 } },
    },
  ]);
});

test("a component may be given the name, kind and namespace of its workload", (t) => {
  const target = (text: string): string[] => linesOf(`${HEAD}target: ${text}\n`);
  t.deepEqual(target("{component: fluentd, name: fluentbit-gke}"), []);
  t.deepEqual(target("{component: fluentd, name: vector, kind: DaemonSet, namespace: logging}"), []);
  t.deepEqual(target("{component: fluentd, namespace: logging}"), [
    "f.yaml:5:41: target.namespace: needs name: the workload's name",
  ]);
});

test("an http condition needs the API server, unless the run is a control run", (t) => {
  const lines = (component: string, attack: string): string[] =>
    linesOf(
      `${HEAD}target: {component: ${component}}\nattack: {type: ${attack}}\nphases: {window: 30s}\n` +
        `abortWhen: [{failsFor: 5s, http: {namespace: shop, service: web, port: 80}}]\n`,
    );
  for (const component of ["kube-apiserver", "etcd"]) {
    t.deepEqual(lines(component, "static-pod"), [
      `f.yaml:8:28: abortWhen.0.http: does not work while ${component} is down: its request goes through the API server. Use probe`,
    ]);
    t.deepEqual(lines(component, "none"), []);
  }
  t.deepEqual(lines("kube-scheduler", "static-pod"), []);
});

test("a document marker, comments and flow style are valid", (t) => {
  const text = `---\n# c\n${HEAD}target: {kind: DaemonSet, name: fluentd}\nprobes: {external: false} # c\n...\n`;
  const parsed = parseExperiment(text, "f.yaml");
  t.like(parsed, {
    experiment: {
      target: { namespace: "kube-system", kind: "DaemonSet", name: "fluentd" },
      probes: { external: false },
    },
  });
});

test("a word that YAML 1.1 reads as a boolean is text; where a boolean is wanted, the message says so", (t) => {
  const external =
    'f.yaml:7:20: probes.external: must be a host name such as example.com, or false: "off" is text';
  t.deepEqual(linesOf(`${MINIMAL}probes: {external: off}\n`), [`${external} in YAML 1.2. Write false`]);
  for (const [word, boolean] of [
    ["yes", true],
    ["On", true],
    ["NO", false],
    ["n", false],
    ['"false"', false],
  ] as const)
    t.deepEqual(linesOf(`${MINIMAL}probes: {outside: ${word}}\n`), [
      `f.yaml:7:19: probes.outside: must be true or false, not "${word.replaceAll('"', "")}": YAML 1.2 reads that word as text. Write ${boolean}`,
    ]);
  t.deepEqual(linesOf(`${MINIMAL}probes: {outside: maybe}\n`), [
    'f.yaml:7:19: probes.outside: must be true or false, not "maybe"',
  ]);
  // Text is wanted, and it is text.
  t.deepEqual(linesOf(MINIMAL.replace("name: a", "name: no")), []);
});

test("quoted values that look like YAML's indirections are text", (t) => {
  for (const title of ['"*a"', "'&a'", '"!x"', "a & b ! c * d", "|\n    *a\n    &b", "x%y"]) {
    t.deepEqual(linesOf(`${HEAD}  title: ${title}\ntarget: {component: kube-dns}\n`), [], title);
  }
});

test("51 levels of depth are refused, 50 are not", (t) => {
  const flow = (depth: number): string => `${MINIMAL}x: ${"[".repeat(depth)}${"]".repeat(depth)}\n`;
  const block = (depth: number): string =>
    MINIMAL + Array.from({ length: depth }, (_, level) => `${"  ".repeat(level)}a:`).join("\n");
  const tooDeep = "nested more than 50 levels deep: not an experiment file";
  // The document's mapping is the first level.
  t.notRegex(linesOf(flow(49)).join("\n"), /nested/);
  t.deepEqual(linesOf(flow(50)), [`f.yaml:7:53: ${tooDeep}`]);
  t.notRegex(linesOf(block(50)).join("\n"), /nested/);
  t.deepEqual(linesOf(block(51)), [`f.yaml:57:101: ${tooDeep}`]);
  // Far beyond the limit the tokens decide, before anything recurses.
  t.deepEqual(linesOf("[".repeat(4000)), [`f.yaml:1:100: ${tooDeep}`]);
  t.deepEqual(linesOf(`${"- ".repeat(3000)}\na`), [`f.yaml:1:201: ${tooDeep}`]);
});

test("hostile texts are refused in bounded time, without an exception", (t) => {
  const fill = (unit: string, before = "", after = ""): string =>
    before + unit.repeat(Math.floor((MAX_FILE_BYTES - before.length - after.length) / unit.length)) + after;
  const texts = {
    "open brackets": fill("["),
    "open mappings": fill("{a: "),
    "closing brackets": fill("]"),
    "compact sequences": fill("- ", "", "\na"),
    "explicit keys": fill("? "),
    "empty keys": fill(": "),
    "compact mappings": fill("a: "),
    "flow keys": fill("? ", "["),
    commas: fill(",", "["),
    items: fill("-\n"),
    pairs: fill(":\n"),
    "same key": fill("a: b\n"),
    anchors: fill("&a "),
    aliases: fill("*a "),
    tags: fill("! "),
    documents: fill("---\n"),
    "bad escapes": fill("\\x", 'a: "', '"'),
    "open quote": fill("a\n", '"'),
    lines: fill("\n"),
    comments: fill("# a\n"),
    spaces: fill(" "),
    tabs: fill("\t"),
    colons: fill(":"),
  };
  for (const [name, text] of Object.entries(texts)) {
    const begun = performance.now();
    const lines = linesOf(text);
    t.true(performance.now() - begun < 10_000, `${name}: slow`);
    t.true(lines.length > 0 && lines.length <= 51, name);
    t.true(
      lines.every((line) => line.length < 600),
      name,
    );
  }
});

test("too many tokens are refused at the first one over the limit", (t) => {
  const message = "more than 10000 tokens: not an experiment file";
  t.deepEqual(linesOf("\n".repeat(20_000)), [`f.yaml:10001:1: ${message}`]);
  t.deepEqual(linesOf(`a: "${"\\x".repeat(20_000)}"`), [`f.yaml:1:4: ${message}`]);
});

test("a text over the limit is refused without parsing", (t) => {
  t.deepEqual(linesOf(`${MINIMAL}#${"x".repeat(MAX_FILE_BYTES)}`), [
    "f.yaml:1:1: the file is larger than 256 KiB: not an experiment file",
  ]);
});

test("at most fifty problems are shown, and the rest is counted", (t) => {
  const lines = linesOf(MINIMAL + Array.from({ length: 70 }, (_, index) => `x${index}x: 1\n`).join(""));
  t.is(lines.length, 51);
  t.is(lines.at(-1), "f.yaml:57:1: and 20 more problems");
});

async function withFolder(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "experiment-"));
  try {
    await use(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

test("bytes that are not UTF-8, or a byte order mark, are refused with their position", async (t) => {
  await withFolder(async (folder) => {
    const messageFor = async (bytes: Uint8Array): Promise<string | undefined> => {
      await writeFile(join(folder, "b.yaml"), bytes);
      return (await t.throwsAsync(loadExperiment("b.yaml", folder), { instanceOf: InvalidExperimentError }))
        ?.message;
    };
    const title = Buffer.from(`${HEAD}  title: 落 caf`, "utf8");
    t.is(
      await messageFor(Buffer.concat([title, Buffer.from([0xe9, 0x20, 0x78])])),
      "b.yaml:5:15: byte 0xe9 is not UTF-8: save the file as UTF-8",
    );
    // The first byte of U+FFFD, truncated.
    t.is(
      await messageFor(Buffer.concat([title, Buffer.from([0xef, 0xbf, 0x41])])),
      "b.yaml:5:15: byte 0xef is not UTF-8: save the file as UTF-8",
    );
    t.is(
      await messageFor(Buffer.from(`\ufeff${MINIMAL}`, "utf8")),
      "b.yaml:1:1: the file starts with a byte order mark: save it as UTF-8 without BOM",
    );
    t.is(
      await messageFor(Buffer.from(`\ufeff${MINIMAL}`, "utf16le")),
      "b.yaml:1:1: the file is UTF-16: save it as UTF-8",
    );
    t.is(
      await messageFor(Buffer.from(`${HEAD}  title: a\0b\n`)),
      "b.yaml:5:11: character U+0000 is not allowed in a YAML file",
    );
    t.is(
      await messageFor(Buffer.alloc(MAX_FILE_BYTES + 1, "#")),
      "b.yaml:1:1: the file is larger than 256 KiB: not an experiment file",
    );
  });
});

test("a valid file gives its experiment, its text and its name as the user would write it", async (t) => {
  await withFolder(async (folder) => {
    // A real replacement character is valid UTF-8.
    const text = `${HEAD}  title: "\ufffd"\ntarget: {component: kube-dns}\n`;
    await writeFile(join(folder, "a.yaml"), text);
    const loaded = await loadExperiment(join(folder, "a.yaml"), folder);
    t.is(loaded.file, "a.yaml");
    t.is(loaded.text, text);
    t.is(loaded.experiment.metadata.title, "\ufffd");
    t.is((await loadExperiment("a.yaml", folder)).file, "a.yaml");
    t.is((await loadExperiment(join(folder, "a.yaml"), "/")).file, join(folder, "a.yaml").slice(1));
    t.is(
      (await loadExperiment(join(folder, "a.yaml"), tmpdir() + "/elsewhere")).file,
      join(folder, "a.yaml"),
    );
  });
});

test("an unreadable file is reported", async (t) => {
  await withFolder(async (folder) => {
    await t.throwsAsync(loadExperiment("none.yaml", folder), {
      message: /^none\.yaml: cannot be read: there is no such file or folder$/,
      name: "UsageError",
    });
    await t.throwsAsync(loadExperiment("/dev/zero", folder), { message: "/dev/zero: not a regular file" });
    await t.throwsAsync(loadExperiment(folder, "/x"), { message: `${folder}: not a regular file` });
  });
});
