import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import { ChaosError } from "../common/errors.js";
import { hashOfFiles } from "./keys.js";

/** Images that only the lab knows, and that others are built from, are called so. */
export const LAB_PREFIX = "kube-system-chaos-lab/";

/** The label of an image that carries a public image's name and is not it. */
export const STAND_IN_LABEL = "kube-system-chaos.stand-in";
/** The label of an image that is the real thing, built from source. */
export const BUILT_FROM_LABEL = "kube-system-chaos.built-from";
/** The label that holds the key of what an image was made from. */
export const KEY_LABEL = "kube-system-chaos.key";

const imageFile = z.strictObject({
  /** The names the image carries; the first one is what other Dockerfiles say after FROM. */
  tags: z.array(z.string().min(1)).min(1),
  /** Debian packages; unpacked with what they need into rootfs/ beside the Dockerfile. */
  packages: z.array(z.string()).default([]),
  /** Kubernetes programs, put into bin/ beside the Dockerfile. */
  binaries: z.array(z.string()).default([]),
  /** One of the project's Go programs (assets/programs), put into bin/. */
  program: z.string().optional(),
  /** Files of the Kubernetes source tree, by the place they have in the image; put below source/. */
  sourceFiles: z.record(z.string().regex(/^\//), z.string().regex(/^[^/]/)).default({}),
  /** What it really is, when its name is a public image's. */
  standIn: z.string().optional(),
  /** What it was built from, when it is the real thing. */
  builtFrom: z.string().optional(),
  /** Whether the nodes have it from the start. */
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
 * @throws ChaosError when one lacks its Dockerfile or its image.json is wrong.
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
      throw new ChaosError(`the image folder ${place} is not complete`, { cause: error });
    }
  }
  return inBuildOrder(images);
}

/**
 * Sorts images so that each comes after the one it is built from.
 *
 * @throws ChaosError when one is built from an image that no folder makes, or in a circle.
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
      throw new ChaosError(`no image folder makes what these are built from: ${names}`);
    }
    for (const image of next) image.tags.forEach((tag) => done.add(tag));
    sorted.push(...next);
    waiting = waiting.filter((image) => !next.includes(image));
  }
  return sorted;
}
