/**
 * A PATH with fake kind, docker, nerdctl, finch and podman. They answer as the real ones do in these sources:
 * sigs.k8s.io/kind 0.33 (pkg/cmd/kind/version, pkg/cluster/internal/create, pkg/internal/cli, cmd/kind/app),
 * docker/cli (cli/command/formatter/container.go, cli/command/system/info.go), containerd/nerdctl
 * (pkg/formatter/formatter.go), containers/podman (cmd/podman/containers/ps.go).
 */
import type { ExecutionContext } from "ava";
import { existsSync, readdirSync } from "node:fs";
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

export type FakeEngine = "docker" | "nerdctl" | "finch" | "podman";

/** What `-v` prints. */
const VERSIONS: Record<FakeEngine, string> = {
  docker: "Docker version 28.3.2, build 578ccf6",
  nerdctl: "nerdctl version 2.1.3",
  finch: "finch version v1.9.0",
  podman: "podman version 5.4.2",
};

/** Shell scripts, because tests call them hundreds of times. A node is a file with its cluster, image and status. */
const SHARED = `#!/bin/sh
PATH=/usr/bin:/bin
name=\${0##*/} root=\${0%/bin/*}
{ printf '%s\\n' "$name" "$KIND_EXPERIMENTAL_PROVIDER" "$KIND_EXPERIMENTAL_DOCKER_NETWORK" "$@"; printf '\\036'; } >> "$root/log"
behaves() { [ -e "$root/behaviour/$1" ]; }
behaviour() { cat "$root/behaviour/$1"; }
fail() { printf '%s\\n' "$*" >&2; exit 1; }
after() { flag=$1; shift; while [ $# -gt 0 ]; do if [ "$1" = "$flag" ]; then printf '%s' "$2"; return; fi; shift; done; }
`;

const ENGINE = `${SHARED}
nodes=$root/$name
if [ "$1" = -v ]; then cat "$root/$name.version"; exit 0; fi
if behaves down && [ "$(behaviour down)" = "$name" ]; then
  fail "ERROR: Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?"
fi
case $1 in
info) echo Server: ;;
ps)
  cluster=$(after --filter "$@") cluster=\${cluster##*=}
  [ "$(after --format "$@")" = '{{.Names}}|{{.Image}}|{{.Status}}' ] || fail "template parsing error"
  for node in "$nodes"/*; do
    [ -e "$node" ] || continue
    IFS='|' read -r of image status < "$node"
    [ "$of" != "$cluster" ] || printf '%s\\n' "\${node##*/}|$image|$status"
  done ;;
exec)
  [ -e "$nodes/$2" ] || fail "Error response from daemon: No such container: $2"
  case " $* " in
  *" get "*) echo "kube-system coredns-1 0/1 Pending" ;;
  *) if behaves notReady; then case " $* " in *" $(behaviour notReady) "*)
       fail "error: timed out waiting for the condition on nodes/kube-system-chaos-worker" ;; esac; fi ;;
  esac ;;
update)
  [ -e "$nodes/$4" ] || fail "Error response from daemon: No such container: $4"
  ! behaves updateFails || fail "$(behaviour updateFails)" ;;
*) fail "unknown command $1" ;;
esac
`;

/** kind's default image. */
export const DEFAULT_IMAGE =
  "kindest/node:v1.37.0@sha256:a1ed56cfb0e7b93589bdf97c8cd566405a265939e3620fc4f5de89adff580ae5";

const KIND = `${SHARED}
if [ "$1" = version ]; then
  if behaves version; then behaviour version; else echo "kind v0.33.0 go1.26.3 linux/amd64"; fi
  exit 0
fi
nodes=$root/$KIND_EXPERIMENTAL_PROVIDER
cluster=$(after --name "$@") cluster=\${cluster:-\${KIND_CLUSTER_NAME:-kube-system-chaos}}
kubeconfig=$(after --kubeconfig "$@")
mkdir -p "$nodes"
case $1 in
delete)
  ! behaves deleteFails || fail "ERROR: failed to delete cluster \\"$cluster\\": $(behaviour deleteFails)"
  rm -f "$kubeconfig" "$nodes/$cluster"-* ;;
export)
  ! behaves exportFails || fail "ERROR: failed to get cluster internal kubeconfig: command \\"docker exec --privileged kube-system-chaos-control-plane cat /etc/kubernetes/admin.conf\\" failed with error: exit status 1"
  echo exported > "$kubeconfig" ;;
create)
  [ ! -e "$nodes/$cluster-control-plane" ] || fail "ERROR: failed to create cluster: node(s) already exist for a cluster with the name \\"$cluster\\""
  image=$(after --image "$@") image=\${image:-${DEFAULT_IMAGE}}
  printf 'Creating cluster "%s" ...\\n' "$cluster" >&2
  printf ' • Ensuring node image (%s) 🖼  ...\\n' "\${image%@*}" >&2
  case $KIND_EXPERIMENTAL_PROVIDER in docker | podman) up="Up 3 minutes" ;; *) up=Up ;; esac
  add() { printf '%s|%s|%s\\n' "$cluster" "$image" "$up" > "$nodes/$cluster-$1"; }
  add control-plane
  : > "$root/began"
  ! behaves hangs || sleep 60
  if behaves createFails; then
    rm "$nodes/$cluster"-*
    fail "ERROR: failed to create cluster: $(behaviour createFails)

Command Output: Error response from daemon"
  fi
  add worker
  add worker2
  echo created > "$kubeconfig" ;;
*) fail "unknown command $1" ;;
esac
`;

