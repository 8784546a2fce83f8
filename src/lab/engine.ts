import { existsSync } from "node:fs";
import {
  chmod,
  copyFile,
  mkdir,
  readdir,
  readFile,
  readlink,
  rm,
  symlink,
  writeFile,
} from "node:fs/promises";
import { dirname, join } from "node:path";
import { sleep } from "../common/clock.js";
import { ChaosError, RefusedError } from "../common/errors.js";
import { isAlive, readIdentity } from "../common/process-identity.js";
import { ask, run, type CommandOptions, type CommandResult } from "./command.js";
import { BRIDGE, closeFirewall, isFirewallClosed, openFirewall } from "./firewall.js";
import { unpackFolder, type LabPaths } from "./paths.js";
import { end, endAll, startDaemon } from "./process.js";
import { toolPath, type Tools } from "./steps/tools.js";

/** How long each daemon of the engine may take to answer after its start, ms. */
const START_LIMIT_MS = 60_000;

/** The network that kind puts its nodes on. kind creates it only when it does not exist. */
const NETWORK = "kind";

/**
 * The network's IPv6 range: the one that kind gives a network of this name (pkg/cluster/internal/providers/docker
 * network.go). No packet leaves the bridge through it: the machine forwards no IPv6.
 */
const IPV6_SUBNET = "fc00:f853:ccd:e793::/64";

/** The cgroup of the nodes on the machine. */
const CGROUP = "kube-system-chaos-lab";

/** Bit 24 of a capability set. */
const CAP_SYS_RESOURCE = 1n << 24n;

/** Whether the capability sets in a /proc/PID/status text lack CAP_SYS_RESOURCE. */
export function lacksSysResource(status: string): boolean {
  const bounding = /^CapBnd:\s*([0-9a-f]+)$/m.exec(status)?.[1];
  return bounding !== undefined && (BigInt(`0x${bounding}`) & CAP_SYS_RESOURCE) === 0n;
}

/** dockerd's configuration: everything below the lab's own folders, no bridge, no firewall, no name server. */
export function engineConfig(paths: LabPaths, runtime: string | undefined): object {
  return {
    "data-root": paths.engineData,
    "exec-root": join(paths.run, "docker"),
    group: "root",
    pidfile: join(paths.run, "docker.pid"),
    hosts: [`unix://${join(paths.run, "docker.sock")}`],
    containerd: join(paths.run, "containerd.sock"),
    // Its own cgroup, so that it leaves nothing in a cgroup that other programs use.
    "exec-opts": ["native.cgroupdriver=cgroupfs"],
    "cgroup-parent": `/${CGROUP}`,
    // Only the nodes' own network is needed, and its traffic must not leave the machine.
    bridge: "none",
    iptables: false,
    "ip-forward": false,
    "ip-masq": false,
    // Nothing answers there, so no DNS query for an external name leaves the machine.
    dns: ["127.0.0.1"],
    "log-driver": "json-file",
    "log-opts": { "max-size": "10m", "max-file": "1" },
    ...(runtime === undefined
      ? {}
      : {
          runtimes: { "without-sys-resource": { path: runtime } },
          "default-runtime": "without-sys-resource",
        }),
  };
}

/** The configuration of dockerd's containerd. It needs no CRI plugin: the nodes have their own containerd. */
export function containerdConfig(paths: LabPaths): string {
  return [
    "version = 2",
    `root = ${JSON.stringify(paths.containerdData)}`,
    `state = ${JSON.stringify(join(paths.run, "containerd"))}`,
    'disabled_plugins = ["io.containerd.grpc.v1.cri"]',
    "[grpc]",
    `  address = ${JSON.stringify(join(paths.run, "containerd.sock"))}`,
    "",
  ].join("\n");
}

/** The lab's own container engine: dockerd and its containerd, separate from any other engine on the machine. */
export class Engine {
  readonly #paths: LabPaths;
  readonly #tools: Tools;

  constructor(paths: LabPaths, tools: Tools) {
    this.#paths = paths;
    this.#tools = tools;
  }

