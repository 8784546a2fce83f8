import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { execa } from "execa";
import { RefusedError, UsageError } from "../../../src/common/errors.js";
import { containerdConfig, engineConfig, lacksSysResource } from "../../../src/lab/engine.js";
import { chainRules } from "../../../src/lab/firewall.js";
import { cacheFolder, labPaths } from "../../../src/lab/paths.js";
import { machineFrom } from "../../../src/lab/machine-checks.js";
import { createLabProvider } from "../../../src/lab/lab-provider.js";
import { substituteImagesFrom } from "../../../src/lab/substitutes.js";

const DEBIAN_12 = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_ID="12"\n';
const GOOD = { platform: "linux", uid: 0, osRelease: DEBIAN_12, arch: "x64" };

test("the lab runs on Debian 12 as root and refuses everything else", (t) => {
  t.deepEqual(machineFrom(GOOD), { architecture: "amd64", triple: "x86_64-linux-gnu" });
  const refused = [
    [{ ...GOOD, uid: 1000 }, /needs root/],
    [{ ...GOOD, osRelease: DEBIAN_12.replace('"12"', '"11"') }, /this machine is debian 11/],
    [{ ...GOOD, platform: "darwin", osRelease: "" }, /needs Debian 12/],
    [{ ...GOOD, arch: "riscv64" }, /needs an amd64 or arm64 machine/],
  ] as const;
  for (const [facts, message] of refused) {
    t.throws(() => machineFrom(facts), { instanceOf: RefusedError, message });
  }
});

test("find without a lab: there is none, and nothing is written", async (t) => {
  const cache = await mkdtemp(join(tmpdir(), "chaos-no-lab-"));
  t.teardown(async () => await rm(cache, { recursive: true, force: true }));
  t.is(await createLabProvider({ env: { KUBE_SYSTEM_CHAOS_CACHE: cache } }).find(), undefined);
  t.deepEqual(await readdir(cache), []);
});

test("the cache folder can be set, and is below the user's cache otherwise", (t) => {
  t.is(cacheFolder({ KUBE_SYSTEM_CHAOS_CACHE: "/big/disk" }), "/big/disk/lab");
  t.is(cacheFolder({ XDG_CACHE_HOME: "/home/me/cache" }), "/home/me/cache/kube-system-chaos/lab");
  t.is(cacheFolder({ HOME: "/home/me" }), "/home/me/.cache/kube-system-chaos/lab");
  t.throws(() => cacheFolder({ XDG_CACHE_HOME: "relative" }), { instanceOf: UsageError });
  t.throws(() => cacheFolder({ KUBE_SYSTEM_CHAOS_CACHE: "here" }), { instanceOf: UsageError });
});

test("the engine uses only its own folders and manages no firewall", (t) => {
  const paths = labPaths({ KUBE_SYSTEM_CHAOS_CACHE: "/c" });
  const config = engineConfig(paths, undefined) as Record<string, unknown>;
  t.is(config["data-root"], "/c/lab/engine/docker");
  t.is(config["iptables"], false);
  t.is(config["bridge"], "none");
  t.is(config["default-runtime"], undefined);
  const wrapped = engineConfig(paths, "/w") as Record<string, unknown>;
  t.is(wrapped["default-runtime"], "without-sys-resource");
  t.regex(containerdConfig(paths), /root = "\/c\/lab\/engine\/containerd"/);
});

test("a missing CAP_SYS_RESOURCE is seen in the bounding set", (t) => {
  t.true(lacksSysResource("Name:\tnode\nCapBnd:\t000001fffeffffff\n"));
  t.false(lacksSysResource("CapBnd:\t000001ffffffffff\n"));
  t.false(lacksSysResource(""));
});

test("forwarded packets stay on the bridge", (t) => {
  t.deepEqual(
    chainRules("br").map((rule) => rule.slice(0, 6).join(" ")),
    [
      "-i br -o br -j ACCEPT",
      "-i br -j REJECT --reject-with icmp-port-unreachable",
      "-o br -j REJECT --reject-with icmp-port-unreachable",
    ],
  );
});

test("only labelled images are substitute images", (t) => {
  const lines = ['["b:1"] Debian\'s b', '["a:1","a:2"] a small a', '["real:1"] <no value>', '["other:1"] '];
  t.deepEqual(substituteImagesFrom(lines.join("\n")), [
    { image: "a:1", description: "a small a" },
    { image: "a:2", description: "a small a" },
    { image: "b:1", description: "Debian's b" },
  ]);
});

const CAPS =
  '"bounding":["CAP_CHOWN","CAP_SYS_RESOURCE","CAP_BPF"],"effective":["CAP_SYS_RESOURCE"],"ambient":[]';

async function runWrapper(args: (folder: string) => string[]): Promise<{ folder: string; stdout: string }> {
  const folder = await mkdtemp(join(tmpdir(), "lab-runc-"));
  const runc = join(folder, "runc");
  await writeFile(runc, '#!/bin/sh\nprintf "%s\\n" "$@"\n');
  await chmod(runc, 0o755);
  const process = {
    capabilities: "HERE",
    oomScoreAdj: -999,
    args: ["echo", "CAP_SYS_RESOURCE", '"oomScoreAdj":-5'],
  };
  const text = JSON.stringify(process).replace('"HERE"', `{${CAPS}}`);
  await writeFile(join(folder, "process.json"), text);
  await writeFile(join(folder, "config.json"), `{"process":${text}}`);
  const wrapper = join(labPaths().assets, "engine/runc-wrapper");
  const { stdout } = await execa(wrapper, args(folder), { env: { KUBE_SYSTEM_CHAOS_RUNC: runc } });
  return { folder, stdout };
}

interface ProcessFile {
  capabilities: Record<string, string[]>;
  oomScoreAdj: number;
  args: string[];
}

test("the runtime wrapper takes the capability and the negative score out, and nothing else", async (t) => {
  const given = (folder: string): string[] => ["--root", "/r", "create", "--bundle", folder, "id"];
  const { folder, stdout } = await runWrapper(given);
  t.deepEqual(stdout.split("\n"), given(folder));
  const config = JSON.parse(await readFile(join(folder, "config.json"), "utf8")) as { process: ProcessFile };
  t.deepEqual(config.process.capabilities, {
    bounding: ["CAP_CHOWN", "CAP_BPF"],
    effective: [],
    ambient: [],
  });
  t.is(config.process.oomScoreAdj, 0);
  t.deepEqual(config.process.args, ["echo", "CAP_SYS_RESOURCE", '"oomScoreAdj":-5']);
  const untouched = JSON.parse(await readFile(join(folder, "process.json"), "utf8")) as ProcessFile;
  t.is(untouched.oomScoreAdj, -999);
});

test("the runtime wrapper edits the process file of exec, and leaves other commands alone", async (t) => {
  const { folder } = await runWrapper((place) => ["exec", `--process=${join(place, "process.json")}`, "id"]);
  const edited = JSON.parse(await readFile(join(folder, "process.json"), "utf8")) as ProcessFile;
  t.deepEqual(edited.capabilities["effective"], []);
  const other = await runWrapper((place) => ["kill", "--bundle", place]);
  t.regex(await readFile(join(other.folder, "config.json"), "utf8"), /CAP_SYS_RESOURCE","CAP_BPF/);
});
