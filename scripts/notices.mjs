/**
 * The licences of the packages in dist/: `THIRD_PARTY_NOTICES` beside the bundles, from what esbuild says that it bundled.
 * (A tool that reads package.json would list what is installed, and miss which parts are in the bundles.)
 */
import { readdir, readFile } from "node:fs/promises";
import { join, resolve } from "node:path";

/** @typedef {{ readonly name: string, readonly version: string, readonly licence: string, readonly text: string }} Notice */

/**
 * The packages that gave at least one byte to an output, each version once, sorted.
 *
 * @param {readonly import("esbuild").Metafile[]} metafiles
 * @returns {Promise<Notice[]>}
 * @throws Error when a package names no licence
 */
export async function bundledPackages(metafiles) {
  const folders = new Set();
  for (const { outputs } of metafiles)
    for (const { inputs } of Object.values(outputs))
      for (const [path, { bytesInOutput }] of Object.entries(inputs)) {
        const folder = /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1];
        if (folder !== undefined && bytesInOutput > 0) folders.add(resolve(folder));
      }
  const notices = await Promise.all([...folders].map(noticeOf));
  const byName = new Map(notices.map((each) => [`${each.name} ${each.version}`, each]));
  return [...byName.keys()].sort().flatMap((key) => byName.get(key) ?? []);
}

/** @param {readonly Notice[]} notices */
export function noticesText(notices) {
  const parts = notices.map(
    ({ name, version, licence, text }) => `${name} ${version}\nLicence: ${licence}\n\n${text}\n`,
  );
  const rule = `${"-".repeat(80)}\n`;
  return `The files in this folder contain parts of these packages.\n\n${rule}${parts.join(rule)}`;
}

/** @param {string} folder of the package @returns {Promise<Notice>} */
async function noticeOf(folder) {
  const { name, version, license, author, repository } = JSON.parse(
    await readFile(join(folder, "package.json"), "utf8"),
  );
  if (typeof license !== "string") throw new Error(`${folder}/package.json names no licence`);
  const files = (await readdir(folder)).filter((each) => /^(licen[cs]e|copying|notice)/i.test(each)).sort();
  const texts = await Promise.all(
    files.map(async (each) => (await readFile(join(folder, each), "utf8")).trim()),
  );
  // Some packages name their licence and have no file.
  const by = typeof author === "string" ? author : (author?.name ?? name);
  const from = typeof repository === "string" ? repository : (repository?.url ?? "");
  return { name, version, licence: license, text: texts.join("\n\n") || `Copyright ${by} ${from}`.trim() };
}
