import { cp, mkdir, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Progress } from "../common/progress.js";
import type { Engine } from "./engine.js";
import {
  BUILT_FROM_LABEL,
  KEY_LABEL,
  LAB_PREFIX,
  SUBSTITUTE_IMAGE_LABEL,
  type ImageFolder,
} from "./image-folder.js";
import { ask, run } from "./command.js";
import { keyOf } from "./keys.js";
import type { LabPaths } from "./paths.js";
import type { StepResult } from "./build-plan.js";
import { sourceTree } from "./steps/kubernetes.js";

/** An image in the lab's engine, and the key of everything that it was built from. */
export interface BuiltImage {
  readonly tags: readonly string[];
  readonly key: string;
  readonly preload: boolean;
}

/** The parts of an image in addition to its own folder. */
export interface ImageParts {
  /** Unpacked Debian packages (a folder with rootfs/). */
  readonly packages?: StepResult;
  /** The Kubernetes programs. */
  readonly kubernetes?: StepResult;
  /** The folder with the Go program. */
  readonly program?: StepResult;
  /** The Kubernetes source. */
  readonly source?: StepResult;
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
  engine: Engine,
  name: string,
  rootfs: StepResult,
  progress: Progress,
): Promise<BuiltImage> {
  const tags = [`${LAB_PREFIX}${name}`];
  const image = { tags, key: keyOf({ version: 1, rootfs: rootfs.key }), preload: false };
  if ((await keyInEngine(engine, tags)) === image.key) return image;
  await progress.step(`Importing the image ${tags[0] ?? name}`, async () => {
    const label = `LABEL ${KEY_LABEL}=${image.key}`;
    const path = "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    await engine.docker(
      ["import", "--change", label, "--change", path, join(rootfs.folder, "rootfs.tar"), tags[0] ?? name],
      { timeoutMs: 300_000 },
    );
  });
  return image;
}

/** The key of everything that an image is built from. */
export function imageKey(
  image: Pick<ImageFolder, "hash">,
  parts: ImageParts & { readonly parentKey: string },
): string {
  const { packages, kubernetes, program, source } = parts;
  return keyOf({
    version: 1,
    folder: image.hash,
    parent: parts.parentKey,
    parts: [packages, kubernetes, program, source].map((part) => part?.key ?? ""),
  });
}

/** Builds one image folder's image unless the engine has it. */
export async function buildImage(
  engine: Engine,
  paths: LabPaths,
  image: ImageFolder,
  parts: ImageParts & { readonly parentKey: string },
  progress: Progress,
): Promise<BuiltImage> {
  const { packages, kubernetes, program, source } = parts;
  const key = imageKey(image, parts);
  const built = { tags: image.tags, key, preload: image.preload };
  if ((await keyInEngine(engine, image.tags)) === key) return built;
  await progress.step(`Building the image ${image.tags[0] ?? image.name}`, async () => {
    const context = await prepareContext(paths, image.name, image.folder);
    if (packages !== undefined) await copyInto(join(packages.folder, "rootfs"), join(context, "rootfs"));
    if (kubernetes !== undefined || program !== undefined) await mkdir(join(context, "bin"));
    for (const name of kubernetes === undefined ? [] : image.binaries) {
      await copyInto(join(kubernetes?.folder ?? "", name), join(context, "bin", name));
    }
    if (program !== undefined && image.program !== undefined) {
      await copyInto(join(program.folder, image.program), join(context, "bin", image.program));
    }
    if (source !== undefined) {
      await copySourceFiles(sourceTree(source.folder), image.sourceFiles, join(context, "source"));
    }
    const labels: Record<string, string> = { [KEY_LABEL]: key };
    // A child of a substitute image would inherit its labels. Empty labels override them.
    labels[SUBSTITUTE_IMAGE_LABEL] = image.standIn ?? "";
    labels[BUILT_FROM_LABEL] = image.builtFrom ?? "";
    await dockerBuild(engine, context, { tags: image.tags, labels });
  });
  return built;
}

/** Copies files of the source tree to their paths in the image, below a folder of the context. */
export async function copySourceFiles(
  tree: string,
  files: Readonly<Record<string, string>>,
  folder: string,
): Promise<void> {
  for (const [place, file] of Object.entries(files)) {
    const target = join(folder, place);
    await mkdir(dirname(target), { recursive: true });
    await copyInto(join(tree, file), target);
  }
}

/** Creates a build context with the files of an asset folder and nothing else. */
export async function prepareContext(paths: LabPaths, name: string, folder: string): Promise<string> {
  const context = join(paths.cache, "contexts", name);
  await rm(context, { recursive: true, force: true });
  await mkdir(join(paths.cache, "contexts"), { recursive: true });
  await cp(folder, context, { recursive: true });
  return context;
}

/** Copies a file or folder with its owners and links, sharing its blocks where the file system can. */
export async function copyInto(from: string, to: string): Promise<void> {
  await run("cp", ["-a", "--reflink=auto", from, to], { timeoutMs: 300_000 });
}

/** Builds an image from a context and removes the context. The image gets its names only when it is complete. */
export async function dockerBuild(
  engine: Engine,
  context: string,
  options: {
    readonly tags: readonly string[];
    readonly labels: Readonly<Record<string, string>>;
    readonly buildArgs?: Readonly<Record<string, string>>;
  },
): Promise<void> {
  const flags = ["--force-rm", "--no-cache", "--network=none", "--quiet"];
  for (const tag of options.tags) flags.push("--tag", tag);
  for (const [name, value] of Object.entries(options.labels)) flags.push("--label", `${name}=${value}`);
  for (const [name, value] of Object.entries(options.buildArgs ?? {})) {
    flags.push("--build-arg", `${name}=${value}`);
  }
  await engine.docker(["build", ...flags, context], { timeoutMs: 900_000 });
  await rm(context, { recursive: true, force: true });
}
