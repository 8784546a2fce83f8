/** `npm run test:fuzz -- [--seed N] [--inputs N]`: both fuzz tests, one after the other, with the same options. */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

for (const file of ["experiment-loader.ts", "kubeconfig.ts"]) {
  const path = fileURLToPath(new URL(file, import.meta.url));
  const { status } = spawnSync(process.execPath, ["--import", "tsx", path, ...process.argv.slice(2)], {
    stdio: "inherit",
  });
  if (status !== 0) process.exit(status ?? 1);
}
