/**
 * Fake nodes: each is a folder, and the container engine is a script. `docker exec NODE command` runs the command on
 * this machine, with the node's own systemctl and systemd-run (also scripts) and its own /etc. So a shell really runs
 * what is sent to a node.
 */
import type { ExecutionContext } from "ava";
import { execa } from "execa";
import { existsSync, readFileSync } from "node:fs";
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { engineAccess } from "../../src/nodes/access.js";
import { type NodeAccess } from "../../src/nodes/spec.js";

/** The container engine: it maps paths below some folders to the node's folder. */
const DOCKER = `#!${process.execPath}
const { spawnSync } = require("node:child_process");
const { appendFileSync, existsSync } = require("node:fs");
const [verb, node, ...argv] = process.argv.slice(2);
const state = __dirname + "/" + node;
if (verb !== "exec" || !existsSync(state)) {
  console.error("Error response from daemon: No such container: " + node);
  process.exit(1);
}
appendFileSync(__dirname + "/log", JSON.stringify({ node, argv }) + "\\n");
if (existsSync(state + "/broken")) { console.error("the node is broken"); process.exit(1); }
const mine = argv.map((each) => each.replace(/(?<![\\w.-])\\/(etc|kind|proc|run|sys|var\\/lib|var\\/snap)\\//g, state + "$&"));
const env = { PATH: __dirname + "/bin:/usr/local/bin:/usr/bin:/bin", STATE: state };
const { status } = spawnSync(mine[0], mine.slice(1), { env, stdio: "inherit" });
process.exit(status ?? 127);
`;

/** A unit is a file with its state. Files beside it count its starts and list its dependents. */
const SYSTEMCTL = `#!/bin/sh
units=$STATE/units
state() { cat "$units/$1" 2>/dev/null || echo inactive; }
full() { case $1 in *.service | *.timer) echo "$1" ;; *) echo "$1.service" ;; esac; }
verb=$1; shift
case $verb in
is-active)
  quiet=no; if [ "$1" = --quiet ]; then quiet=yes; shift; fi
  state=$(state "$(full "$1")")
  [ $quiet = yes ] || echo "$state"
  [ "$state" = active ] || exit 3 ;;
start)
  for each in "$@"; do
    unit=$(full "$each")
    [ -e "$units/$unit" ] || { echo "Unit $unit not found." >&2; exit 5; }
    if [ -e "$units/$unit.fails" ]; then echo failed > "$units/$unit"; continue; fi
    [ "$(state "$unit")" = active ] || echo x >> "$units/$unit.starts"
    echo active > "$units/$unit"
  done ;;
stop)
  for each in "$@"; do
    unit=$(full "$each")
    [ -e "$units/$unit" ] || { echo "Unit $unit not loaded." >&2; exit 5; }
    case $unit in *.timer) rm "$units/$unit"; continue ;; esac
    [ -e "$units/$unit.stubborn" ] || echo inactive > "$units/$unit"
    for dependent in $(cat "$units/$unit.dependents" 2>/dev/null); do echo inactive > "$units/$dependent"; done
  done ;;
restart)
  [ -e "$units/$1" ] || { echo "Unit $1 not found." >&2; exit 5; }
  echo x >> "$units/$1.restarts" ;;
reset-failed) ;;
status)
  for pid in "$@"; do :; done
  [ -e "$STATE/proc/$pid/unit" ] || exit 4
  echo "● $(cat "$STATE/proc/$pid/unit") - fake" ;;
show)
  properties=; value=no
  while [ $# -gt 1 ]; do
    case $1 in -p) properties="$properties $2"; shift ;; --value) value=yes ;; esac
    shift
  done
  unit=$(full "$1")
  for property in $(echo "$properties" | tr , ' '); do
    case $property in
    ActiveState) answer=$(state "$unit") ;;
    LoadState) answer=not-found; [ ! -e "$units/$unit" ] || answer=loaded ;;
    Restart) answer=always ;;
    InvocationID) answer=start-$(cat "$units/$unit.starts" 2>/dev/null | wc -l | tr -d ' ') ;;
    RequiredBy) answer=$(cat "$units/$unit.dependents" 2>/dev/null) ;;
    *) answer= ;;
    esac
    if [ $value = yes ]; then echo "$answer"; else echo "$property=$answer"; fi
  done ;;
*) echo "no such verb: $verb" >&2; exit 1 ;;
esac
`;

const SYSTEMD_RUN = `#!/bin/sh
[ ! -e "$STATE/no-timers" ] || { echo "Failed to start transient timer unit" >&2; exit 1; }
for each in "$@"; do
  case $each in
  --unit=*) unit=\${each#--unit=} ;;
  --on-active=*) after=\${each#--on-active=} ;;
  --*) ;;
  *) break ;;
  esac
  shift
done
[ ! -e "$STATE/units/$unit.timer" ] || { echo "Unit $unit.timer was already loaded" >&2; exit 1; }
echo active > "$STATE/units/$unit.timer"
echo "$after" > "$STATE/units/$unit.timer.after"
printf '%s\\n' "$@" > "$STATE/units/$unit.timer.command"
`;

