import { mkdir, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { ChaosError } from "../common/errors.js";
import type { Progress } from "../common/progress.js";
import type { StepResult } from "./build-plan.js";
import { ask, run } from "./command.js";
import type { Engine } from "./engine.js";
import { dockerfile, LAB_PREFIX, type Image } from "./images.js";
import { hashOfFiles, keyOf } from "./keys.js";
import type { LabPaths } from "./paths.js";
import { KUBERNETES, NODE_IMAGE } from "./versions.js";

/** The label of a substitute image: an own image under a public image's name. */
export const SUBSTITUTE_IMAGE_LABEL = "kube-system-chaos.stand-in";
/** The label of the original image, built from its source. */
const BUILT_FROM_LABEL = "kube-system-chaos.built-from";
/** The label with the key of everything that an image was built from. */
const KEY_LABEL = "kube-system-chaos.key";

/** An image in the lab's engine, and the key of everything that it was built from. */
export interface BuiltImage {
  readonly tags: readonly string[];
  readonly key: string;
  readonly parentOnly: boolean;
}

/** What every build needs. */
export interface BuildContext {
  readonly engine: Engine;
  readonly paths: LabPaths;
  readonly progress: Progress;
}

/** The results of the build steps that images are made from. */
export interface ImageParts {
  /** By the name of the Go module. */
  readonly modules: ReadonlyMap<string, StepResult>;
  /** By the first tag of the image. */
  readonly packages: ReadonlyMap<string, StepResult>;
}

/** The key of an image; "" when the engine does not have it under each of its names. */
async function keyInEngine(engine: Engine, tags: readonly string[]): Promise<string> {
  const format = `{{index .Config.Labels "${KEY_LABEL}"}}`;
  const answer = await ask(engine.client, ["image", "inspect", "--format", format, ...tags], {
    timeoutMs: 30_000,
    env: engine.env,
  });
  const keys = new Set(answer.stdout.trim().split("\n"));
  return answer.exitCode === 0 && keys.size === 1 ? ([...keys][0] ?? "") : "";
}

/** Imports a root file system into the engine as the image kube-system-chaos-lab/NAME. */
export async function importRootfs(
  { engine, progress }: BuildContext,
  name: string,
  rootfs: StepResult,
): Promise<BuiltImage> {
  const tag = `${LAB_PREFIX}${name}`;
  const image = { tags: [tag], key: keyOf({ version: 1, rootfs: rootfs.key }), parentOnly: true };
  if ((await keyInEngine(engine, [tag])) === image.key) return image;
  await progress.step(`Importing the image ${tag}`, async () => {
    const label = `LABEL ${KEY_LABEL}=${image.key}`;
    const path = "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    await engine.docker(
      ["import", "--change", label, "--change", path, join(rootfs.folder, "rootfs.tar"), tag],
      { timeoutMs: 300_000 },
    );
  });
  return image;
}

/** A path in an image, the file or folder that is copied there, and its key. */
interface ImageFile {
  readonly to: string;
  readonly from: string;
  readonly key: string;
}

/** A file of a module's result, named "module/file". */
function moduleFile(modules: ImageParts["modules"], name: string, below = "."): Omit<ImageFile, "to"> {
  const [module = "", file = ""] = name.split("/");
  const found = modules.get(module);
  if (found === undefined) throw new ChaosError(`cannot build an image: no Go module is named ${module}`);
  return { from: join(found.folder, below, file), key: found.key };
}

/** The files of an image. */
async function filesOf(paths: LabPaths, image: Image, parts: ImageParts): Promise<ImageFile[]> {
  const files: ImageFile[] = [];
  const packages = parts.packages.get(image.tags[0]);
  if (packages !== undefined) {
    files.push({ to: "/", from: `${join(packages.folder, "rootfs")}/.`, key: packages.key });
  }
  for (const [to, name] of Object.entries(image.programs ?? {})) {
    files.push({ to, ...moduleFile(parts.modules, name) });
  }
  for (const [to, name] of Object.entries(image.sources ?? {})) {
    files.push({ to, ...moduleFile(parts.modules, name, "source") });
  }
  for (const [to, name] of Object.entries(image.assets ?? {})) {
    const from = join(paths.assets, name);
    files.push({ to, from, key: await hashOfFiles(from) });
  }
  return files;
}

/** Builds an image unless the engine has it. `parents`: the images that are there already. */
export async function buildImage(
  { engine, paths, progress }: BuildContext,
  image: Image,
  parts: ImageParts,
  parents: readonly BuiltImage[],
): Promise<BuiltImage> {
  const text = dockerfile(image);
  const files = await filesOf(paths, image, parts);
  // Every image that the Dockerfile names, by FROM or by COPY --from.
  const before = parents.filter(({ tags }) => tags.some((tag) => text.includes(tag)));
  const key = keyOf({
    version: 1,
    dockerfile: text,
    files: files.map((each) => ({ to: each.to, key: each.key })),
    parents: before.map((each) => each.key),
    labels: [image.standIn ?? "", image.builtFrom ?? ""],
  });
  const done: BuiltImage = { tags: image.tags, key, parentOnly: image.parentOnly ?? false };
  if ((await keyInEngine(engine, image.tags)) === key) return done;
  await progress.step(`Building the image ${image.tags[0]}`, async () => {
    const context = await newContext(paths, "image");
    for (const { to, from } of files) await copyInto(from, join(context, "files", to));
    await writeFile(join(context, "Dockerfile"), text);
    // A child of a substitute image would inherit its labels. Empty labels override them.
    const labels = {
      [KEY_LABEL]: key,
      [SUBSTITUTE_IMAGE_LABEL]: image.standIn ?? "",
      [BUILT_FROM_LABEL]: image.builtFrom ?? "",
    };
    await dockerBuild(engine, context, { tags: image.tags, labels });
  });
  return done;
}

