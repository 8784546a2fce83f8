import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import test from "ava";
import type { ExecutionContext } from "ava";
import { ExitCode, messageOf, NothingConfiguredError, UsageError } from "../../../src/common/errors.js";
import { type AccessOptions, clusterAccess } from "../../../src/kube/kubeconfig/access.js";
import { KubeconfigProblem, readGoYaml, resolvePlain } from "../../../src/kube/kubeconfig/go-yaml.js";
import { serverUrl } from "../../../src/kube/kubeconfig/server-url.js";

const NO_POD = { token: "/nonexistent/token", ca: "/nonexistent/ca.crt" };

interface Place {
  readonly folder: string;
  readonly write: (name: string, content: string | Uint8Array) => string;
}

function place(t: ExecutionContext): Place {
  const folder = mkdtempSync(join(tmpdir(), "kubeconfig-test-"));
  t.teardown(() => rmSync(folder, { recursive: true }));
  return {
    folder,
    write: (name, content) => {
      writeFileSync(join(folder, name), content);
      return join(folder, name);
    },
  };
}

/** A kubeconfig with one context, whose cluster, user and context have these names. */
function config(
  name: string,
  { server = `https://${name}.example:6443`, user = {}, cluster = {}, names = {} }: Partial<Parts> = {},
): string {
  const { clusterName = name, userName = name, current = name } = names;
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Config",
    "current-context": current,
    clusters: [{ name: clusterName, cluster: { server, ...cluster } }],
    users: [{ name: userName, user: { token: `token-${name}`, ...user } }],
    contexts: [{ name, context: { cluster: clusterName, user: userName } }],
  });
}

interface Parts {
  readonly server: string;
  readonly user: object;
  readonly cluster: object;
  readonly names: { readonly clusterName?: string; readonly userName?: string; readonly current?: string };
}

const access = async (options: Omit<AccessOptions, "podFiles">): ReturnType<typeof clusterAccess> =>
  await clusterAccess({ podFiles: NO_POD, ...options });

/** The message of a refusal with exit code 3. */
async function refusal(t: ExecutionContext, options: Omit<AccessOptions, "podFiles">): Promise<string> {
  const error = await t.throwsAsync(access(options), { instanceOf: UsageError });
  t.is(error?.exitCode, ExitCode.usage);
  t.false(error instanceof NothingConfiguredError);
  return messageOf(error);
}

test("KUBECONFIG with two files: the first to set the current context wins, and the second's contexts are there", async (t) => {
  const { write } = place(t);
  const list = [write("a", config("a")), write("b", config("b"))].join(delimiter);
  const env = { KUBECONFIG: list };
  t.like(await access({ env }), { context: "a", server: "https://a.example:6443", list });
  t.like(await access({ env, context: "b" }), { context: "b", server: "https://b.example:6443" });
});

test("the same user and cluster in two files: the first definition wins, whole", async (t) => {
  const { write } = place(t);
  const names = { clusterName: "same", userName: "admin" };
  const a = write("a", config("a", { names, user: { token: "", as: "x" } }));
  const b = write("b", config("b", { names, user: { username: "n", password: "p" } }));
  const found = await access({ env: { KUBECONFIG: [a, b].join(delimiter) }, context: "b" });
  t.is(found.server, "https://a.example:6443");
  t.like(found.user, { impersonate: "x", username: "" });
});

test("files of KUBECONFIG that are missing are skipped with a warning; empty and repeated ones are fine", async (t) => {
  const { write, folder } = place(t);
  const b = write("b", config("b"));
  for (const first of [join(folder, "none"), write("empty", ""), write("comment", "# nothing\n"), b]) {
    for (const files of [
      [first, b],
      [b, first, ""],
    ]) {
      const said: string[] = [];
      const found = await access({
        env: { KUBECONFIG: files.join(delimiter) },
        warn: (text) => void said.push(text),
      });
      t.is(found.context, "b");
      t.deepEqual(
        said,
        first.endsWith("none") ? [`KUBECONFIG names ${first}, which does not exist: it is skipped`] : [],
      );
    }
  }
});