  get client(): string {
    return toolPath(this.#tools, "docker");
  }

  /** The environment with which docker and kind reach this engine and no other. */
  get env(): Record<string, string> {
    return {
      DOCKER_HOST: `unix://${join(this.#paths.run, "docker.sock")}`,
      // The user's own settings for docker and kind do not count: a context would override DOCKER_HOST, for example.
      DOCKER_CONFIG: join(this.#paths.state, "docker-config"),
      DOCKER_BUILDKIT: "0",
      KIND_EXPERIMENTAL_PROVIDER: "docker",
      KIND_EXPERIMENTAL_DOCKER_NETWORK: NETWORK,
      ...Object.fromEntries(
        [
          ...["DOCKER_CONTEXT", "DOCKER_DEFAULT_PLATFORM", "DOCKER_TLS_VERIFY", "DOCKER_API_VERSION"],
          ...["DOCKER_CONTENT_TRUST", "KIND_CLUSTER_NAME"],
        ].map((name) => [name, ""]),
      ),
      PATH: this.#tools.env["PATH"] ?? "",
    };
  }

  /** Runs the docker client. */
  async docker(args: readonly string[], options: CommandOptions): Promise<CommandResult> {
    return await run(this.client, args, { ...options, env: { ...this.env, ...options.env } });
  }

  async isRunning(): Promise<boolean> {
    for (const name of ["containerd", "dockerd"]) {
      if (!(await isAlive(await readIdentity(this.#identity(name))))) return false;
    }
    const answer = await ask(this.client, ["version", "--format", "{{.Server.Version}}"], {
      timeoutMs: 5_000,
      env: this.env,
    });
    return answer.exitCode === 0;
  }

  /**
   * Starts the engine unless it is running.
   *
   * @throws RefusedError when a lab with another cache folder runs on this machine.
   * @throws ChaosError when a daemon does not answer in time. The message has the end of its log.
   */
  async start(): Promise<void> {
    await this.refuseForeign();
    if (!(await this.isRunning())) {
      await this.#endDaemons();
      await this.#startDaemons();
    }
    if (!(await isFirewallClosed(this.#tools))) await closeFirewall(this.#tools);
    await this.#ensureNetwork();
    // Without forwarding, the machine drops packets to other destinations before the rule that rejects them, and the
    // sender would wait for its timeout. The setting applies to this bridge only and disappears with it.
    await writeFile(`/proc/sys/net/ipv4/conf/${BRIDGE}/forwarding`, "1");
  }

  /** Removes every container, stops both daemons and cleans up what they left on the machine. The images stay. */
  async stop(): Promise<void> {
    if (await this.isRunning()) {
      const all = await ask(this.client, ["ps", "-aq"], { timeoutMs: 30_000, env: this.env });
      const ids = all.stdout.split("\n").filter((id) => id !== "");
      const options = { timeoutMs: 120_000, env: this.env };
      if (ids.length > 0) await ask(this.client, ["rm", "--force", "--volumes", ...ids], options);
      await ask(this.client, ["network", "rm", NETWORK], options);
      await ask(this.client, ["volume", "prune", "--force"], options);
    }
    await this.#endDaemons();
    await openFirewall(this.#tools);
    await ask("ip", ["link", "delete", BRIDGE], { timeoutMs: 10_000 });
    await this.#unmount();
    await removeCgroups();
    await rm(this.#paths.run, { recursive: true, force: true });
  }

  /**
   * The folder of the tools that the running engine was started from; undefined: none runs. Another version of this
   * program may have started it, from tools with another key.
   */
  static async toolsInUse(paths: LabPaths): Promise<string | undefined> {
    const identity = await readIdentity(join(paths.run, "dockerd.json"));
    if (identity === undefined || !(await isAlive(identity))) return undefined;
    const program = await readlink(`/proc/${identity.pid}/exe`);
    return dirname(dirname(dirname(program)));
  }

  /** @throws RefusedError when the running engine belongs to another cache folder. */
  async refuseForeign(): Promise<void> {
    const owner = await readFile(join(this.#paths.run, "cache"), "utf8").catch(() => this.#paths.cache);
    if (owner === this.#paths.cache) return;
    if (!(await isAlive(await readIdentity(this.#identity("dockerd"))))) return;
    throw new RefusedError(
      `a lab with another cache folder (${owner}) runs on this machine; yours is ${this.#paths.cache}. ` +
        "A machine can run only one lab. Take the other lab down first, with its KUBE_SYSTEM_CHAOS_CACHE.",
    );
  }

  async #startDaemons(): Promise<void> {
    const { run: folder, logs } = this.#paths;
    for (const each of [
      folder,
      logs,
      this.#paths.engineData,
      this.#paths.containerdData,
      this.#paths.state,
    ]) {
      await mkdir(each, { recursive: true });
    }
    await mkdir(join(this.#paths.state, "docker-config"), { recursive: true });
    await writeFile(join(folder, "cache"), this.#paths.cache);
    await writeFile(join(folder, "containerd.toml"), containerdConfig(this.#paths));
    const runtime = await this.#runtime();
    await writeFile(join(folder, "docker.json"), JSON.stringify(engineConfig(this.#paths, runtime), null, 2));

    await this.#startDaemon(
      "containerd",
      [toolPath(this.#tools, "containerd"), "--config", join(folder, "containerd.toml")],
      () => Promise.resolve(existsSync(join(folder, "containerd.sock"))),
    );
    await this.#startDaemon(
      "dockerd",
      [toolPath(this.#tools, "dockerd"), "--config-file", join(folder, "docker.json")],
      async () => existsSync(join(folder, "docker.sock")) && (await this.isRunning()),
    );
  }

  async #startDaemon(
    name: string,
    command: readonly [string, ...string[]],
    isReady: () => Promise<boolean>,
  ): Promise<void> {
    const log = join(this.#paths.logs, `${name}.log`);
    const identity = await startDaemon(command, { file: this.#identity(name), log, env: this.#tools.env });
    const until = Date.now() + START_LIMIT_MS;
    while (!(await isReady())) {
      const alive = await isAlive(identity);
      if (!alive || Date.now() > until) {
        const tail = (await readFile(log, "utf8").catch(() => ""))
          .trimEnd()
          .split("\n")
          .slice(-8)
          .join("\n  ");
        const what = alive ? `did not answer within ${START_LIMIT_MS / 1000} s` : "exited immediately";
        throw new ChaosError(
          `the lab's ${name} ${what}; the end of ${log}:\n  ${tail}\nFix the problem and try again.`,
        );
      }
      await sleep(50);
    }
  }

  /** The runtime for containers: undefined for runc itself, or the path of a wrapper when a capability is missing. */
  async #runtime(): Promise<string | undefined> {
    if (!lacksSysResource(await readFile("/proc/self/status", "utf8"))) return undefined;
    const folder = join(this.#paths.run, "runtime");
    await mkdir(folder, { recursive: true });
    const wrapper = join(folder, "runc-wrapper");
    await copyFile(join(this.#paths.assets, "engine/runc-wrapper"), wrapper);
    await chmod(wrapper, 0o755);
    const link = join(folder, "runc");
    await rm(link, { force: true });
    await symlink(toolPath(this.#tools, "runc"), link);
    return wrapper;
  }

  async #ensureNetwork(): Promise<void> {
    const asked = { timeoutMs: 10_000, env: this.env };
    const there = await ask(this.client, ["network", "inspect", "--format={{.EnableIPv6}}", NETWORK], asked);
    const hasIPv6 = existsSync("/proc/net/if_inet6");
    if (there.exitCode === 0) {
      if (!hasIPv6 || there.stdout.trim() === "true") return;
      // Made by an older version. While nodes use it, it cannot be removed.
      if ((await ask(this.client, ["network", "rm", NETWORK], asked)).exitCode !== 0) return;
    }
    const options = [
      `com.docker.network.bridge.name=${BRIDGE}`,
      "com.docker.network.bridge.enable_ip_masquerade=false",
    ].map((option) => `--opt=${option}`);
    const ipv6 = hasIPv6 ? ["--ipv6", `--subnet=${IPV6_SUBNET}`] : [];
    await this.docker(["network", "create", "--driver=bridge", ...options, ...ipv6, NETWORK], {
      timeoutMs: 30_000,
    });
  }

  async #endDaemons(): Promise<void> {
    const { run: folder } = this.#paths;
    await end(await readIdentity(this.#identity("dockerd")), 20_000);
    // The processes that a killed daemon leaves behind have the lab's own sockets and folders in their arguments.
    const socket = join(folder, "containerd.sock");
    await endAll(join(folder, "docker.json"));
    await endAll(socket);
    await end(await readIdentity(this.#identity("containerd")), 10_000);
    await endAll(join(folder, "containerd.toml"));
    await endAll(join(unpackFolder(this.#paths), "containerd.toml"));
  }

  /** Unmounts everything below the lab's folders, innermost first. */
  async #unmount(): Promise<void> {
    const table = await readFile("/proc/self/mountinfo", "utf8");
    const own = [this.#paths.run, this.#paths.engineData, this.#paths.containerdData];
    const mounts = table
      .split("\n")
      .map((line) => line.split(" ")[4] ?? "")
      .filter((point) => own.some((folder) => point.startsWith(`${folder}/`)));
    for (const point of mounts.reverse()) await ask("umount", ["--lazy", point], { timeoutMs: 10_000 });
  }

  #identity(name: string): string {
    return join(this.#paths.run, `${name}.json`);
  }
}

/** Removes the lab's cgroup: one per controller (version 1), or a single one (version 2). */
async function removeCgroups(): Promise<void> {
  const root = "/sys/fs/cgroup";
  const places = [root, ...(await readdir(root).catch(() => [])).map((name) => join(root, name))];
  for (const place of places.map((each) => join(each, CGROUP)).filter((each) => existsSync(each))) {
    // rmdir fails while a cgroup has processes. The lab's own processes have ended by now.
    await ask("find", [place, "-depth", "-type", "d", "-exec", "rmdir", "{}", ";"], { timeoutMs: 10_000 });
  }
}
