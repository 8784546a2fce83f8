import { readFile } from "node:fs/promises";
import { RefusedError } from "../common/errors.js";
import { ask } from "./command.js";

/** What the lab needs to know about the machine it runs on. */
export interface Machine {
  /** Debian's name of the processor family. */
  readonly architecture: "amd64" | "arm64";
  /** The folder name of its libraries, below /usr/lib. */
  readonly triple: string;
}

export interface MachineFacts {
  readonly platform: string;
  readonly uid: number;
  /** The text of /etc/os-release, empty when there is none. */
  readonly osRelease: string;
  readonly arch: string;
}

const TRIPLES = { amd64: "x86_64-linux-gnu", arm64: "aarch64-linux-gnu" } as const;

/** The value of a name in an os-release file, without quotes; undefined: the file does not have it. */
function osReleaseValue(text: string, name: string): string | undefined {
  const line = text.split("\n").find((each) => each.startsWith(`${name}=`));
  return line?.slice(name.length + 1).replace(/^"(.*)"$/, "$1");
}

/**
 * Decides from the facts whether the lab can run on this machine.
 *
 * @throws RefusedError that says what is needed and what was found. Nothing was changed.
 */
export function machineFrom(facts: MachineFacts): Machine {
  const alternative =
    "Use the kind provider (an installed Docker or Podman and kind), or the current context.";
  const id = osReleaseValue(facts.osRelease, "ID") ?? facts.platform;
  const version = osReleaseValue(facts.osRelease, "VERSION_ID") ?? "unknown";
  if (facts.platform !== "linux" || id !== "debian" || version !== "12") {
    throw new RefusedError(`the lab needs Debian 12; this machine is ${id} ${version}. ${alternative}`);
  }
  if (facts.uid !== 0) {
    throw new RefusedError(
      `the lab needs root, because it starts its own container engine; this is user ${facts.uid}. Run it as root. ${alternative}`,
    );
  }
  const architecture = facts.arch === "x64" ? "amd64" : facts.arch;
  if (architecture !== "amd64" && architecture !== "arm64") {
    throw new RefusedError(
      `the lab needs an amd64 or arm64 machine; this one is ${facts.arch}. ${alternative}`,
    );
  }
  return { architecture, triple: TRIPLES[architecture] };
}

/**
 * Checks this machine.
 *
 * @throws RefusedError when this is not Debian 12 with root's rights, or a base tool is missing.
 */
export async function examineMachine(): Promise<Machine> {
  const osRelease = await readFile("/etc/os-release", "utf8").catch(() => "");
  const machine = machineFrom({
    platform: process.platform,
    uid: process.getuid?.() ?? -1,
    osRelease,
    arch: process.arch,
  });
  for (const tool of ["apt-get", "dpkg-deb", "perl", "tar", "cp", "gzip"]) {
    const found = await ask(tool, ["--version"], { timeoutMs: 10_000 });
    if (found.exitCode !== 0) {
      throw new RefusedError(
        `the lab needs "${tool}": it was not found on PATH, although Debian 12 includes it. Install it and try again.`,
      );
    }
  }
  return machine;
}
