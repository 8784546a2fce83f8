import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { Progress } from "../common/progress.js";
import { ask } from "./command.js";
import type { Engine } from "./engine.js";
import { KEY_LABEL, LAB_PREFIX } from "./image-folder.js";
import { copyInto, dockerBuild, prepareContext, type BuiltImage } from "./images.js";
import { hashOfFiles, keyOf } from "./keys.js";
import type { LabPaths } from "./paths.js";
import type { StepResult } from "./build-plan.js";
import { KUBERNETES_VERSION } from "./steps/kubernetes.js";

export interface NodeParts {
  readonly system: BuiltImage;
  readonly kindFiles: StepResult;
  readonly kubernetes: StepResult;
  readonly layers: StepResult;
}

/** Builds the image of kind's nodes unless the engine has it. @returns its name. */
export async function buildNodeImage(
  engine: Engine,
  paths: LabPaths,
  parts: NodeParts,
  progress: Progress,
): Promise<string> {
  const assets = join(paths.assets, "node");
  const key = keyOf({
    version: 1,
    kubernetes: [KUBERNETES_VERSION, parts.kubernetes.key],
    system: parts.system.key,
    files: [parts.kindFiles.key, parts.layers.key, await hashOfFiles(assets)],
  });
  const repository = `${LAB_PREFIX}node`;
  const tag = `${repository}:${KUBERNETES_VERSION}-${key}`;
  const existing = await ask(engine.client, ["image", "inspect", tag], {
    timeoutMs: 30_000,
    env: engine.env,
  });
  if (existing.exitCode === 0) return tag;
  await progress.step("Building the image of the nodes", async (note) => {
    await removeOlder(engine, repository);
    note("collecting");
    const context = await prepareContext(paths, "node", assets);
    await copyInto(parts.kindFiles.folder, join(context, "kind"));
    await mkdir(join(context, "bin"));
    for (const name of ["kubeadm", "kubelet", "kubectl"]) {
      await copyInto(join(parts.kubernetes.folder, name), join(context, "bin", name));
    }
    for (const name of ["layers.tar", "images.tar"]) {
      await copyInto(join(parts.layers.folder, name), join(context, name));
    }
    note("building");
    await dockerBuild(engine, context, {
      tags: [tag],
      labels: { [KEY_LABEL]: key },
      buildArgs: { KUBERNETES_VERSION },
    });
  });
  return tag;
}

/** Removes node images that were built from other inputs: they are large. */
async function removeOlder(engine: Engine, repository: string): Promise<void> {
  const listed = await ask(engine.client, ["image", "ls", "--quiet", repository], {
    timeoutMs: 30_000,
    env: engine.env,
  });
  const ids = listed.stdout.split("\n").filter((id) => id !== "");
  const options = { timeoutMs: 120_000, env: engine.env };
  if (ids.length > 0) await ask(engine.client, ["image", "rm", "--force", ...ids], options);
  await ask(engine.client, ["image", "prune", "--force"], options);
}
