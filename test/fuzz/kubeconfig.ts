/**
 * The fuzz test of kubeconfigs: real ones with seeded random changes, alone or as KUBECONFIG's list of two.
 *
 *     npx tsx test/fuzz/kubeconfig.ts [--seed N] [--inputs N] [--from N] [--compare N]
 *
 * Every file is used or refused with its name and a reason, without a secret. With a kubectl (KUBECTL, or on the PATH), N
 * accepted and N / 4 refused ones are compared with `kubectl config view --minify --raw`: what is used here must be the same
 * there. It stops at the first input that fails, and prints how to repeat it.
 */
import { spawnSync } from "node:child_process";
import { isDeepStrictEqual } from "node:util";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, isAbsolute, join } from "node:path";
import { parseArgs } from "node:util";
import { NothingConfiguredError, UsageError } from "../../src/common/errors.js";
import { clusterAccess } from "../../src/kube/kubeconfig/access.js";
import type { ClusterAccess } from "../../src/kube/kubeconfig/types.js";
import { watchForHang } from "./hang.js";
import { KUBECONFIGS, SECRET } from "./kubeconfig-corpus.js";
import { makeInput } from "./mutate.js";
import { randomOf } from "./random.js";

/** Longest time for one input, ms of the processor: other work on the machine does not count. */
const LIMIT_MS = 2_000;

const PROGRESS_EVERY = 5_000;

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: "1" },
    inputs: { type: "string", default: "20000" },
    from: { type: "string", default: "0" },
    compare: { type: "string", default: "200" },
  },
});
const [seed, inputs, from, compare] = [values.seed, values.inputs, values.from, values.compare].map(
  (text) => {
    const number = Number(text);
    if (!Number.isSafeInteger(number) || number < 0) throw new Error(`not a whole number: ${text}`);
    return number;
  },
) as [number, number, number, number];

const folder = mkdtempSync(join(tmpdir(), "kubeconfig-fuzz-"));
const kubectl = findKubectl();
const counts = new Map<string, number>();
const stricter = new Map<string, number>();
const laxer = new Map<string, number>();
const perRange = Math.max(1, Math.floor(inputs / Math.max(1, compare)));
/** Which ranges still need an accepted, and a refused one. */
const compared = new Set<string>();
const hang = watchForHang(`--seed ${seed}`);
let slowest = 0;
const began = performance.now();

for (let input = from; input < from + inputs; input += 1) {
  hang.now(input);
  if (input > from && (input - from) % PROGRESS_EVERY === 0) console.log(`${input - from} kubeconfigs`);
  const random = randomOf(seed, input);
  const files = [join(folder, "one"), join(folder, "two")].slice(0, random.chance(0.25) ? 2 : 1);
  const contents = files.map(() => makeInput(random, KUBECONFIGS));
  files.forEach((file, index) => writeFileSync(file, contents[index] ?? ""));
  try {
    await tryOne(input, files);
  } catch (error) {
    console.error(`failed at input ${input}:`);
    console.error(error);
    for (const content of contents) console.error(JSON.stringify(content.toString("latin1").slice(0, 600)));
    console.error(
      `again: npx tsx test/fuzz/kubeconfig.ts --seed ${seed} --from ${input} --inputs 1 --compare 1`,
    );
    rmSync(folder, { recursive: true });
    process.exit(1);
  }
}
await hang.end();
rmSync(folder, { recursive: true });
const list = (map: ReadonlyMap<string, number>): string =>
  [...map]
    .sort(([, a], [, b]) => b - a)
    .map(([kind, count]) => `${kind} ${count}`)
    .join(", ");
console.log(
  `seed ${seed}: ${inputs} kubeconfigs in ${((performance.now() - began) / 1000).toFixed(1)} s: ${list(counts)}; ` +
    `slowest ${slowest.toFixed(0)} ms`,
);
if (kubectl === undefined) console.log("not compared with kubectl: there is none (set KUBECTL)");
if (stricter.size > 0) console.log(`refused here, used by kubectl: ${list(stricter)}`);
if (laxer.size > 0) console.log(`used here, refused by kubectl: ${list(laxer)}`);

/** @throws Error when it is neither used nor refused as it should be. */

async function tryOne(input: number, files: readonly string[]): Promise<void> {
  const start = process.cpuUsage();
  const used = await read(files);
  const { user, system } = process.cpuUsage(start);
  const took = (user + system) / 1000;
  slowest = Math.max(slowest, took);
  if (took > LIMIT_MS) throw new Error(`took ${took.toFixed(0)} ms`);
  if (Object.keys(Object.prototype).length > 0) throw new Error("Object.prototype was changed");
  count(counts, typeof used === "string" ? "refused" : "used");
  const range = Math.floor((input - from) / perRange);
  const key = `${range} ${typeof used}`;
  if (kubectl === undefined || compare === 0 || compared.has(key)) return;
  // Refused ones show only whether this is stricter than kubectl: a quarter is enough.
  if (typeof used === "string" && range % 4 !== 0) return;
  compared.add(key);
  compareWith(kubectl, files, used);
}

