import { chmod, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import type { ExecutionContext } from "ava";
import { execa } from "execa";
import fc from "fast-check";
import {
  commandAccess,
  commandLine,
  engineAccess,
  findNodeAccess,
  leadsThroughApi,
  openNodeAccess,
} from "../../../src/nodes/access.js";
import type { Node } from "../../../src/kube/objects.js";
import type { Transport } from "../../../src/kube/transport.js";
import { ChaosError, ExitCode } from "../../../src/common/errors.js";
import { fakeNodes } from "../../helpers/fake-node.js";

const node = (name: string, providerID = `kind://docker/chaos/${name}`): Node => ({
  metadata: { name, uid: name, resourceVersion: "1" },
  spec: { providerID },
});

async function script(t: ExecutionContext, text: string, name = "reach"): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "chaos-access-"));
  t.teardown(async () => await rm(folder, { recursive: true, force: true }));
  const file = join(folder, name);
  await writeFile(file, `#!/bin/sh\n${text}\n`);
  await chmod(file, 0o755);
  return file;
}

test("a command line: replaces node and command, or appends the command", (t) => {
  t.deepEqual(commandLine(["nsenter-into", "{node}"], "a", ["systemctl", "stop", "x"]), [
    "nsenter-into",
    "a",
    "systemctl",
    "stop",
    "x",
  ]);
  t.deepEqual(
    commandLine(["ssh", "root@{node}.example.com", "--", "sudo {command}"], "a", ["sh", "-c", "echo $1; b"]),
    ["ssh", "root@a.example.com", "--", "sudo sh -c 'echo $1; b'"],
  );
  t.deepEqual(commandLine(["x", "{node}{node}"], "a", []), ["x", "aa"]);
  t.deepEqual(
    commandLine(["x", "{command}"], "a", ["{node}", "$&"]),
    ["x", `'{node}' '$&'`],
    "inserted text is not expanded again",
  );
});

test("a quoted command passes unchanged through a real shell", async (t) => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.string({ unit: "grapheme-ascii" }).map((text) => text.replaceAll("\0", "")),
        { minLength: 1, maxLength: 4 },
      ),
      async (args) => {
        const [, line = ""] = commandLine(["x", "{command}"], "a", ["printf", "%s\\0", "-", ...args]);
        const { stdout } = await execa("sh", ["-c", line]);
        t.is(stdout, ["-", ...args].map((each) => `${each}\0`).join(""));
      },
    ),
    { numRuns: 30 },
  );
});

test("the configured command runs without a shell", async (t) => {
  const reach = await script(t, `printf '%s|' "$@"`);
  const access = commandAccess([reach, "{node}", "$HOME"]);
  t.is(await access.exec("a", ["echo", "a b; c"], 5_000), "a|$HOME|echo|a b; c|");
  t.deepEqual(access.spec, { type: "command", argv: [reach, "{node}", "$HOME"] });
  t.is(access.how, "the command reach");
});

test("a child process that keeps the output open after its command has ended blocks nothing", async (t) => {
  // ssh's control master does this.
  const startedAt = performance.now();
  const holding = commandAccess([await script(t, "sleep 30 & exit 0")]);
  await t.throwsAsync(holding.exec("a", ["x"], 100), {
    message: "the command reach on a: timed out after 100 ms",
  });
  t.true(performance.now() - startedAt < 20_000);
});

test("the error is short and does not contain the sent script", async (t) => {
  const secret = "echo SENT-SCRIPT";
  const failing = commandAccess([await script(t, "echo one >&2; echo two >&2; exit 7")]);
  await t.throwsAsync(failing.exec("a", [secret], 5_000), {
    message: "the command reach on a: exit code 7: one two",
  });
  const slow = commandAccess([await script(t, "exec sleep 10")]);
  await t.throwsAsync(slow.exec("a", [secret], 100), {
    message: "the command reach on a: timed out after 100 ms",
  });
  const long = commandAccess([await script(t, "yes")]);
  await t.throwsAsync(long.exec("a", [secret], 10_000), { message: /more than 1048576 bytes of output/ });
  const absent = commandAccess(["/nowhere/reach"]);
  const error = await t.throwsAsync(absent.exec("a", [secret], 5_000), { message: /ENOENT/ });
  t.notRegex(error?.message ?? "", /SENT-SCRIPT.*SENT-SCRIPT/);
});