interface Behaviour {
  /** What `kind version` prints. */
  readonly version?: string;
  readonly hangs?: string;
  readonly createFails?: string;
  readonly deleteFails?: string;
  readonly exportFails?: string;
  /** Why the engine changes no container. */
  readonly updateFails?: string;
  /** The argument of kubectl whose wait does not succeed. */
  readonly notReady?: string;
  /** The engine that does not answer. */
  readonly down?: FakeEngine;
}

export interface FakeNode {
  readonly cluster: string;
  readonly name: string;
  readonly image: string;
  readonly stopped?: boolean;
}

interface Called {
  readonly name: string;
  readonly argv: readonly string[];
  /** KIND_EXPERIMENTAL_PROVIDER and KIND_EXPERIMENTAL_DOCKER_NETWORK. */
  readonly env: readonly string[];
}

export class FakeKind {
  readonly root: string;
  readonly env: Record<string, string>;

  constructor(root: string) {
    this.root = root;
    this.env = { PATH: join(root, "bin"), HOME: root };
  }

  /** Replaces what kind and the engines do differently from then on. */
  async behave(behaviour: Behaviour): Promise<void> {
    const folder = join(this.root, "behaviour");
    await rm(folder, { recursive: true, force: true });
    await mkdir(folder);
    for (const [name, text] of Object.entries<string>({ ...behaviour }))
      await writeFile(join(folder, name), text);
  }

  /** Replaces the engine's nodes. */
  async put(engine: FakeEngine, nodes: readonly FakeNode[]): Promise<void> {
    const folder = join(this.root, engine);
    await rm(folder, { recursive: true, force: true });
    await mkdir(folder);
    for (const { cluster, name, image, stopped } of nodes) {
      const status = stopped === true ? "Exited (137) 2 minutes ago" : "Up";
      await writeFile(join(folder, name), `${cluster}|${image}|${status}\n`);
    }
  }

  /** Names of the engine's containers. */
  nodes(engine: FakeEngine): string[] {
    const folder = join(this.root, engine);
    return existsSync(folder) ? readdirSync(folder).sort() : [];
  }

  /** A file of the provider. */
  state(file: string): string {
    return join(this.root, ".local/state/kube-system-chaos/kind", file);
  }

  /** The calls of a command with this first argument. */
  async calls(name: string, verb: string): Promise<Called[]> {
    const log = await readFile(join(this.root, "log"), "utf8");
    return log
      .split("\x1e")
      .map((call) => call.split("\n").slice(0, -1))
      .map(([called = "", engine = "", network = "", ...argv]) => ({
        name: called,
        argv,
        env: [engine, network],
      }))
      .filter((call) => call.name === name && call.argv[0] === verb);
  }
}

/** A PATH with kind (unless `kind` is false) and these engines. */
export async function fakeKind(
  t: ExecutionContext,
  engines: readonly FakeEngine[],
  options: { readonly kind?: boolean } = {},
): Promise<FakeKind> {
  const root = await mkdtemp(join(tmpdir(), "chaos-kind-"));
  t.teardown(async () => await rm(root, { recursive: true, force: true }));
  await mkdir(join(root, "bin"));
  const scripts = Object.fromEntries(engines.map((name) => [name, ENGINE]));
  if (options.kind !== false) scripts["kind"] = KIND;
  for (const [name, text] of Object.entries(scripts)) {
    await writeFile(join(root, "bin", name), text);
    await chmod(join(root, "bin", name), 0o755);
  }
  for (const name of engines) await writeFile(join(root, `${name}.version`), `${VERSIONS[name]}\n`);
  return new FakeKind(root);
}
