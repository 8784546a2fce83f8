import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rename, rm, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { sleep } from "../../common/clock.js";
import { ChaosError } from "../../common/errors.js";
import { run } from "../command.js";
import type { Engine } from "../engine.js";
import type { BuiltImage } from "../image-build.js";
import { unpackFolder, type LabPaths } from "../paths.js";
import type { Step, StepResult } from "../build-plan.js";
import { end, endAll, startDaemon } from "../process.js";
import type { Tools } from "./tools.js";

/** The step's name. */
export const LAYERS = "layers";

/** The folder of the unpacked layers on a node. Outside /var, because every node gets its own copy of /var. */
const LAYERS_FOLDER = "kind/layers";

const SNAPSHOTS = "io.containerd.snapshotter.v1.overlayfs/snapshots";
const BLOBS = "io.containerd.content.v1.content/blobs/sha256";

/**
 * Unpacks the cluster's images once, with a containerd like the nodes', and splits the result. layers.tar has the
 * files of all layers, which the nodes share. images.tar has containerd's records, in which each layer is a link. A
 * node then starts with every image: nothing is imported, and its own copy of /var is small.
 */
export function layersStep({
  engine,
  paths,
  tools,
  containerd,
  images,
}: {
  readonly engine: Engine;
  readonly paths: LabPaths;
  readonly tools: Tools;
  /** Of the nodes: it writes the records that the nodes' containerd reads. */
  readonly containerd: StepResult;
  readonly images: readonly BuiltImage[];
}): Step {
  return {
    name: LAYERS,
    title: "Unpacking the images for the nodes",
    lane: "compile",
    needs: [],
    seconds: 30,
    inputs: {
      version: 2,
      containerd: containerd.key,
      images: images.map(({ tags, key }) => ({ tags, key })),
    },
    work: async ({ output, note }) => {
      const scratch = await mkdtemp(join(output, "scratch-"));
      const archive = join(scratch, "images.tar");
      note("saving");
      const tags = images.flatMap((image) => image.tags);
      await engine.docker(["save", "--output", archive, ...tags], { timeoutMs: 600_000 });
      const root = join(scratch, "var/lib/containerd");
      await mkdir(root, { recursive: true });
      note("unpacking");
      await importInto(root, archive, paths, { containerd: containerd.folder, env: tools.env });
      note("packing");
      await split(root, scratch, output);
      await rm(scratch, { recursive: true });
    },
  };
}

/** Starts a containerd with its root in `root`, imports the archive with it, and ends it. */
async function importInto(
  root: string,
  archive: string,
  paths: LabPaths,
  programs: { readonly containerd: string; readonly env: Readonly<Record<string, string>> },
): Promise<void> {
  const folder = unpackFolder(paths);
  const socket = join(folder, "containerd.sock");
  const config = join(folder, "containerd.toml");
  // A containerd left by an interrupted attempt would keep the socket.
  await endAll(config, {}, 5_000);
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder);
  await writeFile(
    config,
    [
      "version = 3",
      `root = ${JSON.stringify(root)}`,
      `state = ${JSON.stringify(join(folder, "state"))}`,
      // Nothing runs here, and these would look for a network and for runtimes.
      'disabled_plugins = ["io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime", "io.containerd.grpc.v1.cri", "io.containerd.nri.v1.nri"]',
      "[grpc]",
      `  address = ${JSON.stringify(socket)}`,
      "[ttrpc]",
      `  address = ${JSON.stringify(join(folder, "containerd.ttrpc.sock"))}`,
      "",
    ].join("\n"),
  );
  const daemon = await startDaemon([join(programs.containerd, "containerd"), "--config", config], {
    file: join(folder, "process.json"),
    log: join(paths.logs, "unpack.log"),
    env: programs.env,
  });
  try {
    for (let waited = 0; !existsSync(socket); waited += 50) {
      if (waited > 30_000) {
        throw new ChaosError(`containerd did not answer within 30 s. See ${join(paths.logs, "unpack.log")}`);
      }
      await sleep(50);
    }
    const ctr = async (...args: string[]): Promise<string> =>
      (
        await run(join(programs.containerd, "ctr"), ["--address", socket, "--namespace", "k8s.io", ...args], {
          timeoutMs: 600_000,
          env: programs.env,
        })
      ).stdout;
    await ctr("images", "import", "--local", "--snapshotter", "overlayfs", archive);
    // An unpacked layer does not need its packed form (like containerd's discard_unpacked_layers).
    const layers = await layerDigests(join(root, BLOBS));
    if (layers.length > 0) await ctr("content", "rm", ...layers);
  } finally {
    await end(daemon, 10_000);
    await endAll(config);
    await rm(folder, { recursive: true, force: true });
  }
}

/** The digests of all layers in the manifests among the blobs. */
async function layerDigests(blobs: string): Promise<readonly string[]> {
  const digests = new Set<string>();
  for (const name of await readdir(blobs)) {
    const text = await readSmall(join(blobs, name));
    if (!text.startsWith("{")) continue;
    const manifest = JSON.parse(text) as { layers?: { digest: string }[] };
    for (const layer of manifest.layers ?? []) digests.add(layer.digest);
  }
  return [...digests];
}

/** The text of a small file; "" for a large one, and for one that containerd's own collector has removed meanwhile. */
async function readSmall(path: string): Promise<string> {
  try {
    return (await stat(path)).size > 1_000_000 ? "" : await readFile(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return "";
    throw error;
  }
}

/** Moves the layers' files out of containerd's folder, replaces them with links, and packs both. */
async function split(root: string, scratch: string, output: string): Promise<void> {
  const layers = join(scratch, LAYERS_FOLDER);
  await mkdir(layers, { recursive: true });
  for (const id of await readdir(join(root, SNAPSHOTS))) {
    const files = join(root, SNAPSHOTS, id, "fs");
    await refuseWhiteouts(files);
    await rename(files, join(layers, id));
    await symlink(`/${LAYERS_FOLDER}/${id}`, files);
  }
  for (const digest of await readdir(join(root, BLOBS))) {
    const path = join(root, BLOBS, digest);
    if ((await stat(path)).size > 1_000_000) await rm(path);
  }
  await pack(scratch, ["kind"], join(output, "layers.tar"));
  await pack(scratch, ["var"], join(output, "images.tar"));
}

/**
 * The layers become part of the node's own image, where a whiteout (an overlay's mark of a deleted file) would delete
 * a file of the node.
 *
 * @throws ChaosError when a layer has a whiteout: a Dockerfile must not delete files of an earlier layer.
 */
async function refuseWhiteouts(layer: string): Promise<void> {
  const devices = ["-type", "c", "-exec", "stat", "--format=%t:%T /%n", "{}", "+"];
  const found = await run("find", [layer, ...devices], { timeoutMs: 60_000 });
  const deleted = found.stdout.split("\n").filter((line) => line.startsWith("0:0 "));
  if (deleted.length > 0) {
    throw new ChaosError(
      `an image deletes files of the image it is built from: ${deleted.join(", ")}. ` +
        "The lab's images may only add files. Exclude these files in the image that adds them.",
    );
  }
}

async function pack(folder: string, names: readonly string[], archive: string): Promise<void> {
  await run("tar", ["--xattrs", "--xattrs-include=*", "-C", folder, "-cf", archive, ...names], {
    timeoutMs: 300_000,
  });
}