test("set and unusable: exit 3 with the file and the reason, never 'nothing configured'", async (t) => {
  const { write, folder } = place(t);
  mkdirSync(join(folder, "folder"));
  const file = write("file", "");
  const utf16 = Buffer.from(`\ufeff${config("a")}`, "utf16le");
  const cases: [string, RegExp][] = [
    [join(folder, "typo"), /typo, which KUBECONFIG names: there is no such file/],
    [[join(folder, "typo"), join(folder, "typo2")].join(delimiter), /typo, .*no such file, nor .*typo2/],
    ["~/.kube/config", /~\/\.kube\/config.*The shell has not replaced the ~/],
    [
      join(folder, "folder"),
      /folder, which KUBECONFIG names: it is a folder, not a regular file\. Name another one/,
    ],
    [
      "/dev/null",
      /^cannot .* \/dev\/null, which KUBECONFIG names: it is a device, not a regular file\. Name another one/,
    ],
    [join(file, "config"), /names: a part of its path is a file, not a folder\. Name another one/],
    [write("utf16", utf16), /utf16: cannot use this kubeconfig: it is UTF-16 text/],
    [
      write("stale", config("a", { names: { current: "gone" } })),
      /stale: its current-context is "gone".*It has: "a"/,
    ],
    [
      write("none", config("a", { names: { current: "" } })),
      /no current context in .*none: name one with --context/,
    ],
    [write("empty", ""), /no current context in .*empty: it has no contexts/],
    [delimiter, /names no file/],
    [write("yaml", "a: 1\nb: [\n"), /yaml:\d: cannot use this kubeconfig: it is not valid YAML/],
    [
      write("type", "users:\n- name: u\n  user:\n    token: 12345\n"),
      /type:4: .*token must be text, not a number: put it in quotes/,
    ],
    [write("list", "clusters: {a: b}\n"), /list:1: .*clusters must be a list, not a mapping/],
    [write("twice", "users: [{name: a}, {name: a}]\n"), /twice:1: .*users has two entries "a"/],
    [write("pod", "kind: Pod\napiVersion: v1\n"), /it is not a kubeconfig/],
    [write("scalar", "hello\n"), /the file must be a mapping, not text/],
    [
      write("base64", "clusters: [{cluster: {certificate-authority-data: '%%'}}]"),
      /certificate-authority-data is not base64/,
    ],
    [write("bytes", Buffer.from([0x61, 0x3a, 0x20, 0xff, 0xff])), /it is not UTF-8 text/],
    [
      write("cluster", config("a").replace('"clusters":[{"name":"a"', '"clusters":[{"name":"b"')),
      /context "a" names the cluster "a", which .* does not have/,
    ],
  ];
  for (const [list, expected] of cases) t.regex(await refusal(t, { env: { KUBECONFIG: list } }), expected);
  write(".kube", "");
  t.regex(
    await refusal(t, { env: { HOME: folder } }),
    /config: a part of its path is a file, not a folder\. Name another one/,
  );
  rmSync(join(folder, ".kube"));
  mkdirSync(join(folder, ".kube"));
  write(join(".kube", "config"), "{{");
  t.regex(await refusal(t, { env: { HOME: folder } }), /\.kube\/config:1: cannot use this kubeconfig/);
  t.regex(
    await refusal(t, { env: {}, kubeconfigPath: join(folder, "typo") }),
    /which --kubeconfig names: there is no such file/,
  );
  const known = write("known", config("a"));
  t.regex(
    await refusal(t, { env: {}, kubeconfigPath: known, context: "z" }),
    /no context "z" in .*known\. It has: "a"/,
  );
});

test("no secret of the file is in a message", async (t) => {
  const { write } = place(t);
  const secret = "s3cr3t";
  for (const text of [
    `users: [{name: u, user: {token: "${secret}`,
    `users: [{name: u, user: {token: [${secret}]}}]`,
    `users: [{name: u, user: {client-key-data: "${secret}"}}]`,
    `token: *${secret}`,
    config("a", { server: `https://admin:${secret}@h` }),
    config("a", { cluster: { "proxy-url": `ftp://admin:${secret}@h` } }),
  ])
    t.notRegex(await refusal(t, { env: {}, kubeconfigPath: write("f", text) }), new RegExp(secret));
});

test("nothing configured: only without KUBECONFIG, ~/.kube/config and a pod", async (t) => {
  const { folder, write } = place(t);
  for (const env of [{}, { HOME: folder }, { HOME: folder, KUBECONFIG: "" }])
    await t.throwsAsync(access({ env }), { instanceOf: NothingConfiguredError });
  mkdirSync(join(folder, ".kube"));
  write(join(".kube", "config"), config("home"));
  t.like(await access({ env: { HOME: folder } }), { context: "home", list: join(folder, ".kube", "config") });
});

