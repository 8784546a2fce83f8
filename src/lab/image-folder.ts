import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import { ChaosError } from "../common/errors.js";
import { hashOfFiles } from "./keys.js";

/** The name prefix of images that exist only in the lab and that other images are built from. */
export const LAB_PREFIX = "kube-system-chaos-lab/";

/** The label of a substitute image: an own image under a public image's name. */
export const SUBSTITUTE_IMAGE_LABEL = "kube-system-chaos.stand-in";
/** The label of the original image, built from its source. */
export const BUILT_FROM_LABEL = "kube-system-chaos.built-from";
/** The label with the key of everything that an image was built from. */
export const KEY_LABEL = "kube-system-chaos.key";

const imageFile = z.strictObject({
  /** The image's names. Other Dockerfiles use the first one after FROM. */
  tags: z.array(z.string().min(1)).min(1),
  /** Debian packages, unpacked with their dependencies into rootfs/ next to the Dockerfile. */
  packages: z.array(z.string()).default([]),
  /** Kubernetes programs, copied into bin/ next to the Dockerfile. */
  binaries: z.array(z.string()).default([]),
  /** One of the project's Go programs (assets/programs), copied into bin/. */
  program: z.string().optional(),
  /** Files of the Kubernetes source tree, keyed by their path in the image, copied below source/. */
  sourceFiles: z.record(z.string().regex(/^\//), z.string().regex(/^[^/]/)).default({}),
  /** For a substitute image: what it really is. */
  standIn: z.string().optional(),
  /** For an original image: what it was built from. */
  builtFrom: z.string().optional(),
  /** Whether the nodes have the image from the start. */
  preload: z.boolean().default(true),
});

/** One folder of assets/images: an image of the lab. */
export interface ImageFolder extends z.infer<typeof imageFile> {
  readonly name: string;
  readonly folder: string;
  /** The image named after FROM; undefined for FROM scratch. */
  readonly parent: string | undefined;
  /** The hash of the folder's files. */
  readonly hash: string;
}

/** The image that a Dockerfile starts from; undefined for scratch. */
export function parentOf(dockerfile: string): string | undefined {
  const from = /^FROM\s+(\S+)/m.exec(dockerfile)?.[1];
  return from === "scratch" ? undefined : from;
}

/**
 * Reads every image folder.
 *
 * @throws ChaosError when a folder has no Dockerfile, or its image.json is invalid.
 */
export async function readImageFolders(folder: string): Promise<readonly ImageFolder[]> {
  const images: ImageFolder[] = [];
  const entries = await readdir(folder, { withFileTypes: true });
  for (const entry of entries.filter((each) => each.isDirectory())) {
    const place = join(folder, entry.name);
    try {
      const parsed = imageFile.parse(JSON.parse(await readFile(join(place, "image.json"), "utf8")));
      const parent = parentOf(await readFile(join(place, "Dockerfile"), "utf8"));
      images.push({ ...parsed, name: entry.name, folder: place, parent, hash: await hashOfFiles(place) });
    } catch (error) {
      throw new ChaosError(`the image folder ${place} is incomplete or its image.json is invalid`, {
        cause: error,
      });
    }
  }
  return inBuildOrder(images);
}

/**
 * Sorts images so that each comes after the one it is built from.
 *
 * @throws ChaosError when an image is built from one that no folder builds, or the images form a cycle.
 */
export function inBuildOrder<T extends { name: string; tags: readonly string[]; parent: string | undefined }>(
  images: readonly T[],
): readonly T[] {
  const base = `${LAB_PREFIX}base`;
  const done = new Set<string>([base]);
  const sorted: T[] = [];
  let waiting = [...images].sort((a, b) => (a.name < b.name ? -1 : 1));
  while (waiting.length > 0) {
    const next = waiting.filter(({ parent }) => parent === undefined || done.has(parent));
    if (next.length === 0) {
      const names = waiting.map(({ name, parent }) => `${name} (FROM ${parent ?? "scratch"})`).join(", ");
      throw new ChaosError(`no image folder builds the base of these images: ${names}`);
    }
    for (const image of next) image.tags.forEach((tag) => done.add(tag));
    sorted.push(...next);
    waiting = waiting.filter((image) => !next.includes(image));
  }
  return sorted;
}
