/** The engine is the one that kind 0.33 would choose. */
import test from "ava";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { chooseEngine, enginesOf } from "../../../src/clusters/kind-engine.js";
import { isSameImage, listNodes, parseNodes } from "../../../src/clusters/kind-nodes.js";
import { RefusedError } from "../../../src/common/errors.js";
import { DEFAULT_IMAGE, type FakeEngine, fakeKind } from "../../helpers/fake-kind.js";

const silent = (): void => undefined;

const ORDER: readonly (readonly [readonly FakeEngine[], FakeEngine])[] = [
  [["podman", "finch", "nerdctl", "docker"], "docker"],
  [["podman", "finch", "nerdctl"], "nerdctl"],
  [["podman", "finch"], "finch"],
  [["podman"], "podman"],
];
for (const [installed, chosen] of ORDER) {
  test(`installed: ${installed.join(", ")}; chosen: ${chosen}`, async (t) => {
    const world = await fakeKind(t, installed);
    t.deepEqual(await chooseEngine(world.env, silent), {
      command: chosen,
      env: { KIND_EXPERIMENTAL_PROVIDER: chosen },
    });
  });
}

test("podman's docker command is not Docker", async (t) => {
  const world = await fakeKind(t, ["docker", "podman"]);
  await writeFile(join(world.root, "docker.version"), "podman version 5.4.2\n");
  t.is((await chooseEngine(world.env, silent)).command, "podman");
});

test("KIND_EXPERIMENTAL_PROVIDER decides, and an unknown value is ignored with a warning", async (t) => {
  const world = await fakeKind(t, ["docker", "podman"]);
  const warnings: string[] = [];
  const choose = async (named: string): Promise<string> => {
    const env = { ...world.env, KIND_EXPERIMENTAL_PROVIDER: named };
    return (await chooseEngine(env, (text) => warnings.push(text))).command;
  };
  t.is(await choose("podman"), "podman");
  t.is(await choose(""), "docker");
  t.deepEqual(warnings, []);
  t.is(await choose("lxc"), "docker");
  t.deepEqual(warnings, [
    "KIND_EXPERIMENTAL_PROVIDER=lxc is ignored: kind does not know it. Known: docker, nerdctl, finch, podman, nerdctl.lima",
  ]);
});

test("an installed engine that does not answer is refused: kind would not try the next one", async (t) => {
  const world = await fakeKind(t, ["docker", "podman"]);
  await world.behave({ down: "docker" });
  await t.throwsAsync(chooseEngine(world.env, silent), {
    instanceOf: RefusedError,
    message:
      /^the container engine does not answer: `docker info` failed \(ERROR: Cannot connect .*\)\. Start it, or name another one in KIND_EXPERIMENTAL_PROVIDER/,
  });
});

test("no engine, or a named one that is missing: refused with what to install", async (t) => {
  const world = await fakeKind(t, []);
  await t.throwsAsync(chooseEngine(world.env, silent), {
    instanceOf: RefusedError,
    message:
      "no container engine was found on PATH (kind looks for docker, nerdctl, finch, podman). " +
      "Install one of them, or on Debian 12 use --cluster lab.",
  });
  const named = { ...world.env, KIND_EXPERIMENTAL_PROVIDER: "nerdctl.lima" };
  await t.throwsAsync(chooseEngine(named, silent), { message: /nerdctl\.lima info.*ENOENT/ });
});

test("variables that choose an engine are kept for a restore", async (t) => {
  const world = await fakeKind(t, ["docker"]);
  const env = { ...world.env, DOCKER_HOST: "unix:///x", DOCKER_CONTEXT: "", OTHER: "x" };
  t.deepEqual((await chooseEngine(env, silent)).env, {
    DOCKER_HOST: "unix:///x",
    KIND_EXPERIMENTAL_PROVIDER: "docker",
  });
});

test("the clients that may reach a node", (t) => {
  t.deepEqual(enginesOf("kind://docker/a/b"), ["docker"]);
  t.deepEqual(enginesOf("kind://podman/a/b"), ["podman"]);
  t.deepEqual(enginesOf("kind://nerdctl/a/b"), ["nerdctl", "finch", "nerdctl.lima"]);
});

test("the list of nodes, as docker, podman and nerdctl print it", (t) => {
  t.true(listNodes("x").includes("label=io.x-k8s.kind.cluster=x"));
  const listed = [
    `a|${DEFAULT_IMAGE}|Up 3 minutes`,
    "b|docker.io/kindest/node@sha256:a1|Up 2 hours ago",
    "c|docker.io/kindest/node:v1.37.0|Up",
    "d|kindest/node:v1.37.0|Exited (137) 2 minutes ago",
    "e|kindest/node:v1.37.0|Created",
    "f|kindest/node:v1.37.0|Up 3 minutes (Paused)",
    "",
  ];
  t.deepEqual(
    parseNodes(listed.join("\n")).map(({ name, running }) => `${name} ${running}`),
    ["a true", "b true", "c true", "d false", "e false", "f false"],
  );
  t.is(parseNodes(listed.join("\n"))[0]?.image, DEFAULT_IMAGE);
});

test("two names of one image", (t) => {
  const same = (one: string, other: string): boolean => {
    t.is(isSameImage(one, other), isSameImage(other, one));
    return isSameImage(one, other);
  };
  t.true(same("kindest/node:v1", "docker.io/kindest/node:v1"));
  t.true(same("kindest/node:v1@sha256:a", "docker.io/kindest/node@sha256:a"));
  t.true(same("kindest/node:v1@sha256:a", "kindest/node:v1"));
  t.true(same("docker.io/library/node", "node:latest"));
  t.true(same("localhost:5000/node:v1", "localhost:5000/node:v1"));
  t.false(same("localhost:5000/node:v1", "localhost:5000/node:v2"));
  t.false(same("kindest/node:v1@sha256:a", "kindest/node:v1@sha256:b"));
  t.false(same("kindest/node:v1", "kindest/node:v2"));
  t.false(same("kindest/node:v1", "other/node:v1"));
  t.false(same("kindest/node:v1", "docker.io/kindest/node@sha256:a"), "nothing proves it");
});
