import { mkdir, readdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ChaosError } from "../common/errors.js";
import { ask, run } from "./command.js";
import type { LabPaths } from "./paths.js";

/** One line of `apt-get indextargets`: where an index comes from. */
export interface IndexTarget {
  readonly uri: string;
  readonly release: string;
}

/** How long fetched package lists count as fresh, ms. */
const LISTS_FRESH_MS = 60 * 60 * 1000;

const TARGET_FORMAT = "$(CREATED_BY)|$(REPO_URI)|$(RELEASE)|$(ORIGIN)";

/** Extracts Debian's own package indexes from the output of `apt-get indextargets` in TARGET_FORMAT. */
export function debianTargets(text: string): readonly IndexTarget[] {
  const targets: IndexTarget[] = [];
  for (const line of text.split("\n")) {
    const [createdBy, uri, release, origin] = line.split("|");
    if (createdBy !== "Packages" || uri === undefined || release === undefined || origin !== "Debian")
      continue;
    if (!targets.some((target) => target.uri === uri && target.release === release)) {
      targets.push({ uri, release });
    }
  }
  return targets;
}

/**
 * The source list of Debian 12, with the mirrors that this machine itself uses.
 *
 * @throws ChaosError when the machine has no mirror for Debian 12.
 */
export function sourceList(targets: readonly IndexTarget[]): string {
  const main = targets.find((target) => target.release === "bookworm");
  if (main === undefined) {
    throw new ChaosError(
      "apt has no mirror for Debian 12 (bookworm): `apt-get indextargets` lists none. " +
        "Run `apt-get update`, or add Debian's own archive to /etc/apt, and try again.",
    );
  }
  const suites = ["bookworm-updates", "bookworm-security"];
  const lines = [main, ...targets.filter(({ release }) => suites.includes(release))].map(
    ({ uri, release }) => `deb ${uri} ${release} main`,
  );
  return `${lines.join("\n")}\n`;
}

/**
 * apt with the lab's own lists, cache and sources. The machine's configuration (proxies, keys, mirrors) is read and
 * never written. Its pins and installed packages have no effect.
 */
export class Apt {
  readonly #paths: LabPaths;
  #updated: Promise<void> | undefined;

  constructor(paths: LabPaths) {
    this.#paths = paths;
  }

  /** The source list, for mmdebstrap. */
  async sources(): Promise<string> {
    await this.update();
    return sourceList(await this.#targets());
  }

  /**
   * Fetches the package lists unless they are fresh.
   *
   * @throws ChaosError when the mirror cannot be reached.
   */
  async update(): Promise<void> {
    await (this.#updated ??= this.#update());
  }

  async #update(): Promise<void> {
    const folder = this.#paths.apt;
    for (const name of ["lists/partial", "archives/partial"]) {
      await mkdir(join(folder, name), { recursive: true });
    }
    const list = join(folder, "sources.list");
    const stamp = join(folder, "updated");
    const age =
      Date.now() -
      (await stat(stamp).then(
        (info) => info.mtimeMs,
        () => 0,
      ));
    if (age > LISTS_FRESH_MS) {
      await writeFile(list, sourceList(await this.#targets()));
      await run("apt-get", [...this.#options(), "update", "--error-on=any"], {
        timeoutMs: 300_000,
        env: APT_ENV,
        advice: "The lab is built from Debian's archive. Check that this machine can reach its mirror.",
      });
      await writeFile(stamp, "");
    }
  }

  /** Downloads exactly these packages, without their dependencies, as .deb files into `folder`. */
  async download(packages: readonly string[], folder: string): Promise<readonly string[]> {
    await this.update();
    await run("apt-get", [...this.#options(), "download", ...packages], {
      timeoutMs: 900_000,
      cwd: folder,
      env: APT_ENV,
    });
    return await debFiles(folder);
  }

  /**
   * Downloads these packages and their dependencies that a root file system lacks, as .deb files into `folder`.
   * `status` is that file system's dpkg status file.
   */
  async downloadWithDependencies(
    packages: readonly string[],
    status: string,
    folder: string,
  ): Promise<readonly string[]> {
    await this.update();
    await mkdir(join(folder, "partial"), { recursive: true });
    const options = this.#options(status);
    options.push("-o", `Dir::Cache::archives=${folder}`, "-o", "APT::Keep-Downloaded-Packages=1");
    await run(
      "apt-get",
      [...options, "install", "--download-only", "--no-install-recommends", "--yes", ...packages],
      { timeoutMs: 900_000, env: APT_ENV },
    );
    return await debFiles(folder);
  }

  async #targets(): Promise<readonly IndexTarget[]> {
    const printed = await ask("apt-get", ["indextargets", "--format", TARGET_FORMAT], { timeoutMs: 60_000 });
    return debianTargets(printed.stdout);
  }

  #options(status = "/dev/null"): string[] {
    const folder = this.#paths.apt;
    const settings = {
      "Dir::State::Lists": join(folder, "lists"),
      "Dir::State::status": status,
      "Dir::Cache": folder,
      "Dir::Etc::SourceList": join(folder, "sources.list"),
      "Dir::Etc::SourceParts": "/dev/null",
      "Dir::Etc::Preferences": "/dev/null",
      "Dir::Etc::PreferencesParts": "/dev/null",
      // The files go into root's cache, where apt's unprivileged helper cannot write.
      "APT::Sandbox::User": "root",
      "Acquire::Languages": "none",
      "Acquire::Retries": "3",
    };
    return ["-q", ...Object.entries(settings).flatMap(([name, value]) => ["-o", `${name}=${value}`])];
  }
}

const APT_ENV = { DEBIAN_FRONTEND: "noninteractive", LC_ALL: "C" } as const;

async function debFiles(folder: string): Promise<readonly string[]> {
  return (await readdir(folder))
    .filter((name) => name.endsWith(".deb"))
    .sort()
    .map((name) => join(folder, name));
}
