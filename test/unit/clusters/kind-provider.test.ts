/** The kind cluster, with kind and the engines as scripts. */
import type { ExecutionContext } from "ava";
import test from "ava";
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { createKindProvider } from "../../../src/clusters/kind-provider.js";
import { systemClock, pollUntil } from "../../../src/common/clock.js";
import { ChaosError, ExitCode, messageOf, RefusedError } from "../../../src/common/errors.js";
import { identify } from "../../../src/common/process-identity.js";
import { type Progress, silentProgress } from "../../../src/common/progress.js";
import {
  DEFAULT_IMAGE,
  type FakeEngine,
  type FakeKind,
  fakeKind,
  type FakeNode,
} from "../../helpers/fake-kind.js";

const CLUSTER = "kube-system-chaos";
const NODES = ["control-plane", "worker", "worker2"].map((role) => `${CLUSTER}-${role}`);
const THEIRS: FakeNode = { cluster: "kind", name: "kind-control-plane", image: DEFAULT_IMAGE };

const existing = (more: Partial<FakeNode> = {}): FakeNode[] =>
  NODES.map((name) => ({ cluster: CLUSTER, name, image: DEFAULT_IMAGE, ...more }));

const progress = silentProgress;
const provider = (world: FakeKind): ReturnType<typeof createKindProvider> => createKindProvider(world.env);

async function until(t: ExecutionContext, what: () => boolean): Promise<void> {
  const found = await pollUntil(
    systemClock(),
    { everyMs: 20, limitMs: 20_000 },
    async () => await Promise.resolve(what() ? true : undefined),
  );
  t.true(found);
}

for (const engine of ["docker", "nerdctl", "finch", "podman"] as const satisfies FakeEngine[]) {
  test(`up with ${engine}: kind's own image, the engine for kind and for the nodes, kubeconfig of its own`, async (t) => {
    const world = await fakeKind(t, [engine]);
    // Neither the user's cluster nor the user's kubeconfig is touched.
    await world.put(engine, [THEIRS]);
    Object.assign(world.env, {
      KIND_CLUSTER_NAME: "kind",
      KUBECONFIG: join(world.root, "theirs"),
      KIND_EXPERIMENTAL_DOCKER_NETWORK: "net",
    });
    const handle = await provider(world).up({ progress });
    t.deepEqual(handle, {
      provider: "kind",
      kubeconfigPath: world.state("kubeconfig"),
      context: `kind-${CLUSTER}`,
      kindName: CLUSTER,
      env: { KIND_EXPERIMENTAL_PROVIDER: engine },
      engineCommand: engine,
    });
    const [created] = await world.calls("kind", "create");
    t.deepEqual(created?.argv, [
      ...["create", "cluster", "--name", CLUSTER, "--config", "kind-config.yaml"],
      ...["--kubeconfig", world.state("kubeconfig")],
    ]);
    t.deepEqual(created?.env, [engine, "net"]);
    const waits = (await world.calls(engine, "exec")).map(({ argv }) => argv.slice(4).join(" "));
    t.deepEqual(waits, [
      "wait --for=condition=Ready nodes --all --timeout=180s",
      "-n kube-system rollout status deployment/coredns --timeout=180s",
    ]);
    const weights = (await world.calls(engine, "update")).map(({ argv }) => argv.slice(1).join(" "));
    t.deepEqual(weights, [`--cpu-shares 4096 ${CLUSTER}-worker`, `--cpu-shares 4096 ${CLUSTER}-worker2`]);
    t.deepEqual(world.nodes(engine), [THEIRS.name, ...NODES]);
    t.false(existsSync(world.state("creating.json")));
    t.false(existsSync(join(world.root, "theirs")));

    t.like(await provider(world).status(), { running: true });
    t.deepEqual(await provider(world).find(), handle);
    t.deepEqual(await provider(world).up({ progress }), handle, "again: the same cluster");
    t.is((await world.calls("kind", "create")).length, 1);
    await provider(world).down({ progress, purge: false });
    t.deepEqual(world.nodes(engine), [THEIRS.name]);
    t.false(existsSync(world.state("kubeconfig")));
    t.is(await provider(world).find(), undefined);
  });
}

test("--image is passed; an existing cluster with another image is refused and not changed", async (t) => {
  const world = await fakeKind(t, ["docker"]);
  const image = "kindest/node:v1.36.3";
  await provider(world).up({ progress, image });
  const [created] = await world.calls("kind", "create");
  t.deepEqual(created?.argv.slice(-2), ["--image", image]);
  await provider(world).up({ progress, image });
  await t.throwsAsync(provider(world).up({ progress, image: "kindest/node:v1.35.0" }), {
    instanceOf: RefusedError,
    message:
      "the cluster kube-system-chaos already exists with the image kindest/node:v1.36.3: --image kindest/node:v1.35.0 " +
      "is for a new one. Remove it with `chaos cluster down --cluster kind`, or omit --image.",
  });
  t.deepEqual(world.nodes("docker"), NODES);
  t.is((await world.calls("kind", "create")).length, 1);
});

