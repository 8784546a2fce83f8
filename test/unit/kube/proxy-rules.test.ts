import test from "ava";
import { proxyFor, proxyProblem, proxySetting, proxyWords } from "../../../src/kube/proxy-rules.js";

const used = (server: string, env: Record<string, string>, fromFile = ""): string | undefined => {
  const proxy = proxyFor(new URL(server), fromFile, env);
  return proxy === undefined ? undefined : proxyWords(proxy);
};
const HTTPS_PROXY = "http://user:pw@proxy:3128";

test("HTTPS_PROXY for https, HTTP_PROXY for http; upper case first; proxy-url wins; never for loopback", (t) => {
  t.is(used("https://api:6443", { HTTPS_PROXY }), "http://proxy:3128");
  t.is(used("https://api:6443", { https_proxy: "proxy:3128" }), "http://proxy:3128");
  t.is(used("https://api", { HTTPS_PROXY, https_proxy: "http://other" }), "http://proxy:3128");
  t.is(used("http://api", { HTTPS_PROXY }), undefined);
  t.is(used("http://api", { HTTP_PROXY: "http://p:1" }), "http://p:1");
  t.is(used("https://api", { HTTPS_PROXY: "socks5://s" }), "socks5://s");
  t.is(used("https://api", { HTTPS_PROXY: "::::" }), undefined);
  for (const host of ["localhost", "127.0.0.1", "127.9.9.9", "[::1]"])
    t.is(used(`https://${host}:6443`, { HTTPS_PROXY }), undefined);
  t.is(used("https://127.0.0.1:6443", { HTTPS_PROXY, NO_PROXY: "*" }, "socks5://s:1080"), "socks5://s:1080");
});

test("NO_PROXY, as golang.org/x/net/http/httpproxy reads it", (t) => {
  const cases: [string, string, boolean][] = [
    ["https://api.example.com", "example.com", false],
    ["https://example.com", "example.com", false],
    ["https://badexample.com", "example.com", true],
    ["https://api.example.com", ".example.com", false],
    ["https://example.com", ".example.com", true],
    ["https://api.example.com", "*.example.com", false],
    ["https://API.example.com", " Example.COM , x", false],
    ["https://api.example.com", "example.com:443", false],
    ["https://api.example.com:6443", "example.com:443", true],
    ["https://10.1.2.3:6443", "10.0.0.0/8", false],
    ["https://11.1.2.3:6443", "10.0.0.0/8", true],
    ["https://10.1.2.3:6443", "10.1.2.3", false],
    ["https://10.1.2.3:6443", "10.1.2.3:6443", false],
    ["https://10.1.2.3:6443", "10.1.2.3:443", true],
    ["https://[fd00::5]:6443", "fd00::/8", false],
    ["https://[fd00::5]:6443", "[fd00::5]:6443", false],
    ["https://[fd00::5]:6443", "fd00::6", true],
    ["https://api.example.com", "10.0.0.0/8", true],
    ["https://api.example.com", ":443, ,", true],
    ["https://api.example.com", "*", false],
  ];
  for (const [server, noProxy, proxied] of cases) {
    t.is(used(server, { HTTPS_PROXY, NO_PROXY: noProxy }) !== undefined, proxied, `${server} ${noProxy}`);
    t.is(used(server, { HTTPS_PROXY, no_proxy: noProxy }) !== undefined, proxied);
  }
});

test("what is wrong with a proxy's URL", (t) => {
  for (const good of ["http://p", "https://p:1", "socks5://u:p@p", "socks5h://p"])
    t.is(proxyProblem(good), undefined);
  t.regex(proxyProblem("ftp://p") ?? "", /the scheme "ftp:" is not supported/);
  t.regex(proxyProblem("p:3128") ?? "", /it has no scheme/);
  t.regex(proxyProblem("http://") ?? "", /not a URL/);
});

test("the setting that names the proxy", (t) => {
  const https = new URL("https://api:6443");
  t.is(proxySetting(https, "http://p", { HTTPS_PROXY }), "proxy-url in the kubeconfig");
  t.is(proxySetting(https, "", { HTTPS_PROXY, https_proxy: "x" }), "HTTPS_PROXY");
  t.is(proxySetting(https, "", { HTTPS_PROXY: "", https_proxy: "x" }), "https_proxy");
  t.is(proxySetting(new URL("http://api"), "", { HTTPS_PROXY, HTTP_PROXY: "x" }), "HTTP_PROXY");
});
