/**
 * The bytes of a kubeconfig → its content, with the types of client-go's tools/clientcmd/api/v1/types.go: unknown keys are
 * ignored, null is "not set", a value of another type refuses the file.
 */
import { dirname, isAbsolute, join, resolve, sep } from "node:path";
import { quote } from "../../strict-yaml/quote.js";
import { KubeconfigProblem, readGoYaml, type Tree } from "./go-yaml.js";
import type { Defined, Kubeconfig, KubeCluster, KubeContext, KubeExec, KubeUser } from "./types.js";

/** The extension of a cluster that a credential plugin gets (clusterExtensionKey of client_config.go). */
const EXEC_EXTENSION = "client.authentication.k8s.io/exec";

/**
 * Pure, except that relative paths become absolute ones below the folder of `file`.
 *
 * @throws KubeconfigProblem
 */
export function parseKubeconfig(bytes: Uint8Array, file: string): Kubeconfig {
  const root = new Fields(readGoYaml(bytes) ?? { line: 1, kind: "null" }, "");
  const apiVersion = root.text("apiVersion");
  const kind = root.text("kind");
  if (!["", "/", "v1", "/v1"].includes(apiVersion) || !["", "Config"].includes(kind)) {
    throw new KubeconfigProblem(
      `it is not a kubeconfig (its apiVersion is ${quote(apiVersion)}, its kind ${quote(kind)})`,
    );
  }
  const folder = dirname(resolve(file));
  const currentContext = root.text("current-context");
  return {
    currentContext: currentContext === "" ? undefined : { file, value: currentContext },
    clusters: named(root, "clusters", "cluster", file, (fields) => clusterOf(fields, folder)),
    users: named(root, "users", "user", file, (fields) => userOf(fields, folder)),
    contexts: named(root, "contexts", "context", file, contextOf),
  };
}

function named<T>(
  root: Fields,
  list: string,
  key: string,
  file: string,
  read: (fields: Fields) => T,
): Map<string, Defined<T>> {
  const found = new Map<string, Defined<T>>();
  for (const each of root.list(list)) {
    const fields = new Fields(each, list);
    const name = fields.text("name");
    // conversion.go refuses it, too.
    if (found.has(name)) throw new KubeconfigProblem(`${list} has two entries ${quote(name)}`, each.line);
    found.set(name, { file, value: read(fields.fields(key)) });
  }
  return found;
}

function contextOf(fields: Fields): KubeContext {
  fields.text("namespace");
  return { cluster: fields.text("cluster"), user: fields.text("user") };
}

function clusterOf(fields: Fields, folder: string): KubeCluster {
  const extension = fields
    .list("extensions")
    .map((each) => new Fields(each, "extensions"))
    .find((each) => each.text("name") === EXEC_EXTENSION);
  return {
    server: fields.text("server"),
    tlsServerName: fields.text("tls-server-name"),
    insecureSkipTlsVerify: fields.boolean("insecure-skip-tls-verify"),
    certificateAuthority: absolute(fields.text("certificate-authority"), folder),
    certificateAuthorityData: fields.bytes("certificate-authority-data"),
    proxyUrl: fields.text("proxy-url"),
    disableCompression: fields.boolean("disable-compression"),
    execConfig: extension?.value("extension"),
  };
}

function userOf(fields: Fields, folder: string): KubeUser {
  const exec = fields.optional("exec");
  const provider = fields.optional("auth-provider");
  return {
    clientCertificate: absolute(fields.text("client-certificate"), folder),
    clientCertificateData: fields.bytes("client-certificate-data"),
    clientKey: absolute(fields.text("client-key"), folder),
    clientKeyData: fields.bytes("client-key-data"),
    token: fields.text("token"),
    tokenFile: absolute(fields.text("tokenFile"), folder),
    impersonate: fields.text("as"),
    impersonateUid: fields.text("as-uid"),
    impersonateGroups: fields.texts("as-groups"),
    impersonateUserExtra: fields.lists("as-user-extra"),
    username: fields.text("username"),
    password: fields.text("password"),
    authProvider: provider?.text("name"),
    exec: exec === undefined ? undefined : execOf(exec, folder),
  };
}