test("in a pod: its service account when it is complete, else what is missing; a kubeconfig wins", async (t) => {
  const { folder, write } = place(t);
  const podFiles = { token: join(folder, "token"), ca: join(folder, "ca.crt") };
  const env = { KUBERNETES_SERVICE_HOST: "fd00::1", KUBERNETES_SERVICE_PORT: "443", HOME: folder };
  const missing = async (given: Record<string, string>, expected: RegExp): Promise<void> => {
    const error = await t.throwsAsync(clusterAccess({ env: given, podFiles }), { instanceOf: UsageError });
    t.regex(messageOf(error), expected);
    t.false(error instanceof NothingConfiguredError);
  };
  await missing(env, /incomplete; missing: the token .*token, the certificate authority .*ca\.crt\. Give/);
  write("token", "t\n");
  await missing(env, /incomplete; missing: the certificate authority/);
  await missing({}, /KUBERNETES_SERVICE_HOST, the variable KUBERNETES_SERVICE_PORT/);
  write("ca.crt", "ca");
  const pod = await clusterAccess({ env, podFiles });
  t.like(pod, { server: "https://[fd00::1]:443", list: undefined });
  t.is(pod.user.tokenFile, podFiles.token);
  t.is(
    (await clusterAccess({ env: { ...env, KUBECONFIG: write("k", config("k")) }, podFiles })).context,
    "k",
  );
  // A default file without content is no configuration (kind leaves one behind).
  mkdirSync(join(folder, ".kube"));
  write(join(".kube", "config"), "apiVersion: v1\nclusters: null\ncontexts: null\nusers: null\n");
  t.is((await clusterAccess({ env, podFiles })).server, "https://[fd00::1]:443");
});

test("relative paths are relative to the file's folder; a command without a separator is looked up in PATH", async (t) => {
  const { folder, write } = place(t);
  const exec = { apiVersion: "client.authentication.k8s.io/v1beta1", command: "./bin/login" };
  const user = { token: "", "client-certificate": "c.crt", "client-key": "/abs/c.key", tokenFile: "t", exec };
  const found = await access({
    env: {},
    kubeconfigPath: write("k", config("k", { user, cluster: { "certificate-authority": "pki/ca.crt" } })),
  });
  t.is(found.cluster.certificateAuthority, join(folder, "pki/ca.crt"));
  t.like(found.user, {
    clientCertificate: join(folder, "c.crt"),
    clientKey: "/abs/c.key",
    tokenFile: join(folder, "t"),
    exec: { command: join(folder, "bin/login"), interactiveMode: "IfAvailable" },
  });
  const plain = config("p", { user: { exec: { ...exec, command: "aws" } } });
  t.is((await access({ env: {}, kubeconfigPath: write("p", plain) })).user.exec?.command, "aws");
});

test("what client-go refuses is refused, with the file and the entry", async (t) => {
  const { write } = place(t);
  const v1 = "client.authentication.k8s.io/v1";
  const cases: [Partial<Parts>, RegExp][] = [
    [{ server: "" }, /cluster "k" has no server/],
    [{ server: "ftp://h" }, /cannot use its server/],
    [{ server: "h:1/path" }, /it has a path but no scheme/],
    [
      { cluster: { "insecure-skip-tls-verify": true, "certificate-authority": "ca" } },
      /both insecure-skip-tls-verify and a certificate authority/,
    ],
    [
      { cluster: { "certificate-authority": "ca", "certificate-authority-data": "QUJD" } },
      /both certificate-authority and certificate-authority-data/,
    ],
    [{ cluster: { "proxy-url": "ftp://p" } }, /proxy-url: the scheme "ftp:" is not supported/],
    [{ user: { username: "a", password: "b" } }, /user "k": it has both a token and a username/],
    [{ user: { "client-certificate": "c" } }, /neither client-key nor client-key-data/],
    [{ user: { "as-groups": ["g"] } }, /without as/],
    [{ user: { "auth-provider": { name: "gcp" } } }, /its auth-provider "gcp" is not supported/],
    [{ user: { exec: { apiVersion: v1 } } }, /its exec has no command/],
    [{ user: { exec: { apiVersion: v1, command: "c" } } }, /its exec has no interactiveMode/],
    [{ user: { exec: { apiVersion: `${v1}alpha1`, command: "c" } } }, /v1 and v1beta1 are supported/],
    [{ user: { exec: { command: "c" } } }, /its exec has no apiVersion/],
  ];
  for (const [parts, expected] of cases) {
    const said = await refusal(t, { env: {}, kubeconfigPath: write("k", config("k", parts)) });
    t.regex(said, expected);
    t.regex(said, /kubeconfig-test-.*\/k: (cluster|user) "k"/);
  }
});