/** What is used, or the message of the refusal. */
async function read(files: readonly string[]): Promise<ClusterAccess | string> {
  const env = { KUBECONFIG: files.join(delimiter) };
  try {
    return await clusterAccess({ env });
  } catch (error) {
    if (!(error instanceof UsageError) || error instanceof NothingConfiguredError) throw error;
    const { message } = error;
    const problem = problemOf(message, files);
    if (problem !== undefined) throw new Error(`${problem}: ${message}`, { cause: error });
    return message;
  }
}

function problemOf(message: string, files: readonly string[]): string | undefined {
  if (!files.some((file) => message.includes(file))) return "no file's name";
  if (message.replace(/\S*kubeconfig-fuzz-\S*/g, "").length < 20) return "no reason";
  if (message.includes(SECRET)) return "a secret";
  // eslint-disable-next-line no-control-regex
  return /[\u0000-\u001f\u007f-\u009f]/.test(message) ? "control characters" : undefined;
}

/** @throws Error when kubectl would use something else. */
function compareWith(program: string, files: readonly string[], used: ClusterAccess | string): void {
  const env = { KUBECONFIG: files.join(delimiter), HOME: folder };
  const { status, stdout, stderr } = spawnSync(
    program,
    ["config", "view", "--minify", "--raw", "-o", "json"],
    { env, encoding: "utf8" },
  );
  if (typeof used === "string") {
    if (status === 0)
      count(stricter, used.replace(/^.*?(kubeconfig: |": |is )/, "").replace(/".*?"/g, '"…"'));
    count(counts, status === 0 ? "of them stricter than kubectl" : "of them refused by kubectl");
    return;
  }
  // An unknown user is anonymous for every other command.
  if (status !== 0 && /cannot locate user/.test(stderr)) return count(counts, "of them with an unknown user");
  // kubectl uses no cluster then. Its YAML parser refuses a few things that this one can read.
  if (status !== 0)
    return count(
      laxer,
      stderr
        .replace(/^.*?": /s, "")
        .replace(/\d+/g, "N")
        .trim(),
    );
  const theirs = JSON.parse(stdout) as View;
  const [mine, other] = [ofAccess(used), ofView(theirs)];
  if (!isDeepStrictEqual(mine, other))
    throw new Error(`not the same:\n${JSON.stringify(mine)}\n${JSON.stringify(other)}`);
  count(counts, "of them the same as kubectl");
}

type Part = Readonly<Record<string, unknown>>;
interface View {
  readonly "current-context": string;
  readonly clusters: readonly { readonly cluster: Part }[] | null;
  readonly users: readonly { readonly user: Part }[] | null;
}

function ofAccess({ context, cluster, user }: ClusterAccess): unknown {
  return {
    context,
    cluster: filled({
      server: cluster.server,
      "tls-server-name": cluster.tlsServerName,
      "insecure-skip-tls-verify": cluster.insecureSkipTlsVerify,
      "certificate-authority": cluster.certificateAuthority,
      "certificate-authority-data": cluster.certificateAuthorityData.toString("base64"),
      "proxy-url": cluster.proxyUrl,
      "disable-compression": cluster.disableCompression,
    }),
    user: filled({
      "client-certificate": user.clientCertificate,
      "client-certificate-data": user.clientCertificateData.toString("base64"),
      "client-key": user.clientKey,
      "client-key-data": user.clientKeyData.toString("base64"),
      token: user.token,
      tokenFile: user.tokenFile,
      as: user.impersonate,
      "as-uid": user.impersonateUid,
      "as-groups": user.impersonateGroups,
      "as-user-extra": Object.fromEntries(user.impersonateUserExtra),
      username: user.username,
      password: user.password,
      exec: user.exec === undefined ? undefined : filled({ ...user.exec }),
    }),
  };
}

function ofView(view: View): unknown {
  const cluster = filled({ ...view.clusters?.[0]?.cluster, extensions: undefined });
  const user = { ...view.users?.[0]?.user, "auth-provider": undefined, extensions: undefined } as Part;
  const exec = user["exec"] as Part | undefined;
  const withPaths = Object.fromEntries(
    Object.entries(user).map(([key, value]) => [key, key === "exec" && exec ? filled({ ...exec }) : value]),
  );
  return { context: view["current-context"], cluster, user: filled(withPaths) };
}

/** Without what is not set, and with the files' folder before a relative path. */
function filled(part: Part): Part {
  const entries = Object.entries(part).filter(
    ([, value]) =>
      value !== undefined &&
      value !== null &&
      value !== "" &&
      value !== false &&
      JSON.stringify(value).length > 2,
  );
  const paths = ["certificate-authority", "client-certificate", "client-key", "tokenFile"];
  return Object.fromEntries(
    entries.map(([key, value]) => [
      key,
      paths.includes(key) && typeof value === "string" && !isAbsolute(value) ? join(folder, value) : value,
    ]),
  );
}

function count(map: Map<string, number>, kind: string): void {
  map.set(kind, (map.get(kind) ?? 0) + 1);
}

function findKubectl(): string | undefined {
  const { KUBECTL = "" } = process.env;
  const named = KUBECTL === "" ? "kubectl" : KUBECTL;
  return spawnSync(named, ["version", "--client"]).status === 0 ? named : undefined;
}