function execOf(fields: Fields, folder: string): KubeExec {
  const command = fields.text("command");
  const apiVersion = fields.text("apiVersion");
  const mode = fields.text("interactiveMode");
  // SetDefaults_ExecConfig of api/v1/defaults.go.
  const optional = /^client\.authentication\.k8s\.io\/v1(alpha|beta)1$/.test(apiVersion);
  return {
    command: command.includes(sep) ? absolute(command, folder) : command,
    args: fields.texts("args"),
    env: fields
      .list("env")
      .map((each) => new Fields(each, "env"))
      .map((each) => ({ name: each.text("name"), value: each.text("value") })),
    apiVersion,
    installHint: fields.text("installHint"),
    provideClusterInfo: fields.boolean("provideClusterInfo"),
    interactiveMode: mode === "" && optional ? "IfAvailable" : mode,
  };
}

function absolute(path: string, folder: string): string {
  return path === "" || isAbsolute(path) ? path : join(folder, path);
}

/** Reads the fields of a mapping as Go's JSON decoder would. */
class Fields {
  readonly #entries: ReadonlyMap<string, Tree>;
  constructor(tree: Tree, name: string) {
    if (tree.kind !== "map" && tree.kind !== "null") throw wrongType(name, "a mapping", tree);
    this.#entries = tree.kind === "map" ? tree.entries : new Map<string, Tree>();
  }

  text(key: string): string {
    const tree = this.#entries.get(key);
    return tree === undefined ? "" : textOf(tree, key);
  }

  boolean(key: string): boolean {
    const tree = this.#entries.get(key);
    if (tree === undefined || tree.kind === "null") return false;
    if (tree.kind !== "boolean") throw wrongType(key, "true or false", tree);
    return tree.value;
  }

  list(key: string): readonly Tree[] {
    const tree = this.#entries.get(key);
    return tree === undefined ? [] : listOf(tree, key);
  }

  texts(key: string): readonly string[] {
    return this.list(key).map((item) => textOf(item, key));
  }

  lists(key: string): ReadonlyMap<string, readonly string[]> {
    const tree = this.#entries.get(key);
    if (tree === undefined || tree.kind === "null") return new Map();
    if (tree.kind !== "map") throw wrongType(key, "a mapping", tree);
    return new Map(
      [...tree.entries].map(([name, list]) => [name, listOf(list, key).map((item) => textOf(item, key))]),
    );
  }

  /** Base64, as Go's StdEncoding reads it: with padding; line breaks are ignored. */
  bytes(key: string): Buffer {
    const tree = this.#entries.get(key);
    const text = tree === undefined ? "" : textOf(tree, key).replace(/[\r\n]/g, "");
    if (text.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(text))
      throw new KubeconfigProblem(`${key} is not base64`, tree?.line);
    return Buffer.from(text, "base64");
  }

  fields(key: string): Fields {
    return this.optional(key) ?? new Fields({ line: 1, kind: "null" }, key);
  }

  optional(key: string): Fields | undefined {
    const tree = this.#entries.get(key);
    return tree === undefined || tree.kind === "null" ? undefined : new Fields(tree, key);
  }

  /** Any value, as JSON has it. */
  value(key: string): unknown {
    const tree = this.#entries.get(key);
    return tree === undefined ? undefined : jsonOf(tree);
  }
}

function textOf(tree: Tree, key: string): string {
  if (tree.kind === "null") return "";
  if (tree.kind !== "text") throw wrongType(key, "text", tree);
  return tree.value;
}

function listOf(tree: Tree, key: string): readonly Tree[] {
  if (tree.kind === "null") return [];
  if (tree.kind !== "list") throw wrongType(key, "a list", tree);
  return tree.items;
}

/** More values than this are aliases of aliases; Go refuses them, too ("excessive aliasing"). */
const MAX_VALUES = 100_000;

function jsonOf(tree: Tree): unknown {
  let left = MAX_VALUES;
  const convert = (each: Tree): unknown => {
    if (--left < 0) throw new KubeconfigProblem("an extension has too many values", tree.line);
    if (each.kind === "null") return null;
    if (each.kind === "list") return each.items.map(convert);
    if (each.kind === "map")
      return Object.fromEntries([...each.entries].map(([key, value]) => [key, convert(value)]));
    return each.value;
  };
  return convert(tree);
}

const NAMES: Readonly<Record<Tree["kind"], string>> = {
  null: "empty",
  text: "text",
  boolean: "true or false",
  number: "a number",
  list: "a list",
  map: "a mapping",
};

/** Names the types only: the value may be a secret. */
function wrongType(key: string, wanted: string, tree: Tree): KubeconfigProblem {
  const quoting =
    wanted === "text" && (tree.kind === "number" || tree.kind === "boolean") ? ": put it in quotes" : "";
  const what = key === "" ? "the file" : key;
  return new KubeconfigProblem(`${what} must be ${wanted}, not ${NAMES[tree.kind]}${quoting}`, tree.line);
}