test("a context without a user, or with an unknown one, is anonymous", async (t) => {
  const { write } = place(t);
  for (const name of ["", "gone"]) {
    const text = config("k", { cluster: { "tls-server-name": "x" } }).replace(
      '"user":"k"',
      `"user":"${name}"`,
    );
    const found = await access({ env: {}, kubeconfigPath: write("k", text) });
    t.is(found.user.token, "");
    t.is(found.cluster.tlsServerName, "x");
  }
});

test("an entry without a name is nobody's", async (t) => {
  const { write } = place(t);
  const text = "current-context: k\nclusters: [{cluster: {server: 'https://h'}}]\ncontexts: [{name: k}]\n";
  t.regex(await refusal(t, { env: {}, kubeconfigPath: write("k", text) }), /context "k" names no cluster/);
});

test("the server's address, as kubectl reads it", (t) => {
  const cases: [string, string | undefined][] = [
    ["https://h:6443", "https://h:6443"],
    ["https://h/", "https://h"],
    ["https://h/k8s/clusters/c-1/?x=1#y", "https://h/k8s/clusters/c-1"],
    ["HTTPS://H:6443", "https://H:6443"],
    ["127.0.0.1:6443", "http://127.0.0.1:6443"],
    ["localhost:6443", "http://localhost:6443"],
    ["h", "http://h"],
    ["https://[::1]:6443", "https://[::1]:6443"],
    ["https://user:pw@h", undefined],
    ["https://0x7f.1:6443", undefined],
    ["https://2130706433", undefined],
    ["https://h:99999", undefined],
    ["https://h h", undefined],
    ["tcp://h", undefined],
    ["https://", undefined],
  ];
  for (const [server, url] of cases) {
    const parsed = serverUrl(server);
    t.is("url" in parsed ? parsed.url : undefined, url, server);
  }
});

test("plain words mean what go.yaml.in/yaml/v2 reads", (t) => {
  const kinds = {
    number: "1 -1 +7 0 017 08 0x1F 0o17 0b101 1_000 1.5 .5 1e3 -.5 1. 18446744073709551615",
    text: "1:20 2001-01-01 _1 0x 1e999 v1 0xfffffffffffffffff -9223372036854775809x a1 1.2.3 - . +",
    boolean: "y Y yes on True FALSE off N n",
    null: "~ null NULL",
  };
  for (const [kind, words] of Object.entries(kinds) as [keyof typeof kinds, string][])
    for (const word of words.split(" ")) t.is(resolvePlain(word, 1).kind, kind, word);
});

test("YAML as kubectl reads it: first document, last of equal keys, anchors, merges in their order, depth", (t) => {
  const read = (text: string): unknown => {
    const tree = readGoYaml(Buffer.from(text));
    return tree?.kind === "map"
      ? Object.fromEntries([...tree.entries].map(([k, v]) => [k, "value" in v ? v.value : v.kind]))
      : tree?.kind;
  };
  t.deepEqual(read("a: x\na: z\n---\n{{{"), { a: "z" });
  t.deepEqual(read("<<: {a: x, b: v}\na: z"), { a: "z", b: "v" });
  t.deepEqual(read("a: z\n<<: {a: x}"), { a: "x" });
  t.deepEqual(read("a: &a x\nb: *a\nc: !!str 1"), { a: "x", b: "x", c: "1" });
  t.is(read("\ufeff# c\n"), undefined);
  for (const text of [
    "a: &a [*a]",
    "a: !x b",
    "a: b\rc: d",
    "a: \u0007",
    "{a::[x]}",
    "[".repeat(9999),
    "- ".repeat(9999),
  ])
    t.throws(() => read(text), { instanceOf: KubeconfigProblem }, text.slice(0, 20));
});
