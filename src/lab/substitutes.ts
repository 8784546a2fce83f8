import type { SubstituteImage } from "../clusters/provider.js";
import { ask } from "./command.js";
import type { Engine } from "./engine.js";
import { SUBSTITUTE_IMAGE_LABEL } from "./image-build.js";
import type { Kubectl } from "./kubectl.js";

/** The ConfigMap from which any runner reads the cluster's substitute images. */
const SUBSTITUTE_IMAGES = {
  name: "kube-system-chaos-stand-ins",
  namespace: "kube-public",
  key: "stand-ins.json",
};

/** Parses lines "[names] label" of `docker image inspect`. An image without a label is not a substitute image. */
export function substituteImagesFrom(lines: string): readonly SubstituteImage[] {
  const substitutes: SubstituteImage[] = [];
  for (const line of lines.split("\n").filter((each) => each.startsWith("["))) {
    const end = line.indexOf("] ");
    const description = line.slice(end + 2).trim();
    if (end < 0 || description === "" || description === "<no value>") continue;
    for (const image of JSON.parse(line.slice(0, end + 1)) as string[])
      substitutes.push({ image, description });
  }
  return substitutes.sort((a, b) => (a.image < b.image ? -1 : 1));
}

/** Asks the engine which of these images are substitute images. */
export async function readSubstituteImages(
  engine: Engine,
  images: readonly string[],
): Promise<readonly SubstituteImage[]> {
  const lines: string[] = [];
  for (const image of images) {
    const format = `{{index .Config.Labels "${SUBSTITUTE_IMAGE_LABEL}"}}`;
    const answer = await ask(engine.client, ["image", "inspect", "--format", format, image], {
      timeoutMs: 30_000,
      env: engine.env,
    });
    if (answer.exitCode === 0) lines.push(`${JSON.stringify([image])} ${answer.stdout.trim()}`);
  }
  return substituteImagesFrom(lines.join("\n"));
}

/** Publishes the list in the cluster. */
export async function publishSubstituteImages(
  kubectl: Kubectl,
  substitutes: readonly SubstituteImage[],
): Promise<void> {
  const manifest = {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name: SUBSTITUTE_IMAGES.name, namespace: SUBSTITUTE_IMAGES.namespace },
    data: { [SUBSTITUTE_IMAGES.key]: JSON.stringify(substitutes, null, 2) },
  };
  await kubectl.run(["apply", "-f", "-"], { timeoutMs: 30_000, input: JSON.stringify(manifest) });
}