/** What the image of the nodes is made from. */
export interface NodeParts {
  readonly system: BuiltImage;
  readonly modules: ReadonlyMap<string, StepResult>;
  readonly layers: StepResult;
}

/** The programs of a node, by their folder. */
const NODE_PROGRAMS = {
  "usr/local/bin": ["containerd/containerd", "containerd/containerd-shim-runc-v2", "containerd/ctr"],
  "usr/bin": ["kubernetes/kubeadm", "kubernetes/kubelet", "kubernetes/kubectl"],
  "opt/cni/bin": ["cni-plugins/host-local", "cni-plugins/loopback", "cni-plugins/ptp", "cni-plugins/portmap"],
} as const;

/**
 * Builds the image of kind's nodes unless the engine has it, and gives it the public image's name beside its own.
 *
 * @returns the lab's own name for it, which holds its key.
 */
export async function buildNodeImage(
  { engine, paths, progress }: BuildContext,
  parts: NodeParts,
): Promise<string> {
  const assets = join(paths.assets, "node");
  const kindFiles = moduleFile(parts.modules, "kind/kind-files", "source");
  const programs = Object.entries(NODE_PROGRAMS).flatMap(([place, names]) =>
    names.map((name) => ({ to: join(place, basename(name)), ...moduleFile(parts.modules, name) })),
  );
  const key = keyOf({
    version: 2,
    programs: programs.map((each) => ({ to: each.to, key: each.key })),
    files: [kindFiles.key, parts.system.key, parts.layers.key, await hashOfFiles(assets)],
  });
  const repository = `${LAB_PREFIX}node`;
  const tag = `${repository}:v${KUBERNETES}-${key}`;
  if ((await keyInEngine(engine, [tag, NODE_IMAGE])) === key) return tag;
  await progress.step("Building the image of the nodes", async (note) => {
    note("collecting");
    const context = await newContext(paths, "node");
    await copyInto(`${assets}/.`, context);
    await copyInto(`${kindFiles.from}/.`, join(context, "files"));
    for (const { to, from } of programs) await copyInto(from, join(context, "files", to));
    for (const name of ["layers.tar", "images.tar"]) {
      await copyInto(join(parts.layers.folder, name), join(context, name));
    }
    note("building");
    await dockerBuild(engine, context, { tags: [tag, NODE_IMAGE], labels: { [KEY_LABEL]: key } });
  });
  return tag;
}

/** Removes the images that the lab has built and that none of these names means: of older versions and inputs. */
export async function removeForgottenImages(
  { engine }: Pick<BuildContext, "engine">,
  names: readonly string[],
): Promise<void> {
  const options = { timeoutMs: 120_000, env: engine.env };
  const format = "{{.Repository}}:{{.Tag}}";
  const listed = await ask(
    engine.client,
    ["image", "ls", "--filter", `label=${KEY_LABEL}`, "--format", format],
    options,
  );
  const kept = new Set(names.map(withTag));
  const old = listed.stdout.split("\n").filter((name) => name !== "" && !kept.has(withTag(name)));
  const named = old.filter((name) => !name.includes("<none>"));
  if (named.length > 0) await ask(engine.client, ["image", "rm", "--force", ...named], options);
  if (old.length > 0) await ask(engine.client, ["image", "prune", "--force"], options);
}

/** The name as the engine lists it: without Docker's own registry, with a tag. */
function withTag(name: string): string {
  const short = name.replace(/^docker\.io\/(library\/)?/, "");
  return /:[^/]+$/.test(short) ? short : `${short}:latest`;
}

/** An empty folder for a build context. */
async function newContext(paths: LabPaths, name: string): Promise<string> {
  const context = join(paths.cache, "contexts", name);
  await rm(context, { recursive: true, force: true });
  await mkdir(join(context, "files"), { recursive: true });
  return context;
}

/** Copies a file or a folder (its contents, when `from` ends with "/.") with owners and links, sharing blocks where the file system can. */
async function copyInto(from: string, to: string): Promise<void> {
  await mkdir(from.endsWith("/.") ? to : dirname(to), { recursive: true });
  await run("cp", ["-a", "--reflink=auto", from, to], { timeoutMs: 300_000 });
}

/** Builds an image from a context and removes the context. The image gets its names only when it is complete. */
async function dockerBuild(
  engine: Engine,
  context: string,
  options: { readonly tags: readonly string[]; readonly labels: Readonly<Record<string, string>> },
): Promise<void> {
  const flags = ["--force-rm", "--no-cache", "--network=none", "--quiet"];
  for (const tag of options.tags) flags.push("--tag", tag);
  for (const [name, value] of Object.entries(options.labels)) flags.push("--label", `${name}=${value}`);
  await engine.docker(["build", ...flags, context], { timeoutMs: 900_000 });
  await rm(context, { recursive: true, force: true });
}
