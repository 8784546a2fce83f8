import { cp, mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { ChaosError } from "../../common/errors.js";
import type { Apt } from "../apt.js";
import { ask, run } from "../command.js";
import type { LabPaths } from "../paths.js";
import type { Step } from "../build-plan.js";
import type { Tools } from "./tools.js";

/** The version that the study used, and that Debian 12 has the source of. */
export const KUBERNETES_VERSION = "v1.20.2";

const BINARIES = [
  ...["kubeadm", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy"],
  ...["kubelet", "kubectl"],
] as const;

/** Below a GOPATH. */
const TREE = "src/k8s.io/kubernetes";

const GENERATOR = "vendor/k8s.io/kube-openapi/cmd/openapi-gen";

/** The comment with which a file requests a generated OpenAPI definition, at the start of a line. */
const OPENAPI_MARK = "^// *[+]k8s:openapi-gen=";

/** The source tree in the folder of the source step. */
export function sourceTree(folder: string): string {
  return join(folder, TREE);
}

/** Go's environment: the tree is vendored and built as a GOPATH, without C and without the network. */
function goEnv(paths: LabPaths, tools: Tools, goPath: string): Record<string, string> {
  return {
    GOROOT: tools.goRoot,
    GOPATH: goPath,
    GOCACHE: paths.goCache,
    GO111MODULE: "off",
    GOFLAGS: "-trimpath",
    CGO_ENABLED: "0",
    PATH: `${join(tools.goRoot, "bin")}:${process.env["PATH"] ?? ""}`,
  };
}

/** The linker's flags that write the version into the binaries, for both of the package's import paths. */
export function versionFlags(version: string, commit: string): string {
  const [, major = "", minor = ""] = /^v(\d+)\.(\d+)\./.exec(version) ?? [];
  const values = { gitVersion: version, gitMajor: major, gitMinor: minor, gitCommit: commit };
  const packages = ["k8s.io/component-base/version", "k8s.io/client-go/pkg/version"];
  const flags = ["-s", "-w"];
  for (const each of packages.flatMap((name) => [name, `k8s.io/kubernetes/vendor/${name}`])) {
    for (const [name, value] of Object.entries({ ...values, gitTreeState: "archive" })) {
      if (value !== "") flags.push(`-X ${each}.${name}=${value}`);
    }
  }
  return flags.join(" ");
}

/** The import path of a folder of the Kubernetes tree, as its generators expect it. */
export function importPath(folder: string): string {
  return `k8s.io/kubernetes/${folder.replace(/^staging\/src\//, "vendor/")}`;
}

/** Fetches Debian's source package and makes two changes that a build with Go 1.19 needs. */
export function kubernetesSourceStep(apt: Apt, paths: LabPaths, tools: Tools, toolsKey: string): Step {
  return {
    name: "kubernetes-source",
    title: "Fetching and preparing the source of Kubernetes",
    inputs: { version: 1, kubernetes: KUBERNETES_VERSION, tools: toolsKey },
    work: async ({ output, note }) => {
      const download = join(output, "download");
      const tree = sourceTree(output);
      await mkdir(download);
      await mkdir(tree, { recursive: true });
      note("downloading");
      const archive = await apt.downloadSource("bookworm", "kubernetes", download);
      if (!basename(archive).includes(KUBERNETES_VERSION.slice(1))) {
        throw new ChaosError(
          `Debian's source package kubernetes is ${basename(archive)}: the lab can build only ${KUBERNETES_VERSION}`,
        );
      }
      note("unpacking");
      await run("tar", ["-xf", archive, "-C", tree, "--strip-components=1"], { timeoutMs: 300_000 });
      await rm(download, { recursive: true });

      // Version 1.0.1 of reflect2 panics when built with Go 1.18 or later; Debian has 1.0.2.
      const reflect2 = "github.com/modern-go/reflect2";
      await rm(join(tree, "vendor", reflect2), { recursive: true });
      await cp(join(tools.folder, "usr/share/gocode/src", reflect2), join(tree, "vendor", reflect2), {
        recursive: true,
      });

      note("generating the OpenAPI definitions");
      await generateOpenApi(tree, goEnv(paths, tools, output), output);
    },
  };
}

/** Writes pkg/generated/openapi/zz_generated.openapi.go, which the source package does not ship. */
async function generateOpenApi(tree: string, env: Record<string, string>, scratch: string): Promise<void> {
  const generator = join(scratch, "openapi-gen");
  const report = join(scratch, "violations");
  await run("go", ["build", "-o", generator, `./${GENERATOR}`], { timeoutMs: 900_000, cwd: tree, env });
  const found = await ask(
    "grep",
    ["-rlE", "--include=*.go", OPENAPI_MARK, "staging/src/k8s.io", "pkg", "vendor/k8s.io/kube-openapi"],
    { timeoutMs: 60_000, cwd: tree },
  );
  const folders = new Set(found.stdout.split("\n").map((file) => file.replace(/\/[^/]*$/, "")));
  const packages = [...folders]
    .filter((folder) => folder !== "" && !/code-generator|sample-apiserver/.test(folder))
    .sort()
    .map(importPath);
  await run(
    generator,
    [
      ...["-i", packages.join(","), "-p", "k8s.io/kubernetes/pkg/generated/openapi"],
      ...["-O", "zz_generated.openapi", "-r", report],
      ...["-h", "hack/boilerplate/boilerplate.generatego.txt"],
    ],
    { timeoutMs: 300_000, cwd: tree, env },
  );
  await rm(generator);
  await rm(report, { force: true });
}

/** Builds the seven programs. Measured: about four minutes on two cores. */
export function kubernetesBinariesStep(
  paths: LabPaths,
  tools: Tools,
  source: { readonly key: string; readonly folder: string },
): Step {
  return {
    name: "kubernetes",
    title: `Building Kubernetes ${KUBERNETES_VERSION} (some minutes)`,
    inputs: { version: 1, binaries: BINARIES, source: source.key },
    work: async ({ output, note }) => {
      const tree = sourceTree(source.folder);
      const env = goEnv(paths, tools, source.folder);
      const commit = await sourceCommit(tree);
      for (const [index, name] of BINARIES.entries()) {
        note(`${name}, ${index + 1} of ${BINARIES.length}`);
        await run(
          "go",
          [
            ...["build", "-tags", "providerless dockerless", "-ldflags"],
            ...[versionFlags(KUBERNETES_VERSION, commit), "-o", `${output}/`, `./cmd/${name}`],
          ],
          { timeoutMs: 1_800_000, cwd: tree, env },
        );
      }
    },
  };
}

/** The release's commit, which git wrote into the archive; "": it did not. */
async function sourceCommit(tree: string): Promise<string> {
  const text = await readFile(join(tree, "hack/lib/version.sh"), "utf8");
  return /KUBE_GIT_COMMIT='([0-9a-f]{40})'/.exec(text)?.[1] ?? "";
}

/**
 * Builds one of the project's own Go programs inside the Kubernetes tree, with the libraries vendored there
 * (client-go, a DNS library). An overlay tells Go where the files are: the tree itself is not changed.
 */
export function programStep(
  paths: LabPaths,
  tools: Tools,
  source: { readonly key: string; readonly folder: string },
  program: { readonly name: string; readonly hash: string; readonly files: readonly string[] },
): Step {
  return {
    name: `program-${program.name}`,
    title: `Building ${program.name}`,
    inputs: { version: 1, files: program.hash, source: source.key },
    work: async ({ output }) => {
      const tree = sourceTree(source.folder);
      const place = `cmd/kube-system-chaos-${program.name}`;
      const overlay = join(output, "overlay.json");
      const replace = Object.fromEntries(
        program.files.map((file) => [join(tree, place, basename(file)), file]),
      );
      await writeFile(overlay, JSON.stringify({ Replace: replace }));
      const target = join(output, `${program.name}.new`);
      await run("go", ["build", "-overlay", overlay, "-ldflags", "-s -w", "-o", target, `./${place}`], {
        timeoutMs: 900_000,
        cwd: tree,
        env: goEnv(paths, tools, source.folder),
      });
      await rm(overlay);
      await rename(target, join(output, program.name));
    },
  };
}
