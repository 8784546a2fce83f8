/**
 * Writes go.mod and go.sum of each Go module of the lab from src/lab/versions.ts: `npm run lab:lock`. Run it after a
 * change of a version, and commit what it writes. It needs Go and the module proxy. The collector's files come from its
 * builder instead (see builder.yaml there).
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { GO_MODULES, moduleOf } from "../src/lab/go-modules.js";
import { labPaths } from "../src/lab/paths.js";
import { goEnv, isAtLeast } from "../src/lab/steps/go.js";
import { GO } from "../src/lab/versions.js";

const paths = labPaths();
const env = { ...process.env, ...goEnv(paths), GOFLAGS: "-mod=mod -modcacherw" };

function go(folder: string, ...args: string[]): string {
  return execFileSync("go", args, {
    cwd: folder,
    env,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
    maxBuffer: 1 << 28,
  });
}

/** Kubernetes replaces its staging modules by folders that a module archive does not have. */
function replacements(folder: string, path: string, version: string): string[] {
  const { GoMod } = JSON.parse(go(folder, "mod", "download", "-json", `${path}@${version}`)) as {
    GoMod: string;
  };
  const staged = readFileSync(GoMod, "utf8").matchAll(/^\t?(?:replace )?(k8s\.io\/\S+) => \.\/staging\//gm);
  return [...staged].map(([, name = ""]) => `replace ${name} => ${name} ${version.replace("v1.", "v0.")}`);
}

for (const { name, programs, tags } of GO_MODULES) {
  const module = moduleOf(name);
  if (module === undefined) {
    process.stdout.write(`${name}: not written, see builder.yaml in its folder\n`);
    continue;
  }
  const folder = join(paths.goModules, name);
  const file = join(folder, "go.mod");
  mkdirSync(folder, { recursive: true });
  const head = `module kube-system-chaos/lab/${name}\n\ngo ${GO.lowest}\n\n`;
  writeFileSync(file, head);
  const replaced = replacements(folder, module.path, module.version);
  writeFileSync(file, `${head}require ${module.path} ${module.version}\n\n${replaced.join("\n")}\n`);
  rmSync(join(folder, "go.sum"), { force: true });
  go(folder, "list", "-deps", "-tags", (tags ?? []).join(","), ...Object.values(programs));
  go(folder, "mod", "verify");
  const needed = /^go (\S+)$/m.exec(readFileSync(file, "utf8"))?.[1] ?? "";
  if (!isAtLeast(GO.lowest, needed))
    throw new Error(`${name} needs Go ${needed}: set GO in src/lab/versions.ts`);
  process.stdout.write(`${name}: ${module.path} ${module.version}\n`);
}
