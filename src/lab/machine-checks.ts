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

/** The value of one name in an os-release file, without quotes; undefined when it is not there. */
function osReleaseValue(text: string, name: string): string | undefined {
  const line = text.split("\n").find((each) => each.startsWith(`${name}=`));
  return line?.slice(name.length + 1).replace(/^"(.*)"$/, "$1");
}

/**
 * Decides from facts whether the lab can run here.
 *
 * @throws RefusedError that says what was needed and what was found; nothing has been touched then.
 */
export function machineFrom(facts: MachineFacts): Machine {
  const other = "Use the kind provider (an installed Docker or Podman and kind), or the current context.";
  const id = osReleaseValue(facts.osRelease, "ID") ?? facts.platform;
  const version = osReleaseValue(facts.osRelease, "VERSION_ID") ?? "unknown";
  if (facts.platform !== "linux" || id !== "debian" || version !== "12") {
    throw new RefusedError(`the lab needs Debian 12; this machine is ${id} ${version}. ${other}`);
  }
  if (facts.uid !== 0) {
    throw new RefusedError(
      `the lab needs root: it starts a container engine of its own; this is user ${facts.uid}. Run it as root. ${other}`,
    );
  }
  const architecture = facts.arch === "x64" ? "amd64" : facts.arch;
  if (architecture !== "amd64" && architecture !== "arm64") {
    throw new RefusedError(`the lab needs an amd64 or arm64 machine; this one is ${facts.arch}. ${other}`);
  }
  return { architecture, triple: TRIPLES[architecture] };
}

/**
 * Looks at this machine.
 *
 * @throws RefusedError when it is not a Debian 12 machine with root's rights, or a base tool is missing.
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
        `the lab needs "${tool}", which every Debian 12 has; it was not found on PATH. Install it and try again.`,
      );
    }
  }
  return machine;
}
