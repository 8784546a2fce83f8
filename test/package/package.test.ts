/** `npm pack` and what a user has after installing it: the files, the command line on each Node, the API and its types. */
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import anyTest, { type TestFn } from "ava";
import { execa } from "execa";
import { publint } from "publint";
import { formatMessage } from "publint/utils";
import { parseAllDocuments } from "yaml";
import { packageRoot } from "../../src/common/package-root.js";
import { NODE_VERSIONS, nodeFolder } from "./node-versions.js";

/** Why each file is in the package. Anything else is superfluous; anything missing breaks what is named. */
const REASONS: readonly (readonly [pattern: RegExp, why: string])[] = [
  [/^package\.json$/, "npm"],
  [/^README\.md$/, "npm's page"],
  [/^LICENSE$/, "the licence"],
  [/^dist\/THIRD_PARTY_NOTICES$/, "the licences of what is bundled"],
  [/^dist\/cli\.js$/, "chaos"],
  [/^dist\/api\.js$/, "the API"],
  [/^build\/types\/api\.d\.ts$/, "the types of the API"],
  [/^dist\/(chunk-|[a-z-]+-)[A-Z0-9]{8}\.js$/, "parts of both, loaded when they are needed"],
  [/^dist\/quick-validate\.js$/, "chaos validate"],
  [/^dist\/(agent|front-end|node-agent|sink|dead-man)\.mjs$/, "programs that run in pods"],
  [/^experiments\/(variants\/)?[a-z0-9-]+\.yaml$/, "experiments by name"],
  [/^dist\/report-page\.(css|js)$/, "the pages, which hold a copy"],
  [
    /^experiments\/own-application\/(manifests\/)?[a-z0-9-]+\.yaml$/,
    "the example of docs/your-application.md",
  ],
  [/^experiments\/experiment\.schema\.json$/, "for editors"],
  [/^kind-config\.yaml$/, "--cluster kind and lab"],
  [/^src\/clusters\/audit-policy\.yaml$/, "mounted by kind-config.yaml"],
  [/^src\/addons\/manifests\/[a-z0-9-]+\.yaml$/, "cluster up --addons"],
  [/^src\/lab\/(assets|go)\//, "--cluster lab, which builds from them"],
];

interface Installed {
  readonly folder: string;
  readonly tarball: string;
  readonly files: readonly string[];
}

const test = anyTest as TestFn<Installed>;

test.before("npm pack", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "chaos-package-"));
  const stdout = await npm(["pack", "--json", "--pack-destination", folder], packageRoot());
  // The scripts that npm pack runs may print lines before.
  const packed = JSON.parse(stdout.slice(stdout.search(/^[[{]\n?/m))) as
    readonly Packed[] | Record<string, Packed>;
  const [{ filename, files } = { filename: "", files: [] }] = Object.values(packed);
  t.context = { folder, tarball: join(folder, filename), files: files.map(({ path }) => path) };
});

interface Packed {
  readonly filename: string;
  readonly files: readonly { readonly path: string }[];
}

test.after.always(async (t) => await rm(t.context.folder, { recursive: true, force: true }));

/** @param node folder of the Node that runs npm. @returns what it prints. */
async function npm(args: readonly string[], cwd: string, node = dirname(process.execPath)): Promise<string> {
  // Without what `npm run` has set: its own prefix, and this package's name.
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("npm_")));
  const { stdout } = await execa("npm", [...args, "--no-audit", "--no-fund", "--offline"], {
    cwd,
    env: { ...env, PATH: `${node}:${process.env["PATH"] ?? ""}` },
    extendEnv: false,
  });
  return stdout;
}

test("every file of the package is needed, and every kind of file that is needed is there", (t) => {
  const { files } = t.context;
  for (const file of files)
    t.true(
      REASONS.some(([pattern]) => pattern.test(file)),
      file,
    );
  for (const [pattern, why] of REASONS)
    t.true(
      files.some((file) => pattern.test(file)),
      `${pattern.source}: ${why}`,
    );
});

