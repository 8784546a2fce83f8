/**
 * Which proxy a request uses: proxy-url of the kubeconfig, else HTTPS_PROXY, HTTP_PROXY and NO_PROXY as Go reads them
 * (golang.org/x/net/http/httpproxy/proxy.go, which kubectl uses). Pure.
 */
import { BlockList, isIP, isIPv4 } from "node:net";
import { quote } from "../strict-yaml/quote.js";

type Env = Readonly<Record<string, string | undefined>>;

/** kubectl reads http, https and socks5; Go's transport also socks5h. Both let the proxy resolve names. */
const SCHEMES = ["http:", "https:", "socks5:", "socks5h:"];

/** What is wrong with a proxy's URL; undefined: nothing. Quotes no password. */
export function proxyProblem(proxy: string): string | undefined {
  const scheme = /^([a-z][a-z0-9+.-]*:)\/\//i.exec(proxy)?.[1]?.toLowerCase();
  if (scheme === undefined || !SCHEMES.includes(scheme)) {
    const has = scheme === undefined ? "it has no scheme" : `the scheme ${quote(scheme)} is not supported`;
    return `${has}. Write http://, https:// or socks5:// before its host`;
  }
  return URL.canParse(proxy) && new URL(proxy).hostname !== "" ? undefined : "it is not a URL";
}

/** How messages name a proxy: without its user and password. */
export function proxyWords({ protocol, host }: URL): string {
  return `${protocol}//${host}`;
}

/**
 * The proxy for a server.
 *
 * @param fromFile proxy-url of the cluster; "": none. It wins over the environment, also for loopback.
 */
export function proxyFor(server: URL, fromFile: string, env: Env): URL | undefined {
  if (fromFile !== "") return new URL(fromFile);
  const variable = server.protocol === "https:" ? "https_proxy" : "http_proxy";
  const proxy = parseProxy(variableOf(env, variable));
  return proxy === undefined || !usesProxy(server, variableOf(env, "no_proxy")) ? undefined : proxy;
}

/** Where {@link proxyFor} found the proxy, for advice. */
export function proxySetting(server: URL, fromFile: string, env: Env): string {
  if (fromFile !== "") return "proxy-url in the kubeconfig";
  const variable = server.protocol === "https:" ? "https_proxy" : "http_proxy";
  return env[variable.toUpperCase()] ? variable.toUpperCase() : variable;
}

function variableOf(env: Env, lower: string): string {
  return env[lower.toUpperCase()] || env[lower] || "";
}

/** An address without a scheme is an HTTP proxy; what cannot be read is ignored, as Go does. */
function parseProxy(text: string): URL | undefined {
  if (text === "") return undefined;
  for (const each of [text, `http://${text}`]) {
    if (proxyProblem(each) === undefined) return new URL(each);
  }
  return undefined;
}

/** NO_PROXY: names with their subdomains (with a leading dot only those), IP addresses, CIDRs, each with a port or not. */
function usesProxy(server: URL, noProxy: string): boolean {
  const host = server.hostname.replace(/^\[(.*)\]$/, "$1").toLowerCase();
  const port = server.port === "" ? (server.protocol === "https:" ? "443" : "80") : server.port;
  if (host === "localhost" || isLoopbackAddress(host)) return false;
  const entries = noProxy
    .split(",")
    .map((entry) => entry.trim().toLowerCase())
    .filter((entry) => entry !== "");
  return !entries.some((entry) => entry === "*" || matches(entry, host, port));
}

function isLoopbackAddress(host: string): boolean {
  return isIP(host) !== 0 && (inSubnet("127.0.0.0", 8, host) || inSubnet("::1", 128, host));
}

function matches(entry: string, host: string, port: string): boolean {
  const slash = entry.lastIndexOf("/");
  if (slash > 0 && isIP(entry.slice(0, slash)) !== 0 && /^\d{1,3}$/.test(entry.slice(slash + 1)))
    return isIP(host) !== 0 && inSubnet(entry.slice(0, slash), Number(entry.slice(slash + 1)), host);
  const { name, entryPort } = split(entry);
  if (name === "" || (entryPort !== "" && entryPort !== port)) return false;
  if (isIP(name) !== 0) return isIP(host) !== 0 && inSubnet(name, isIPv4(name) ? 32 : 128, host);
  if (isIP(host) !== 0) return false;
  const suffix = name.startsWith("*.") ? name.slice(1) : name;
  return suffix.startsWith(".") ? host.endsWith(suffix) : host === suffix || host.endsWith(`.${suffix}`);
}

/** `HOST`, `HOST:PORT`, `[IPv6]:PORT`. */
function split(entry: string): { name: string; entryPort: string } {
  const [, v6, name, entryPort = ""] = /^(?:\[(.*)\]|([^:]*)):(\d*)$/.exec(entry) ?? [];
  return { name: v6 ?? name ?? entry, entryPort };
}

function inSubnet(address: string, bits: number, host: string): boolean {
  const family = isIPv4(address) ? "ipv4" : "ipv6";
  if (bits > (family === "ipv4" ? 32 : 128)) return false;
  const list = new BlockList();
  list.addSubnet(address, bits, family);
  return list.check(host, isIPv4(host) ? "ipv4" : "ipv6");
}
