import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { ChaosError } from "../common/errors.js";
import type { Progress } from "../common/progress.js";
import { Apt } from "./apt.js";
import type { Engine } from "./engine.js";
import { LAB_PREFIX, readImageFolders, type ImageFolder } from "./image-folder.js";
import { buildImage, importRootfs, type BuiltImage, type ImageParts } from "./images.js";
import { hashOfFiles } from "./keys.js";
import { buildNodeImage } from "./node-image.js";
import type { LabPaths } from "./paths.js";
import { perform, type Step, type StepResult } from "./build-plan.js";
import type { Machine } from "./machine-checks.js";
import { kindFilesStep } from "./steps/kind-files.js";
import { kubernetesBinariesStep, kubernetesSourceStep, programStep } from "./steps/kubernetes.js";
import { layersStep } from "./steps/layers.js";
import { baseRootfsStep, nodeRootfsStep, packagesStep } from "./steps/rootfs.js";
import { toolsIn, toolsStep, type Tools } from "./steps/tools.js";

/** The parts of the cluster, all in the cache or in the lab's engine. */
export interface Built {
  readonly nodeImage: string;
  /** The names of the images on the nodes. */
  readonly images: readonly string[];
  /** The folder with kubectl. */
  readonly kubernetes: string;
}

/** Unpacks the tools unless they are in the cache. Everything else needs them, and so does taking the lab down. */
export async function buildTools(
  paths: LabPaths,
  machine: Machine,
  progress: Progress,
): Promise<{ readonly tools: Tools; readonly step: StepResult }> {
  const step = await perform(paths.steps, toolsStep(new Apt(paths), machine), progress);
  return { tools: toolsIn(step.folder, machine), step };
}

/** Builds everything up to the node image, or finds it in the cache. The engine must be running. */
export async function buildAll(
  context: {
    readonly paths: LabPaths;
    readonly machine: Machine;
    readonly engine: Engine;
    readonly progress: Progress;
  },
  toolbox: { readonly tools: Tools; readonly step: StepResult },
): Promise<Built> {
  const { paths, machine, engine, progress } = context;
  const { tools } = toolbox;
  const apt = new Apt(paths);
  const done = async (step: Step): Promise<StepResult> => await perform(paths.steps, step, progress);
  const folders = await readImageFolders(join(paths.assets, "images"));

  const base = await done(baseRootfsStep({ apt, tools, machine }));
  const nodeSystem = await done(nodeRootfsStep({ apt, tools, machine }));
  const kindFiles = await done(kindFilesStep(apt));
  const packages = new Map<string, StepResult>();
  for (const { name, packages: wanted } of folders) {
    if (wanted.length > 0) packages.set(name, await done(packagesStep(apt, name, wanted, base)));
  }
  const source = await done(kubernetesSourceStep(apt, paths, tools, toolbox.step.key));
  const kubernetes = await done(kubernetesBinariesStep(paths, tools, source));
  const programs = new Map<string, StepResult>();
  for (const name of new Set(folders.flatMap((folder) => folder.program ?? []))) {
    const program = await describeProgram(paths, name);
    programs.set(name, await done(programStep(paths, tools, source, program)));
  }

  const built: BuiltImage[] = [await importRootfs(engine, "base", base, progress)];
  for (const folder of folders) {
    const parts: ImageParts & { parentKey: string } = {
      parentKey: parentKey(folder, built),
      ...optional("packages", packages.get(folder.name)),
      ...optional("kubernetes", folder.binaries.length > 0 ? kubernetes : undefined),
      ...optional("source", Object.keys(folder.sourceFiles).length > 0 ? source : undefined),
      ...optional("program", folder.program === undefined ? undefined : programs.get(folder.program)),
    };
    built.push(await buildImage(engine, paths, folder, parts, progress));
  }
  const layers = await done(layersStep(engine, paths, tools, built));
  const system = await importRootfs(engine, "node-rootfs", nodeSystem, progress);
  const nodeImage = await buildNodeImage(engine, paths, { system, kindFiles, kubernetes, layers }, progress);
  const images = built.filter((image) => image.preload).flatMap((image) => image.tags);
  return { nodeImage, images, kubernetes: kubernetes.folder };
}

function optional<K extends keyof ImageParts>(name: K, value: StepResult | undefined): ImageParts {
  return value === undefined ? {} : { [name]: value };
}

/** The key of the image that another one is built from. */
function parentKey(image: ImageFolder, built: readonly BuiltImage[]): string {
  if (image.parent === undefined) return "";
  const { parent } = image;
  const found = built.find(({ tags }) => tags.includes(parent));
  if (found === undefined)
    throw new ChaosError(`cannot build the image ${image.name}: its base ${parent} is not built yet`);
  return found.key;
}

async function describeProgram(
  paths: LabPaths,
  name: string,
): Promise<{ name: string; hash: string; files: string[] }> {
  const folder = join(paths.assets, "programs", name);
  const files = (await readdir(folder)).filter((file) => file.endsWith(".go")).sort();
  if (files.length === 0)
    throw new ChaosError(`${folder} has no Go files: the ${LAB_PREFIX} images need them`);
  return { name, hash: await hashOfFiles(folder), files: files.map((file) => join(folder, file)) };
}
