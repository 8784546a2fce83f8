import { join } from "node:path";
import { ChaosError } from "../common/errors.js";
import type { Progress } from "../common/progress.js";
import { Apt } from "./apt.js";
import { pendingSteps, performAll, removeForgotten, type Step, type StepResult } from "./build-plan.js";
import { run } from "./command.js";
import { GO_MODULES } from "./go-modules.js";
import {
  buildImage,
  buildNodeImage,
  importRootfs,
  removeForgottenImages,
  type BuildContext,
  type BuiltImage,
  type ImageParts,
} from "./image-build.js";
import { IMAGES } from "./images.js";
import type { Machine } from "./machine-checks.js";
import type { LabPaths } from "./paths.js";
import { chooseGo, goModuleStep } from "./steps/go.js";
import { LAYERS, layersStep } from "./steps/layers.js";
import { baseRootfsStep, nodeRootfsStep, packagesStep } from "./steps/rootfs.js";
import { debianGoStep, toolsIn, toolsStep, type Tools } from "./steps/tools.js";
import { KUBERNETES, NODE_IMAGE } from "./versions.js";

/** The parts of the cluster, all in the cache or in the lab's engine. */
export interface Built {
  readonly nodeImage: string;
  /** The names of the images on the nodes. */
  readonly images: readonly string[];
  /** kind's program. */
  readonly kind: string;
  /** The folder with kubectl. */
  readonly kubernetes: string;
}

/** What is built before the engine runs: the tools, every Go program, the root file systems, the packages. */
export interface Parts {
  readonly tools: Tools;
  readonly base: StepResult;
  readonly nodeSystem: StepResult;
  readonly images: ImageParts;
}

/** Builds what needs no engine, or finds it in the cache. */
export async function buildParts(paths: LabPaths, machine: Machine, progress: Progress): Promise<Parts> {
  const apt = new Apt(paths);
  const tools = toolsStep(apt, machine);
  const go = await chooseGo(paths, machine, debianGoStep(apt, machine));
  const modules = new Map<string, Step>();
  for (const module of GO_MODULES) modules.set(module.name, await goModuleStep(paths, machine, module, go));
  const system = { apt, machine, toolsStep: tools };
  const [base, node] = [baseRootfsStep(system), nodeRootfsStep(system)];
  const packages = new Map<string, Step>();
  for (const { tags, packages: wanted } of IMAGES) {
    const name = /([^/:]+)(:[^/]*)?$/.exec(tags[0])?.[1] ?? tags[0];
    if (wanted !== undefined) packages.set(tags[0], packagesStep(apt, name, wanted, base));
  }
  const all = [tools, ...modules.values(), base, node, ...packages.values()];
  const place = await performAll(paths.steps, all, progress);
  const planned = pendingSteps(all, () => false).map(({ name }) => name);
  await removeForgotten(paths.steps, new Set([...planned, LAYERS]));
  const results = (steps: ReadonlyMap<string, Step>): Map<string, StepResult> =>
    new Map([...steps].map(([name, step]) => [name, place(step)]));
  return {
    tools: toolsIn(place(tools).folder, machine),
    base: place(base),
    nodeSystem: place(node),
    images: { modules: results(modules), packages: results(packages) },
  };
}

/** Builds the images up to that of the nodes, or finds them in the engine. */
export async function buildImages(context: BuildContext, parts: Parts): Promise<Built> {
  const { paths, engine, progress } = context;
  const { modules } = parts.images;
  const kubernetes = modules.get("kubernetes")?.folder ?? "";
  const built: BuiltImage[] = [await importRootfs(context, "base", parts.base)];
  for (const image of IMAGES) {
    built.push(await buildImage(context, image, parts.images, built));
  }
  const images = built.filter((image) => !image.parentOnly);
  const names = images.flatMap((image) => image.tags);
  await checkImageNames(kubernetes, names);
  const containerd = modules.get("containerd");
  if (containerd === undefined) throw new ChaosError("containerd was not built");
  const layers = layersStep({ engine, paths, tools: parts.tools, containerd, images });
  const place = await performAll(paths.steps, [layers], progress);
  const system = await importRootfs(context, "node-rootfs", parts.nodeSystem);
  const node = { system, modules, layers: place(layers) };
  const nodeImage = await buildNodeImage(context, node);
  const all = [...built, system].flatMap(({ tags }) => [...tags]);
  await removeForgottenImages(context, [...all, nodeImage, NODE_IMAGE]);
  return { nodeImage, images: names, kubernetes, kind: join(modules.get("kind")?.folder ?? "", "kind") };
}

/**
 * @throws ChaosError when kubeadm wants an image that is not built: without a registry the node would wait for it.
 */
async function checkImageNames(kubernetes: string, names: readonly string[]): Promise<void> {
  const listed = await run(
    join(kubernetes, "kubeadm"),
    ["config", "images", "list", "--kubernetes-version", `v${KUBERNETES}`],
    { timeoutMs: 60_000 },
  );
  const missing = listed.stdout.split("\n").filter((name) => name !== "" && !names.includes(name));
  if (missing.length === 0) return;
  throw new ChaosError(
    `kubeadm ${KUBERNETES} wants images that the lab does not build: ${missing.join(", ")}. ` +
      "Set their tags in src/lab/versions.ts.",
  );
}