test("an engine that cannot weigh the workers: one warning, and a cluster", async (t) => {
  const world = await fakeKind(t, ["podman"]);
  // The OCI runtime's words where the cpu controller is not delegated.
  await world.behave({ updateFails: "Error: crun: the requested cgroup controller `cpu` is not available" });
  const warnings: string[] = [];
  await provider(world).up({ progress: { ...silentProgress, warn: (text) => warnings.push(text) } });
  t.deepEqual(warnings, [
    "the workers have no larger share of the CPUs than the control plane: `podman update --cpu-shares 4096 " +
      "kube-system-chaos-worker` failed (Error: crun: the requested cgroup controller `cpu` is not available). On a " +
      "busy machine a run may be inconclusive (disturbed).",
  ]);
  t.deepEqual(world.nodes("podman"), NODES);
});

test("the notes of progress are kind's lines without icons", async (t) => {
  const world = await fakeKind(t, ["docker"]);
  const notes: string[] = [];
  const noting: Progress = {
    ...silentProgress,
    step: async (_title, work) => await work((text) => notes.push(text)),
  };
  await provider(world).up({ progress: noting });
  t.true(notes.length > 0);
  t.is(notes.at(-1), "Ensuring node image (kindest/node:v1.37.0)   ...");
});

test("kind fails: its reason is in the message, and nothing is left", async (t) => {
  const world = await fakeKind(t, ["docker"]);
  await world.put("docker", [THEIRS]);
  // As kind 0.33 printed it, when its docker failed.
  const run = `docker run --name kube-system-chaos-control-plane --hostname kube${" --label x".repeat(200)}`;
  await world.behave({ createFails: `command "${run}" failed with error: exit status 125` });
  const error = await t.throwsAsync(provider(world).up({ progress }), { instanceOf: ChaosError });
  t.is(
    messageOf(error),
    "the cluster was not created, and nothing of it is left: kind failed: ERROR: failed to create cluster: " +
      'command "docker run --name kube-system-chaos-control-plane --hostname…" failed with error: exit status 125' +
      "\n\nCommand Output: Error response from daemon",
  );
  t.deepEqual(world.nodes("docker"), [THEIRS.name]);
  t.false(existsSync(world.state("creating.json")));
});

for (const notReady of ["nodes", "deployment/coredns"]) {
  test(`${notReady} not ready in time: an error with the state, and nothing is left`, async (t) => {
    const world = await fakeKind(t, ["docker"]);
    await world.behave({ notReady });
    const error = await t.throwsAsync(provider(world).up({ progress }), { instanceOf: ChaosError });
    t.regex(
      messageOf(error),
      /nothing of it is left: it did not become ready: error: timed out .*Its nodes and pods:\nkube-system coredns-1 0\/1 Pending/,
    );
    t.deepEqual(world.nodes("docker"), []);
    t.false(existsSync(world.state("kubeconfig")));
  });
}

test("interrupted: kind is ended, and nothing is left", async (t) => {
  const world = await fakeKind(t, ["docker"]);
  await world.behave({ hangs: "" });
  const controller = new AbortController();
  const up = provider(world).up({ progress, signal: controller.signal });
  await until(t, () => existsSync(join(world.root, "began")));
  await t.throwsAsync(provider(world).up({ progress }), {
    instanceOf: RefusedError,
    message: /^another process \(\d+\) is creating or deleting the kind cluster\. Wait until it has ended/,
  });
  t.like(await provider(world).status(), { running: false });
  controller.abort();
  const error = await t.throwsAsync(up, { instanceOf: ChaosError });
  t.is(messageOf(error), "creating the cluster was interrupted, and nothing of it is left: kind was ended");
  t.is(error?.exitCode, ExitCode.interrupted);
  t.deepEqual(world.nodes("docker"), []);
  t.false(existsSync(world.state("creating.json")));
});

test("what could not be removed is removed by the next up", async (t) => {
  const world = await fakeKind(t, ["docker"]);
  await world.behave({ notReady: "nodes", deleteFails: "failed to delete nodes" });
  const error = await t.throwsAsync(provider(world).up({ progress }), { instanceOf: ChaosError });
  t.regex(
    messageOf(error),
    /^the cluster was not created, and a part of it is left \(kind could not delete the cluster: ERROR: .*failed to delete nodes\)\. Remove it with `chaos cluster down --cluster kind`: it did not become ready/,
  );
  t.like(await provider(world).status(), { running: false });
  await world.behave({});
  await provider(world).up({ progress });
  t.is((await world.calls("kind", "create")).length, 2);
  t.like(await provider(world).status(), { running: true });
});

