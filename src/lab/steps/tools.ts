import { mkdtemp, rm, symlink } from "node:fs/promises";
import { join } from "node:path";
import type { Apt } from "../apt.js";
import type { Step } from "../build-plan.js";
import type { Machine } from "../machine-checks.js";
import { unpackDebs } from "./unpack.js";

/**
 * The programs that the lab runs on the machine itself, with the libraries that a bare Debian 12 lacks. They are
 * unpacked into the cache and not installed: the system's package list does not change, no service is started, and
 * `down --purge` removes all of them.
 */
const PACKAGES = [
  // The engine and its parts.
  ...["docker.io", "containerd", "runc", "tini", "libdevmapper1.02.1", "libseccomp2"],
  ...["iptables", "libxtables12", "libip4tc2", "libip6tc2", "libnftnl11", "libmnl0"],
  ...["libnetfilter-conntrack3", "libnfnetlink0"],
  // mmdebstrap builds root file systems. It is a Perl program and needs modules that a minimal Debian lacks.
  ...["mmdebstrap", "perl-modules-5.36", "libperl5.36"],
];

/** Debian's Go, which can download a newer one. */
const GO_PACKAGES = ["golang-1.19-go", "golang-1.19-src"];

export function toolsStep(apt: Apt, machine: Machine): Step {
  const unpacked = unpackStep(apt, machine, "tools", "Unpacking the tools from Debian's packages", PACKAGES);
  return {
    ...unpacked,
    work: async (context) => {
      await unpacked.work(context);
      // An installation would link "iptables" to one of its variants. nf_tables is Debian's default.
      for (const name of ["iptables", "ip6tables"]) {
        for (const verb of ["", "-save", "-restore"]) {
          await symlink("xtables-nft-multi", join(context.output, "usr/sbin", `${name}${verb}`));
        }
      }
    },
  };
}

export function debianGoStep(apt: Apt, machine: Machine): Step {
  return unpackStep(apt, machine, "debian-go", "Unpacking Debian's Go", GO_PACKAGES);
}

/** Packages unpacked into the result's folder, without their dependencies. */
function unpackStep(
  apt: Apt,
  machine: Machine,
  name: string,
  title: string,
  packages: readonly string[],
): Step {
  return {
    name,
    title,
    lane: "fetch",
    inputs: { version: 2, arch: machine.architecture, packages },
    needs: [],
    seconds: 15,
    work: async ({ output, note }) => {
      const downloads = await mkdtemp(join(output, "debs-"));
      note("downloading");
      const debs = await apt.download(packages, downloads);
      note("unpacking");
      await unpackDebs(debs, output);
      await rm(downloads, { recursive: true });
    },
  };
}

/** The folder of the unpacked tools and the environment that they need. */
export interface Tools {
  readonly folder: string;
  /** For dockerd, containerd, iptables and the docker client: the paths of their libraries and of each other. */
  readonly env: Readonly<Record<string, string>>;
  /** For Perl programs: the path of modules that the system may lack. */
  readonly perlEnv: Readonly<Record<string, string>>;
}

export function toolsIn(folder: string, machine: Machine): Tools {
  const libraries = join(folder, "usr/lib", machine.triple);
  const path = [join(folder, "usr/sbin"), join(folder, "usr/bin")];
  return {
    folder,
    env: {
      PATH: [...path, process.env["PATH"] ?? "", "/usr/sbin", "/usr/bin", "/sbin", "/bin"].join(":"),
      LD_LIBRARY_PATH: libraries,
      XTABLES_LIBDIR: join(libraries, "xtables"),
    },
    perlEnv: {
      PERL5LIB: [join(folder, "usr/share/perl/5.36.0"), join(libraries, "perl/5.36.0")].join(":"),
    },
  };
}

/** The absolute path of one of the unpacked programs. */
export function toolPath(tools: Tools, name: string): string {
  const admin = ["dockerd", "runc", "iptables"];
  return join(tools.folder, admin.includes(name) ? "usr/sbin" : "usr/bin", name);
}
