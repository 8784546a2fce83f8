import { chmod, cp, mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Progress } from "../../common/progress.js";
import type { Step } from "../build-plan.js";
import { ask, run } from "../command.js";
import { moduleOf, type GoModule } from "../go-modules.js";
import { hashOfFiles, type KeyInput } from "../keys.js";
import type { Machine } from "../machine-checks.js";
import type { LabPaths } from "../paths.js";
import { GO } from "../versions.js";

/** The Go that compiles. */
export interface GoToolchain {
  /** As `go env GOVERSION` prints it, such as go1.26.8. */
  readonly version: string;
  /** The step that fetches it; undefined: it is the machine's own. */
  readonly step: Step | undefined;
}

/** What the steps of one module share. */
interface Toolchain {
  /** Of the module's folder. */
  readonly hash: string;
  readonly step: Step | undefined;
  readonly program: (folderOf: (step: Step) => string) => string;
}

/** No build that makes progress is ended, ms. */
const NO_LIMITS = 3_600_000;

/** Whether Go version `a` (go1.26.8) is at least `b` (1.26.0). A release candidate counts as its release. */
export function isAtLeast(a: string, b: string): boolean {
  const parts = (text: string): number[] =>
    (/^(?:go)?(\d+)\.(\d+)(?:\.(\d+))?/.exec(text) ?? []).slice(1).map((each) => Number(each ?? 0));
  const [mine, other] = [parts(a), parts(b)];
  if (mine.length === 0) return false;
  for (const [index, value] of other.entries()) {
    if ((mine[index] ?? 0) !== value) return (mine[index] ?? 0) > value;
  }
  return true;
}

/** Go's environment: no C, nothing that the go.sum files do not name, caches of the lab's own. */
function goEnv(paths: LabPaths): Record<string, string> {
  return {
    GOMODCACHE: join(paths.goCache, "mod"),
    GOCACHE: join(paths.goCache, "build"),
    GOFLAGS: "-mod=readonly -buildvcs=false -modcacherw -trimpath",
    GOTOOLCHAIN: "local",
    GOWORK: "off",
    CGO_ENABLED: "0",
  };
}

/**
 * The machine's own Go when it is new enough, or else the toolchain module, which any Go can download: the machine's
 * older one, or for a machine without Go Debian's (`debianGo`).
 */
export async function chooseGo(
  paths: LabPaths,
  machine: Machine,
  debianGo: Step,
  progress: Progress,
): Promise<GoToolchain> {
  const answer = await ask("go", ["env", "GOVERSION"], { timeoutMs: 30_000, env: { GOTOOLCHAIN: "local" } });
  const found = answer.exitCode === 0 ? answer.stdout.trim() : "";
  if (isAtLeast(found, GO.lowest)) return { version: found, step: undefined };
  const why = found === "" ? "this machine has no Go" : `this machine's ${found} is older than ${GO.lowest}`;
  progress.info(`Go ${GO.toolchain} is fetched into the lab's cache: ${why}.`);
  const step = toolchainStep(paths, machine, found === "" ? debianGo : undefined);
  return { version: `go${GO.toolchain}`, step };
}

function toolchainStep(paths: LabPaths, machine: Machine, debianGo: Step | undefined): Step {
  return {
    name: "go-toolchain",
    title: `Fetching Go ${GO.toolchain}`,
    lane: "fetch",
    inputs: { version: 1, toolchain: GO.toolchain, arch: machine.architecture },
    needs: debianGo === undefined ? [] : [debianGo],
    seconds: 15,
    work: async ({ output, folderOf }) => {
      const root = debianGo === undefined ? undefined : join(folderOf(debianGo), "usr/lib/go-1.19");
      const scratch = join(output, "scratch");
      await mkdir(scratch);
      await writeFile(join(scratch, "go.mod"), "module toolchain\n");
      const module = `golang.org/toolchain@v0.0.1-go${GO.toolchain}.linux-${machine.architecture}`;
      const printed = await run(
        root === undefined ? "go" : join(root, "bin/go"),
        ["mod", "download", "-json", module],
        {
          timeoutMs: 900_000,
          cwd: scratch,
          env: {
            ...goEnv(paths),
            GOFLAGS: "-mod=mod -modcacherw",
            ...(root === undefined ? {} : { GOROOT: root }),
          },
          advice:
            `Check that this machine can reach its Go module proxy (go env GOPROXY), ` +
            `or install Go ${GO.lowest} or newer.`,
        },
      );
      const { Dir: folder } = JSON.parse(printed.stdout) as { Dir: string };
      await cp(folder, join(output, "go"), { recursive: true });
      // A module's files are not executable. A newer Go sets this when it uses a toolchain; Debian's does not know them.
      for (const place of ["go/bin", `go/pkg/tool/linux_${machine.architecture}`]) {
        for (const name of await readdir(join(output, place))) await chmod(join(output, place, name), 0o755);
      }
    },
  };
}