test("an attempt that SIGKILL ended: its kind is ended and its nodes are removed, with its own engine", async (t) => {
  const world = await fakeKind(t, ["docker", "podman"]);
  await world.behave({ hangs: "" });
  const env = { ...world.env, KIND_EXPERIMENTAL_PROVIDER: "podman" };
  await mkdir(dirname(world.state("x")), { recursive: true });
  const args = ["create", "cluster", "--name", CLUSTER, "--kubeconfig", world.state("kubeconfig")];
  const kind = spawn(join(world.root, "bin/kind"), args, { env, detached: true, stdio: "ignore" });
  await until(t, () => existsSync(join(world.root, "began")));
  const attempt = { engine: { command: "podman", env: { KIND_EXPERIMENTAL_PROVIDER: "podman" } } };
  const ended = new Promise((resolve) => kind.once("exit", (_code, signal) => resolve(signal)));
  await writeFile(
    world.state("creating.json"),
    JSON.stringify({ ...attempt, kind: await identify(kind.pid ?? 0) }),
  );
  await world.behave({});
  t.is((await provider(world).up({ progress })).engineCommand, "docker");
  t.is(await ended, "SIGKILL");
  t.deepEqual(world.nodes("podman"), []);
  t.deepEqual(world.nodes("docker"), NODES);
});

test("a damaged note of an attempt counts as one with the chosen engine", async (t) => {
  const world = await fakeKind(t, ["docker"]);
  await mkdir(dirname(world.state("x")), { recursive: true });
  for (const text of ["", "{", "null", '{"engine":{"command":"/tmp/anything","env":{}}}']) {
    await world.put("docker", existing().slice(0, 1));
    await writeFile(world.state("creating.json"), text);
    await provider(world).up({ progress });
    t.deepEqual(world.nodes("docker"), NODES);
  }
});

test("down removes the nodes of an interrupted attempt, too", async (t) => {
  const world = await fakeKind(t, ["docker", "podman"]);
  await world.put("podman", existing());
  const attempt = { engine: { command: "podman", env: { KIND_EXPERIMENTAL_PROVIDER: "podman" } } };
  await mkdir(dirname(world.state("x")), { recursive: true });
  await writeFile(world.state("creating.json"), JSON.stringify(attempt));
  await provider(world).down({ progress, purge: false });
  t.deepEqual(world.nodes("podman"), []);
  t.false(existsSync(world.state("creating.json")));
});

test("a stopped cluster, or one without a kubeconfig: refused with what to do, not changed", async (t) => {
  const world = await fakeKind(t, ["podman"]);
  await world.put("podman", [...existing().slice(0, 2), ...existing({ stopped: true }).slice(2)]);
  await t.throwsAsync(provider(world).up({ progress }), {
    instanceOf: RefusedError,
    message:
      "the cluster kube-system-chaos is stopped: kube-system-chaos-worker2 does not run. Start it with " +
      "`podman start kube-system-chaos-worker2`. Or remove it with `chaos cluster down --cluster kind`.",
  });
  t.like(await provider(world).status(), { running: false });
  await world.put("podman", existing());
  await world.behave({ exportFails: "" });
  await t.throwsAsync(provider(world).up({ progress }), {
    message: /exists, but kind cannot read its kubeconfig: ERROR: [^]*It may be incomplete\. Remove it with/,
  });
  t.deepEqual(world.nodes("podman"), NODES);
});

test("an existing cluster that is not Ready is kept: a run may have broken it", async (t) => {
  const world = await fakeKind(t, ["docker"]);
  await world.put("docker", existing());
  await world.behave({ notReady: "nodes" });
  await provider(world).up({ progress });
  t.is(await readFile(world.state("kubeconfig"), "utf8"), "exported\n");
  t.deepEqual(await world.calls("kind", "delete"), []);
});

test("kind missing, or too old for a new cluster: refused in one sentence", async (t) => {
  const without = await fakeKind(t, ["docker"], { kind: false });
  await t.throwsAsync(provider(without).up({ progress }), {
    instanceOf: RefusedError,
    message: /^kind was not found on PATH\. Install it/,
  });
  const world = await fakeKind(t, ["docker"]);
  await world.behave({ version: "kind v0.22.0 go1.20.13 linux/amd64" });
  await t.throwsAsync(provider(world).up({ progress }), {
    instanceOf: RefusedError,
    message:
      "kind 0.22 is too old: its node images have a Kubernetes before 1.30. Install kind 0.23 or newer (https://kind.sigs.k8s.io).",
  });
  t.deepEqual(await world.calls("kind", "create"), []);
  for (const version of ["kind v0.23.0 go1.21", "kind v1.0.0 go1.30", "kind (devel)"]) {
    await world.behave({ version });
    await provider(world).up({ progress });
    await provider(world).down({ progress, purge: false });
  }
});
