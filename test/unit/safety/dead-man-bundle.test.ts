/** The switch's program must fit into a ConfigMap and need only Node in its container. */
import { execFile, type ExecFileException } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { isBuiltin } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import test from "ava";
import { build } from "esbuild";
import { podPrograms } from "../../../scripts/pod-programs.mjs";
import { MAX_PROGRAM_BYTES } from "../../../src/safety/dead-man/dead-man-manifests.js";

/** Far below a ConfigMap's 1 MiB: a larger bundle contains something that it does not need. */
const LIMIT_BYTES = 100_000;

async function bundle(): Promise<{ text: string; bytes: number; imports: string[]; inputs: string[] }> {
  const { outputFiles, metafile } = await build({
    ...podPrograms["dead-man.mjs"],
    write: false,
    metafile: true,
  });
  const [file, ...others] = outputFiles;
  if (file === undefined || others.length > 0) throw new Error("expected one file");
  const outputs = Object.values(metafile.outputs);
  return {
    text: file.text,
    bytes: file.contents.length,
    imports: outputs.flatMap(({ imports }) => imports.map(({ path }) => path)),
    inputs: Object.keys(metafile.inputs),
  };
}

test("the bundle is one small file that imports only Node's own modules, with the prefix node:", async (t) => {
  const { bytes, imports, inputs } = await bundle();
  t.true(bytes < LIMIT_BYTES, `${bytes} bytes`);
  t.true(LIMIT_BYTES < MAX_PROGRAM_BYTES);
  t.true(imports.length > 0);
  for (const path of imports) t.true(path.startsWith("node:") && isBuiltin(path), path);
  t.deepEqual(
    inputs.filter((path) => path.includes("node_modules/")),
    [],
  );
});

test("the bundle starts, and names the missing setting", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "chaos-dead-man-"));
  t.teardown(async () => await rm(folder, { recursive: true, force: true }));
  const path = join(folder, "dead-man.mjs");
  await writeFile(path, (await bundle()).text);
  const run = promisify(execFile);
  const error = await t.throwsAsync<ExecFileException & Error>(run(process.execPath, [path], { env: {} }));
  t.regex(error.stderr ?? "", /CHAOS_RUN is not set/);
  t.is(error.code, 1);
});
