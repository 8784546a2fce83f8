import { createHash } from "node:crypto";
import { readdir, readFile, readlink, stat } from "node:fs/promises";
import { join } from "node:path";
import { shortHash } from "../common/hash.js";

/** Anything that decides a step's result. Compared as JSON. */
export type KeyInput =
  string | number | boolean | readonly KeyInput[] | { readonly [name: string]: KeyInput };

function canonical(input: KeyInput): string {
  if (Array.isArray(input)) return `[${(input as readonly KeyInput[]).map(canonical).join(",")}]`;
  if (typeof input === "object") {
    const object = input as { readonly [name: string]: KeyInput };
    const entries = Object.keys(object)
      .sort()
      .map((name) => `${JSON.stringify(name)}:${canonical(object[name] ?? "")}`);
    return `{${entries.join(",")}}`;
  }
  return JSON.stringify(input);
}

/** A short hash of a step's inputs. The order of an object's keys does not matter. */
export function keyOf(input: KeyInput): string {
  return shortHash(canonical(input));
}

/**
 * The hash of a file, or of all files below a folder: their names, contents and executable bits.
 * Times and owners do not count: a fresh checkout has the same hash.
 */
export async function hashOfFiles(path: string): Promise<string> {
  const hash = createHash("sha256");
  await addFiles(hash, path, "");
  return hash.digest("hex").slice(0, 16);
}

async function addFiles(hash: ReturnType<typeof createHash>, path: string, name: string): Promise<void> {
  const info = await stat(path);
  if (info.isDirectory()) {
    const entries = await readdir(path, { withFileTypes: true });
    entries.sort((a, b) => (a.name < b.name ? -1 : 1));
    for (const entry of entries) {
      const below = join(path, entry.name);
      const label = `${name}/${entry.name}`;
      if (entry.isSymbolicLink()) hash.update(`link ${label} ${await readlink(below)}\0`);
      else await addFiles(hash, below, label);
    }
    return;
  }
  const mode = (info.mode & 0o100) === 0 ? "file" : "program";
  hash.update(`${mode} ${name} ${info.size}\0`);
  hash.update(await readFile(path));
}
