import type { SubstituteImage } from "../clusters/provider.js";
import { ask } from "./command.js";
import type { Engine } from "./engine.js";
import { STAND_IN_LABEL } from "./image-folder.js";
import type { Kubectl } from "./kubectl.js";

/** Where any runner can read which images of this cluster are not what their name says. */
const SUBSTITUTE_IMAGES = {
  name: "kube-system-chaos-stand-ins",
  namespace: "kube-public",
  key: "stand-ins.json",
};

/** The stand-ins out of lines "[names] label" of `docker image inspect`; without a label it is none. */
export function substituteImagesFrom(lines: string): readonly SubstituteImage[] {
  const standIns: SubstituteImage[] = [];
  for (const line of lines.split("\n").filter((each) => each.startsWith("["))) {
    const end = line.indexOf("] ");
    const description = line.slice(end + 2).trim();
    if (end < 0 || description === "" || description === "<no value>") continue;
    for (const image of JSON.parse(line.slice(0, end + 1)) as string[]) standIns.push({ image, description });
  }
  return standIns.sort((a, b) => (a.image < b.image ? -1 : 1));
}

/** Asks the engine which of these images are stand-ins; docker's short names are written out again. */
export async function readSubstituteImages(
  engine: Engine,
  images: readonly string[],
): Promise<readonly SubstituteImage[]> {
  const lines: string[] = [];
  for (const image of images) {
    const format = `{{index .Config.Labels "${STAND_IN_LABEL}"}}`;
    const answer = await ask(engine.client, ["image", "inspect", "--format", format, image], {
      timeoutMs: 30_000,
      env: engine.env,
    });
    if (answer.exitCode === 0) lines.push(`${JSON.stringify([image])} ${answer.stdout.trim()}`);
  }
  return substituteImagesFrom(lines.join("\n"));
}

/** Writes the list into the cluster. */
export async function publishSubstituteImages(
  kubectl: Kubectl,
  standIns: readonly SubstituteImage[],
): Promise<void> {
  const manifest = {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name: SUBSTITUTE_IMAGES.name, namespace: SUBSTITUTE_IMAGES.namespace },
    data: { [SUBSTITUTE_IMAGES.key]: JSON.stringify(standIns, null, 2) },
  };
  await kubectl.run(["apply", "-f", "-"], { timeoutMs: 30_000, input: JSON.stringify(manifest) });
}
