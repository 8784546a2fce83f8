import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Apt } from "../apt.js";
import { run } from "../command.js";
import type { Step } from "../build-plan.js";
import type { Machine } from "../machine-checks.js";
import { toolPath, toolsIn } from "./tools.js";
import { unpackDebs } from "./unpack.js";

/** Excludes documentation. Licences stay. */
const LEFT_OUT = ["man", "locale", "info", "lintian", "doc"].map(
  (name) => `path-exclude=/usr/share/${name}/*`,
);
const DPKG_OPTIONS = [...LEFT_OUT, "path-include=/usr/share/doc/*/copyright"];

/** The packages of a node in addition to the Go programs: kind's list, with Debian's names. */
const NODE_PACKAGES = [
  ...["systemd", "dbus", "runc", "libseccomp2"],
  ...["conntrack", "iptables", "nftables", "iproute2", "ethtool", "socat"],
  ...["util-linux", "mount", "kmod", "procps", "psmisc", "jq", "ca-certificates"],
];

interface RootfsParts {
  readonly apt: Apt;
  readonly toolsStep: Step;
  readonly machine: Machine;
}

/** Builds a Debian root file system as rootfs.tar, with its list of packages (dpkg's status file) as status. */
function rootfsStep(name: string, title: string, packages: readonly string[], parts: RootfsParts): Step {
  return {
    name,
    title,
    lane: "fetch",
    needs: [parts.toolsStep],
    seconds: 50,
    inputs: { version: 1, arch: parts.machine.architecture, packages, options: DPKG_OPTIONS },
    work: async ({ output, note, folderOf }) => {
      const tools = toolsIn(folderOf(parts.toolsStep), parts.machine);
      const sources = await parts.apt.sources();
      const rootfs = join(output, "rootfs.tar");
      const options = [
        "--mode=root",
        "--variant=essential",
        `--architectures=${parts.machine.architecture}`,
        '--aptopt=APT::Install-Recommends "false"',
        ...DPKG_OPTIONS.map((option) => `--dpkgopt=${option}`),
        ...(packages.length === 0 ? [] : [`--include=${packages.join(",")}`]),
      ];
      const scratch = await mkdtemp(join(output, "scratch-"));
      // Its mounts end with it, also when it is killed.
      const mmdebstrap = ["--mount", "perl", toolPath(tools, "mmdebstrap")];
      await run("unshare", [...mmdebstrap, ...options, "bookworm", rootfs, "-"], {
        timeoutMs: 1_200_000,
        input: sources,
        env: {
          ...tools.perlEnv,
          PATH: tools.env["PATH"] ?? "",
          TMPDIR: scratch,
        },
        onLine: (line) => note(line.replace(/^I: /, "").slice(0, 70)),
      });
      await rm(scratch, { recursive: true, force: true });
      await run("tar", ["-xf", rootfs, "-C", output, "--strip-components=4", "./var/lib/dpkg/status"], {
        timeoutMs: 120_000,
      });
    },
  };
}

/** The base system of every image that needs one. */
export function baseRootfsStep(parts: RootfsParts): Step {
  return rootfsStep("base-system", "Building the base system of the images", [], parts);
}

/** The system of the nodes. */
export function nodeRootfsStep(parts: RootfsParts): Step {
  return rootfsStep("node-system", "Building the system of the nodes", NODE_PACKAGES, parts);
}

/** Packages with the dependencies that the base system lacks, unpacked into the folder rootfs. */
export function packagesStep(apt: Apt, name: string, packages: readonly string[], base: Step): Step {
  return {
    name: `packages-${name}`,
    title: `Fetching Debian's packages for ${name}`,
    lane: "fetch",
    inputs: { version: 1, packages },
    needs: [base],
    seconds: 5,
    work: async ({ output, note, folderOf }) => {
      const debs = join(output, "debs");
      await mkdir(debs);
      note(packages.join(", "));
      const files = await apt.downloadWithDependencies(packages, join(folderOf(base), "status"), debs);
      await unpackDebs(files, join(output, "rootfs"));
      await rm(debs, { recursive: true });
    },
  };
}