/** Downloads what one module's programs need, while another module compiles. The result is only the mark of it. */
function downloadStep(paths: LabPaths, module: GoModule, go: Toolchain): Step {
  return {
    name: `download-${module.name}`,
    title: `Downloading the Go modules of ${module.name}`,
    lane: "fetch",
    inputs: { version: 1, module: moduleInputs(module), files: go.hash },
    needs: go.step === undefined ? [] : [go.step],
    seconds: 6,
    work: async ({ note, folderOf }) => {
      const tags = (module.tags ?? []).join(",");
      await run(go.program(folderOf), ["list", "-deps", "-tags", tags, ...Object.values(module.programs)], {
        timeoutMs: NO_LIMITS,
        cwd: join(paths.goModules, module.name),
        env: goEnv(paths),
        onLine: (line) => {
          if (line.startsWith("go: downloading ")) note(line.slice("go: downloading ".length).slice(0, 70));
        },
        advice:
          "The lab is built from Go modules. Check that this machine can reach its module proxy (go env GOPROXY).",
      });
    },
  };
}

function moduleInputs({ programs, tags, variables, source }: GoModule): KeyInput {
  return { programs, tags: tags ?? [], variables: variables ?? {}, source: source ?? {} };
}

/** Builds one module's programs into the result's folder, and copies the files of its source that are named. */
export async function goModuleStep(
  paths: LabPaths,
  machine: Machine,
  module: GoModule,
  toolchain: GoToolchain,
): Promise<Step> {
  const folder = join(paths.goModules, module.name);
  const go: Toolchain = {
    hash: await hashOfFiles(folder),
    step: toolchain.step,
    program: (folderOf) =>
      toolchain.step === undefined ? "go" : join(folderOf(toolchain.step), "go/bin/go"),
  };
  const { path, version } = moduleOf(module.name) ?? { path: module.name, version: "" };
  const names = Object.keys(module.programs);
  const values = Object.entries(module.variables ?? {}).map(([name, value]) => `-X ${name}=${value}`);
  return {
    name: `go-${module.name}`,
    title: `Compiling ${path} ${version}`.trim(),
    lane: "compile",
    inputs: {
      version: 1,
      module: moduleInputs(module),
      files: go.hash,
      go: toolchain.version,
      arch: machine.architecture,
    },
    needs: [downloadStep(paths, module, go)],
    seconds: module.seconds,
    work: async ({ output, note, folderOf }) => {
      const options = { timeoutMs: NO_LIMITS, cwd: folder, env: goEnv(paths) };
      const flags = ["-tags", (module.tags ?? []).join(","), "-ldflags", ["-s", "-w", ...values].join(" ")];
      for (const [index, name] of names.entries()) {
        note(`${name}, ${index + 1} of ${names.length}`);
        const target = [join(output, name), module.programs[name] ?? ""];
        await run(go.program(folderOf), ["build", ...flags, "-o", ...target], options);
      }
      if (module.source === undefined) return;
      const found = await run(go.program(folderOf), ["list", "-m", "-f", "{{.Dir}}", path], options);
      await mkdir(join(output, "source"));
      for (const [name, place] of Object.entries(module.source)) {
        await cp(join(found.stdout.trim(), place), join(output, "source", name), { recursive: true });
      }
    },
  };
}