test("installing runs nothing and fetches nothing else", async (t) => {
  const manifest = JSON.parse(await readFile(join(packageRoot(), "package.json"), "utf8")) as {
    readonly scripts: Record<string, string>;
  };
  for (const name of ["preinstall", "install", "postinstall"]) t.false(name in manifest.scripts, name);
  for (const name of ["dependencies", "optionalDependencies", "peerDependencies"])
    t.false(name in manifest, name);
});

test("publint finds nothing", async (t) => {
  const { messages, pkg } = await publint({
    pack: { tarball: await bytesOf(t.context.tarball) },
    strict: true,
  });
  t.deepEqual(
    messages.map((message) => formatMessage(message, pkg)),
    [],
  );
});

async function bytesOf(path: string): Promise<ArrayBuffer> {
  const { buffer, byteOffset, byteLength } = await readFile(path);
  return buffer.slice(byteOffset, byteOffset + byteLength);
}

const EXAMPLE = join(packageRoot(), "reports/example/example-kube-dns");

for (const version of NODE_VERSIONS) {
  test(`Node ${version}: installed globally, it works from an empty folder`, async (t) => {
    const node = await nodeFolder(version);
    const prefix = await mkdtemp(join(t.context.folder, "prefix-"));
    const cwd = await mkdtemp(join(t.context.folder, "empty-"));
    await npm(["install", "--global", "--prefix", prefix, t.context.tarball], cwd, node);
    t.deepEqual(
      await readdir(join(prefix, "lib/node_modules")),
      ["kube-system-chaos"],
      "it has no dependencies",
    );
    const env = { HOME: cwd, PATH: `${node}:${join(prefix, "bin")}` };
    const chaos = async (code: number, ...args: readonly string[]): Promise<string> => {
      const ended = await execa("chaos", args, {
        cwd,
        env,
        extendEnv: false,
        reject: false,
        stdin: "ignore",
      });
      t.is(ended.exitCode, code, `chaos ${args.join(" ")}: ${ended.stderr}`);
      t.notRegex(ended.stderr, /^\s+at |Warning/m, ended.stderr);
      return ended.stdout + ended.stderr;
    };
    t.regex(
      (await execa("node", ["--version"], { env, extendEnv: false })).stdout,
      new RegExp(`^v${version}\\.`),
    );
    const { version: own } = JSON.parse(await readFile(join(packageRoot(), "package.json"), "utf8")) as {
      readonly version: string;
    };
    t.is((await chaos(0, "--version")).trim(), own);
    t.regex(await chaos(0, "--help"), /Usage: chaos/);
    t.is(await chaos(0, "schema"), (await schema()).trimEnd());
    t.regex(await chaos(0, "validate", "kube-dns"), /ok \(kube-dns: delete-workload/);
    const roles = parseAllDocuments(await chaos(0, "rbac", "kube-dns"));
    t.true(roles.length > 3 && roles.every((each) => each.errors.length === 0));
    t.regex(await chaos(0, "restore"), /no unfinished run/);

    await cp(EXAMPLE, join(cwd, "reports/example-kube-dns"), { recursive: true });
    await rm(join(cwd, "reports/example-kube-dns/result.json"));
    await chaos(0, "report", "reports/example-kube-dns");
    t.is(await resultOf(join(cwd, "reports/example-kube-dns")), await resultOf(EXAMPLE));
    t.regex(await chaos(0, "matrix"), /^1 row: /);

    t.regex(await chaos(3, "validate", "no-such-name"), /known experiments: .*kube-dns/);
    await chaos(3, "run", "kube-dns", "--no-such-flag");
    t.regex(await chaos(4, "run", "kube-dns", "--dry-run"), /no cluster to look at/);

    const program = `import { validate, runExperiment } from ${JSON.stringify(join(prefix, "lib/node_modules/kube-system-chaos/dist/api.js"))};
      const { outcome } = runExperiment({ experiments: "kube-dns", dryRun: true });
      console.log((await validate("kube-dns")).ok, await outcome.catch(({ exitCode }) => exitCode));`;
    const run = await execa("node", ["--input-type=module", "--eval", program], {
      cwd,
      env,
      extendEnv: false,
    });
    t.is(run.stdout, "true 4");
  });
}

async function schema(): Promise<string> {
  return await readFile(join(packageRoot(), "experiments/experiment.schema.json"), "utf8");
}

async function resultOf(folder: string): Promise<string> {
  const { verdict, severity } = JSON.parse(await readFile(join(folder, "result.json"), "utf8")) as {
    readonly verdict: string;
    readonly severity: string;
  };
  return `${verdict}, ${severity}`;
}

test("the programs of docs/api.md compile against the installed package, as node16 and bundler resolve it", async (t) => {
  const cwd = await mkdtemp(join(t.context.folder, "consumer-"));
  await writeFile(join(cwd, "package.json"), '{ "private": true, "type": "module" }');
  await npm(["install", "--ignore-scripts", t.context.tarball], cwd);
  t.deepEqual(
    (await readdir(join(cwd, "node_modules"))).filter((name) => !name.startsWith(".")),
    ["kube-system-chaos"],
  );
  await mkdir(join(cwd, "src"));
  const docs = await readFile(join(packageRoot(), "docs/api.md"), "utf8");
  const programs = [...docs.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, text = ""]) => text);
  t.true(programs.length >= 4);
  for (const [index, text] of programs.entries())
    await writeFile(join(cwd, `src/example-${index + 1}.ts`), `${text}\nexport {};\n`);
  // A wrong use must not compile: types that are `any` would let it pass.
  await writeFile(
    join(cwd, "src/wrong.ts"),
    `import { matrix, runExperiment, validate } from "kube-system-chaos";
// @ts-expect-error: no such option
runExperiment({ experiments: "kube-dns", windoww: 1 });
for await (const message of runExperiment({ experiments: "kube-dns" })) {
  // @ts-expect-error: no such message
  if (message.type === "explosion") break;
  // @ts-expect-error: only after a look at its type
  message.result;
}
// @ts-expect-error: text
(await validate("kube-dns")).files[0]!.name satisfies number;
// @ts-expect-error: no such field
(await matrix("reports")).matrix.rowws;
`,
  );
  for (const [module, moduleResolution] of [
    ["node16", "node16"],
    ["esnext", "bundler"],
  ] as const) {
    const config = join(cwd, `tsconfig.${moduleResolution}.json`);
    const compilerOptions = {
      ...{ strict: true, noEmit: true, module, moduleResolution, target: "es2022", lib: ["es2023"] },
      // skipLibCheck is off: the declarations themselves are checked.
      ...{ exactOptionalPropertyTypes: true, types: ["node"], skipLibCheck: false },
      typeRoots: [join(packageRoot(), "node_modules/@types")],
    };
    await writeFile(config, JSON.stringify({ compilerOptions, include: ["src"] }));
    const tsc = join(packageRoot(), "node_modules/typescript/bin/tsc");
    const ended = await execa(process.execPath, [tsc, "-p", config], { cwd, reject: false });
    t.is(ended.exitCode, 0, `${moduleResolution}: ${ended.stdout}`);
  }
});

test("the licence of every bundled package is in the notices", async (t) => {
  const notices = await readFile(join(packageRoot(), "dist/THIRD_PARTY_NOTICES"), "utf8");
  const licences = [...notices.matchAll(/^Licence: (.*)$/gm)].map(([, licence = ""]) => licence);
  t.true(licences.length > 10);
  // They ask for the notice and nothing more. Another one needs a decision.
  for (const licence of licences) t.regex(licence, /^(MIT|ISC|Apache-2\.0|BSD-[23]-Clause|0BSD)$/);
  for (const name of ["axios", "commander", "execa", "socks", "string-width", "yaml", "zod"])
    t.regex(notices, new RegExp(`^${name} [0-9]`, "m"));
});