export interface Sent {
  readonly node: string;
  readonly argv: readonly string[];
}

export class FakeNodes {
  readonly root: string;
  readonly access: NodeAccess;

  constructor(root: string) {
    this.root = root;
    this.access = engineAccess({ command: join(root, "docker"), env: {} });
  }

  /** A file of a node's /etc, or of its units. */
  path(node: string, ...parts: string[]): string {
    return join(this.root, node, ...parts);
  }

  /** The text of a node's file; undefined if it does not exist. */
  text(node: string, path: string): string | undefined {
    const file = this.path(node, path);
    return existsSync(file) ? readFileSync(file, "utf8") : undefined;
  }

  async put(node: string, path: string, text: string): Promise<void> {
    const file = this.path(node, path);
    await mkdir(join(file, ".."), { recursive: true });
    await writeFile(file, text);
  }

  /** A process in the node's /proc; `unit` as systemd knows it. */
  async process(
    node: string,
    pid: number,
    { name, unit, args = [] }: { name: string; unit: string; args?: readonly string[] },
  ): Promise<void> {
    await this.put(node, `proc/${pid}/comm`, `${name}\n`);
    await this.put(node, `proc/${pid}/unit`, unit);
    await this.put(node, `proc/${pid}/cmdline`, [name, ...args].map((each) => `${each}\0`).join(""));
  }

  /** An executable file of a node. */
  async program(node: string, path: string, text: string): Promise<void> {
    await this.put(node, path, `#!/bin/sh\n${text}\n`);
    await chmod(this.path(node, path), 0o755);
  }

  async drop(node: string, path: string): Promise<void> {
    await rm(this.path(node, path), { recursive: true });
  }

  /** State of a unit: "active", "inactive"; undefined if the unit does not exist. */
  unit(node: string, unit: string): string | undefined {
    return this.text(node, `units/${unit}`)?.trim();
  }

  timer(
    node: string,
    timer: string,
  ): { readonly afterS: number; readonly command: readonly string[] } | undefined {
    if (this.unit(node, `${timer}.timer`) === undefined) return undefined;
    return {
      afterS: Number(this.text(node, `units/${timer}.timer.after`)),
      command: (this.text(node, `units/${timer}.timer.command`) ?? "").trim().split("\n"),
    };
  }

  /** Runs the timer's command, as systemd does when the time is over. */
  async elapse(node: string, timer: string): Promise<void> {
    const command = this.timer(node, timer)?.command;
    if (command === undefined) throw new Error(`the timer ${timer} does not exist on ${node}`);
    await this.drop(node, `units/${timer}.timer`);
    // Without mapping: the paths were mapped when the command was sent.
    const env = { PATH: `${this.root}/bin:/usr/bin:/bin`, STATE: this.path(node) };
    await execa(command[0] ?? "", command.slice(1), { env, extendEnv: false });
  }

  /** Every command that was sent to a node. */
  async sent(): Promise<Sent[]> {
    const log = await readFile(join(this.root, "log"), "utf8").catch(() => "");
    return log
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as Sent);
  }
}

export const MANIFEST = "/etc/kubernetes/manifests/kube-scheduler.yaml";

export const MANIFEST_TEXT = "kind: Pod\n";

/** Nodes with a running kubelet and the scheduler's manifest. */
export async function fakeNodes(t: ExecutionContext, names: readonly string[]): Promise<FakeNodes> {
  const root = await mkdtemp(join(tmpdir(), "chaos-nodes-"));
  t.teardown(async () => await rm(root, { recursive: true, force: true }));
  const nodes = new FakeNodes(root);
  await mkdir(join(root, "bin"));
  const scripts = {
    docker: DOCKER,
    "bin/systemctl": SYSTEMCTL,
    "bin/systemd-run": SYSTEMD_RUN,
    // A node is no container, whatever this machine is.
    "bin/systemd-detect-virt": "#!/bin/sh\nexit 1\n",
  };
  for (const [name, text] of Object.entries(scripts)) {
    await writeFile(join(root, name), text);
    await chmod(join(root, name), 0o755);
  }
  for (const [index, name] of names.entries()) {
    await nodes.put(name, "etc/machine-id", `${String(index).repeat(32)}\n`);
    await nodes.put(name, "units/kubelet.service", "active\n");
    await nodes.put(name, "units/kubelet.service.starts", "x\n");
    await nodes.put(name, MANIFEST.slice(1), MANIFEST_TEXT);
    await chmod(nodes.path(name, MANIFEST), 0o600);
  }
  return nodes;
}