test("the engine's client runs a command in the node's container, in its own environment", async (t) => {
  const docker = await script(t, `echo "$DOCKER_HOST $*"`, "docker");
  const access = engineAccess({ command: docker, env: { DOCKER_HOST: "unix:///x" } });
  t.is(await access.exec("a", ["true"], 5_000), "unix:///x exec a true");
  t.is(access.how, "docker exec");
  t.deepEqual(access.spec, { type: "engine", command: docker, env: { DOCKER_HOST: "unix:///x" } });
  t.false(leadsThroughApi(access));
});

test("find: the engine of kind's nodes, checked on each node", async (t) => {
  const nodes = await fakeNodes(t, ["a", "b"]);
  const handle = { engineCommand: join(nodes.root, "docker"), env: {} };
  const found = await findNodeAccess([node("a"), node("b")], handle);
  t.false("none" in found);
  t.deepEqual((await nodes.sent()).map(({ node: name, argv }) => `${name} ${argv.join(" ")}`).sort(), [
    "a true",
    "b true",
  ]);
  const absent = await findNodeAccess([node("a"), node("c")], handle);
  t.regex(
    "none" in absent ? absent.none : "",
    /engine does not reach the nodes: docker exec on c: .*No such container/,
  );
});

test("find: without a known engine, the clients of the nodes' provider, in kind's order", async (t) => {
  const nodes = await fakeNodes(t, ["a"]);
  const handle = { env: { PATH: nodes.root } };
  const on = async (provider: string): Promise<string> => {
    const found = await findNodeAccess([node("a", `kind://${provider}/chaos/a`)], handle);
    return "none" in found ? found.none : found.how;
  };
  t.is(await on("docker"), "docker exec");
  t.regex(await on("podman"), /podman exec on a: .*ENOENT/);
  // kind calls finch's provider nerdctl.
  await rename(join(nodes.root, "docker"), join(nodes.root, "finch"));
  t.is(await on("nerdctl"), "finch exec");
  await rename(join(nodes.root, "finch"), join(nodes.root, "nerdctl"));
  t.is(await on("nerdctl"), "nerdctl exec");
});

test("find: the first that works of engine, command and pod; or only the given one", async (t) => {
  const nodes = await fakeNodes(t, ["a"]);
  const engine = { engineCommand: join(nodes.root, "docker"), env: {} };
  const command = [await script(t, "exit 0")];
  const foreign = [node("a", "gce://x/y/a")];
  const howOf = (access: Awaited<ReturnType<typeof findNodeAccess>>): string =>
    "none" in access ? access.none : access.spec.type;
  t.is(howOf(await findNodeAccess([node("a")], engine, { command })), "engine");
  t.is(howOf(await findNodeAccess([node("a")], engine, { command, only: "command" })), "command");
  t.is(howOf(await findNodeAccess(foreign, engine, { command })), "command");
  t.is(howOf(await findNodeAccess(foreign, engine)), "node a is not a kind node");
  t.is(
    howOf(await findNodeAccess(foreign, engine, { command, only: "engine" })),
    "node a is not a kind node",
  );
  t.is(howOf(await findNodeAccess([node("a")], engine, { only: "command" })), "no command is configured");
  t.is(
    howOf(await findNodeAccess([node("a")], engine, { only: "pod" })),
    "the privileged pods are not deployed",
  );
  const broken = [await script(t, "echo no such host >&2; exit 255")];
  t.regex(
    howOf(await findNodeAccess(foreign, engine, { command: broken })),
    /^node a is not a kind node; the configured command does not reach the nodes: .*no such host/,
  );
});

test("open from a journal: an engine unchanged, a command only if commands are allowed, a pod with the API", (t) => {
  const open = openNodeAccess;
  for (const command of ["/usr/bin/podman", "docker", "nerdctl", "finch", "nerdctl.lima"]) {
    const engine = { type: "engine", command, env: {} } as const;
    t.deepEqual(open(engine, { allowCommands: false }).spec, engine);
  }
  const notAllowed = { instanceOf: ChaosError, message: /--allow-commands/ };
  const command = { type: "command", argv: ["ssh", "{node}"] } as const;
  t.is(t.throws(() => open(command, { allowCommands: false }), notAllowed)?.exitCode, ExitCode.notRestored);
  t.deepEqual(open(command, { allowCommands: true }).spec, command);
  const other = { type: "engine", command: "/tmp/anything", env: {} } as const;
  t.throws(() => open(other, { allowCommands: false }), notAllowed);
  t.deepEqual(open(other, { allowCommands: true }).spec, other);
  t.throws(() => open({ type: "pod" }, { allowCommands: true }), { message: /only through the API server/ });
  const pod = open({ type: "pod" }, { allowCommands: false, transport: {} as Transport });
  t.true(leadsThroughApi(pod));
});
